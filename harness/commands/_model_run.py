"""One model of a command: all its stages run, what it asked for written down, what went wrong said.

end = run_model(plan, args, execution, catalog=catalog, place=place, machine=machine)
end.request, end.is_complete
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.commands._arguments import say
from harness.commands._execution import Execution
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.overlaps import find_overlaps
from harness.planning.plan import Plan, make_plan
from harness.planning.replacement_seeds import DegenerateRun, degenerate_runs, replaced_by, with_replacements
from harness.planning.request import RunRequest
from harness.report.record.writer import RunOutcome, write_request
from harness.runtime.machine import Machine
from harness.runtime.processes import is_first

if TYPE_CHECKING:
    from harness.executors.graph.report import Report


class ModelEnd(NamedTuple):
    """What became of the request for one model."""

    request: Path
    has_scores: bool
    is_complete: bool


def run_model(
    plan: Plan,
    args: argparse.Namespace,
    execution: Execution,
    *,
    catalog: Catalog,
    place: DataPlace,
    machine: Machine,
    rests_on: Sequence[str] = (),
) -> ModelEnd:
    """All stages of one model; degenerate seeds again with others, if that is asked for.

    `rests_on` names finished stages that the request is made of besides its own: they are kept with it.
    """
    root = Path(args.output_path)
    replaced: list[dict[str, object]] = []
    while True:
        request = _begin(plan, catalog=catalog, root=root, replaced=replaced, rests_on=rests_on)
        report = execution.run(plan.stages, root=root, machine=machine)
        found = degenerate_runs(plan, root=root)
        again = with_replacements(plan.request, found) if args.replace_degenerate else None
        replaced += [_replacement(run, plan, again) for run in found if args.replace_degenerate]
        if again is None:
            break
        if is_first():
            say(f"{len(found)} degenerate runs: again with other seeds")
            request.unlink()
        plan = make_plan(again, catalog=catalog, place=place)
    has_scores = any(cell.score and cell.score.is_done(root) for cell in plan.cells)
    if not is_first():
        return ModelEnd(request, has_scores, is_complete=True)
    overlaps = find_overlaps(plan, root=root, machine=machine)
    failures = [(stage.name, error) for stage, error in report.failed]
    outcome = RunOutcome(overlaps, failures)
    write_request(plan, catalog=catalog, root=root, replaced=replaced, rests_on=rests_on, outcome=outcome)
    blocked = _tell(plan, report)
    return ModelEnd(request, has_scores, is_complete=not (report.failed or report.not_run or blocked))


def _begin(
    plan: Plan, *, catalog: Catalog, root: Path, replaced: Sequence[Mapping[str, object]], rests_on: Sequence[str]
) -> Path:
    """Say what is to do and write down what is asked for; under torchrun only the first process does."""
    if not is_first():
        return root
    todo = [stage for stage in plan.stages if not stage.is_done(root)]
    done = len(plan.stages) - len(todo)
    counts = f"{len(plan.cells)} scores, {len(plan.stages)} stages"
    say(f"{plan.backbone.name}: {counts}: {done} done, {len(todo)} to do, in {root}")
    return write_request(plan, catalog=catalog, root=root, replaced=replaced, rests_on=rests_on)


def _replacement(run: DegenerateRun, plan: Plan, again: RunRequest | None) -> dict[str, object]:
    """A degenerate run as the board lists it."""
    return {
        "model": plan.backbone.name,
        "intermediate": run.intermediate,
        "task": run.task,
        "recipe": run.recipe,
        "seed": run.seed,
        "by": replaced_by(run, plan.request, again),
        "stage": run.stage,
        "why": run.why,
    }


def _tell(plan: Plan, report: "Report") -> list[str]:
    """Say on stderr what was not done and why; returns the reasons of blocked cells."""
    missing, mistakes = plan.missing(), [str(error) for error in plan.wrong()]
    for stage, fault in report.made_again:
        say(f"made again: {stage.name} ({fault})")
    for reason in missing:
        say(f"missing: {reason}")
    for reason in mistakes:
        say(f"wrong: {reason}")
    for stage, error in report.failed:
        say(f"failed: {stage.name}\n  {error}")
    for stage in report.not_run:
        say(f"not run: {stage.name} (it needs a stage that failed)")
    if report.failed or report.not_run:
        counts = f"{len(report.done)} done now, {len(report.reused)} done before"
        say(f"{counts}, {len(report.failed)} failed, {len(report.not_run)} not run")
    return missing + mistakes
