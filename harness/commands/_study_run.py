"""One backbone of a study, from trials of learning rates to its scores; or what is on disk of it.

run = run_member(design, member, args, execution, catalog=catalog, place=place, machine=machine)       # a MemberRun
run = recall_member(design, member, args, catalog=catalog, place=place)                     # without running anything
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.commands._arguments import say
from harness.commands._execution import Execution
from harness.commands._model_run import run_model
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import Plan, make_plan
from harness.planning.replacement_seeds import degenerate_runs, with_replacements
from harness.report.record.writer import request_path
from harness.report.studies.member_runs import MemberRun
from harness.runtime.machine import Machine
from harness.runtime.processes import is_first
from harness.runtime.stages import AnyStage, in_order
from harness.runtime.weights import drop_weights
from harness.study.design.design import StudyDesign
from harness.study.design.ladder import LadderMember
from harness.study.design.learning_rates import (
    RateTrial,
    Unchosen,
    choose,
    given_rates,
    num_phases,
    phase_trials,
    target_trials,
    trial_stages,
)
from harness.study.design.retrieval_layers import layer_plans
from harness.study.results.study_scores import ChosenRate


class _Rates:
    """The learning rates of a member, chosen step by step."""

    def __init__(self, run_trials: Callable[[Sequence[RateTrial]], None] | None, root: Path) -> None:
        self.run_trials, self.root = run_trials, root
        self.chosen: list[ChosenRate] = []
        self.unchosen: list[Unchosen] = []
        self.trials: list[RateTrial] = []

    @property
    def is_open(self) -> bool:
        """Whether trials are still to be done before anything else can be."""
        return any(one.is_open for one in self.unchosen)

    def step(self, trials: Sequence[RateTrial], name: str) -> None:
        """Run some trials and take what they choose."""
        if trials and self.run_trials:
            self.run_trials(trials)
        chosen, unchosen = choose(trials, name, root=self.root)
        self.trials += trials
        self.chosen += chosen
        self.unchosen += unchosen


def _settle_rates(design: StudyDesign, member: LadderMember, rates: _Rates, catalog: Catalog, place: DataPlace) -> None:
    """Phase by phase, then the targets; stops where trials are not done."""
    for depth in range(1, num_phases(design) + 1):
        if not rates.is_open:
            given = given_rates(rates.chosen)
            rates.step(
                phase_trials(design, member, depth=depth, rates=given, catalog=catalog, place=place),
                member.name,
            )
    if not rates.is_open:
        rates.step(
            target_trials(design, member, rates=given_rates(rates.chosen), catalog=catalog, place=place),
            member.name,
        )


def run_member(
    design: StudyDesign,
    member: LadderMember,
    args: argparse.Namespace,
    execution: Execution,
    *,
    catalog: Catalog,
    place: DataPlace,
    machine: Machine,
) -> MemberRun:
    """Trials, then all cells at the chosen rates, then retrieval at other layers."""
    root = Path(args.output_path)
    incomplete: list[str] = []

    def run_stages(stages: Sequence[AnyStage], what: str) -> None:
        todo = [stage for stage in stages if not stage.is_done(root)]
        if is_first() and todo:
            say(f"{member.name}: {what}: {len(stages) - len(todo)} stages done, {len(todo)} to do")
        report = execution.run(stages, root=root, machine=machine)
        for stage, error in report.failed:
            incomplete.append(stage.name)
            say(f"failed: {stage.name}\n  {error}")

    rates = _Rates(lambda trials: run_stages(trial_stages(trials), "trials of learning rates"), root)
    _settle_rates(design, member, rates, catalog, place)
    plan = make_plan(design.request(member, rates=given_rates(rates.chosen)), catalog=catalog, place=place)
    if rates.is_open:
        return _member_run(member, plan, None, rates, is_complete=False)
    layers = layer_plans(design, plan, catalog=catalog, place=place)
    beside = [stage for layer in layers for stage in layer.plan.stages]
    rests_on = [stage.name for stage in trial_stages(rates.trials)] + [stage.name for stage in beside]
    end = run_model(plan, args, execution, catalog=catalog, place=place, machine=machine, rests_on=sorted(set(rests_on)))
    if beside:
        run_stages(beside, "retrieval at other layers")
    if machine.keep != "all" and is_first():
        for trial in rates.trials:
            if trial.stage.is_done(root):
                drop_weights(trial.stage, root)
    settled = _settled(plan, args, catalog, place)
    return replace(
        _member_run(member, settled, end.request.name, rates, is_complete=end.is_complete and not incomplete),
        layers=layers,
    )


def recall_member(
    design: StudyDesign, member: LadderMember, args: argparse.Namespace, *, catalog: Catalog, place: DataPlace
) -> MemberRun:
    """What earlier commands have done of a member."""
    root = Path(args.output_path)
    rates = _Rates(None, root)
    _settle_rates(design, member, rates, catalog, place)
    plan = make_plan(design.request(member, rates=given_rates(rates.chosen)), catalog=catalog, place=place)
    if rates.is_open:
        return _member_run(member, plan, None, rates, is_complete=False)
    settled = _settled(plan, args, catalog, place)
    path = request_path(settled, root)
    layers = layer_plans(design, plan, catalog=catalog, place=place)
    found = _member_run(member, settled, path.name if path.is_file() else None, rates, is_complete=path.is_file())
    return replace(found, layers=layers)


class OpenStages:
    """What of a study can be done by now, a member after the other as its learning rates are chosen: for executors that run
    members at the same time.
    """

    def __init__(
        self, design: StudyDesign, members: Sequence[LadderMember], root: Path, *, catalog: Catalog, place: DataPlace
    ) -> None:
        """`members`: those that are to run."""
        self._design, self._root, self._catalog, self._place = design, root, catalog, place
        self._waiting: dict[str, set[str]] = {member.name: set() for member in members}
        "Member -> keys of the stages that it was found to need last."
        self._members = {member.name: member for member in members}

    def following(self, settled: set[str]) -> list[AnyStage]:
        """The stages of members that have none left to wait for: first their trials, then all else at the rates chosen."""
        found: list[AnyStage] = []
        for name in [name for name, keys in self._waiting.items() if keys <= settled]:
            stages, is_last = self._stages(self._members[name])
            fresh = {stage.key for stage in stages} - settled
            found += stages
            if is_last or not fresh:  # without any, trials have failed, and no rate will be chosen
                del self._waiting[name]
            else:
                self._waiting[name] = fresh
        return in_order(found)

    def _stages(self, member: LadderMember) -> tuple[list[AnyStage], bool]:
        """What a member needs next, and whether that is all."""
        rates = _Rates(None, self._root)
        _settle_rates(self._design, member, rates, self._catalog, self._place)
        trials = trial_stages(rates.trials)
        if rates.is_open:
            return trials, False
        given = given_rates(rates.chosen)
        plan = make_plan(self._design.request(member, rates=given), catalog=self._catalog, place=self._place)
        layers = layer_plans(self._design, plan, catalog=self._catalog, place=self._place)
        return [*trials, *plan.stages, *(stage for layer in layers for stage in layer.plan.stages)], True


def stages_of_study(
    design: StudyDesign, args: argparse.Namespace, *, catalog: Catalog, place: DataPlace
) -> dict[str, list[AnyStage]]:
    """Member -> all its stages, trials and other layers among them, as far as the rates that are chosen by now can tell."""
    found: dict[str, list[AnyStage]] = {}
    for member in design.members:
        rates = _Rates(None, Path(args.output_path))
        _settle_rates(design, member, rates, catalog, place)
        given = given_rates(rates.chosen)
        plan = make_plan(design.request(member, rates=given), catalog=catalog, place=place)
        layers = layer_plans(design, plan, catalog=catalog, place=place)
        scores = [cell.score for made in (plan, *(layer.plan for layer in layers)) for cell in made.cells if cell.score]
        found[member.name] = in_order([*trial_stages(rates.trials), *scores])
    return found


def _settled(plan: Plan, args: argparse.Namespace, catalog: Catalog, place: DataPlace) -> Plan:
    """The plan with the seeds that stand for degenerate ones, as `run` replaced them."""
    while args.replace_degenerate:
        again = with_replacements(plan.request, degenerate_runs(plan, root=Path(args.output_path)))
        if again is None:
            break
        plan = make_plan(again, catalog=catalog, place=place)
    return plan


def _member_run(member: LadderMember, plan: Plan, request: str | None, rates: _Rates, *, is_complete: bool) -> MemberRun:
    return MemberRun(
        member=member,
        plan=plan,
        request=request,
        rates=tuple(rates.chosen),
        unchosen=tuple(one.text() for one in rates.unchosen),
        is_complete=is_complete,
    )
