"""Learning rates chosen for each backbone, setting and target: trials of a grid, judged on English development rows.

    trials = phase_trials(design, member, depth=1, rates=(), catalog=catalog, place=place)
    ...                                                   # run trial.stage of each
    chosen, left = choose(trials, member.name, root=root)
    given_rates(chosen)                                   # for design.request(member, rates=...)

Each training has its own choice.  Intermediate phases come first, phase by phase, each judged by the development score of the
task that it trains; then each target after each setting, from the checkpoints that the trials' seeds made at the chosen rates.
Seeds of trials are none of the study's, and a trial sees neither test rows nor rows in another language than the training's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import PlannedCell, make_plan
from harness.planning.request import GivenRate
from harness.runtime.arguments import TrainArguments
from harness.runtime.stages import AnyStage, Stage, TrainingPhase, in_order, read_json
from harness.scoring.sums import ordered_mean
from harness.specs.study import BASELINE
from harness.study.design.design import StudyDesign
from harness.study.design.ladder import LadderMember
from harness.study.results.study_scores import ChosenRate


class RateTrial(NamedTuple):
    """One training of the grid."""

    setting: str
    target: str
    "Empty for an intermediate phase, the last of `setting`."
    rate: float
    seed: int
    stage: Stage[TrainArguments]

    @property
    def is_judged(self) -> bool:
        """Whether it has English development rows; one that has none is not run, for nothing could be chosen by it."""
        return any(component.validation for component in self.stage.args.tasks)


class Unchosen(NamedTuple):
    """A training whose rate its trials do not choose."""

    setting: str
    target: str
    why: str
    is_open: bool
    "Trials are still to be done; else the recipe's rate holds."

    def text(self) -> str:
        """A sentence."""
        return f"{self.target + ' after ' if self.target else ''}{self.setting}: {self.why}"


def num_phases(design: StudyDesign) -> int:
    """Phases of the longest setting."""
    return max(len(setting.phases) for setting in design.settings)


def phase_trials(
    design: StudyDesign,
    member: LadderMember,
    *,
    depth: int,
    rates: Sequence[GivenRate],
    catalog: Catalog,
    place: DataPlace,
) -> list[RateTrial]:
    """The trials of the phases number `depth` (1 = first) of all settings; `rates` are those of the phases before."""
    phases = [setting.phases[:depth] for setting in design.settings if len(setting.phases) >= depth]
    names = list(dict.fromkeys(":".join(phase.name for phase in found) for found in phases))
    found: dict[tuple[str, float, int], RateTrial] = {}
    for rate in member.grid.intermediate:
        given = [*rates, *(GivenRate(name, "", rate) for name in names)]
        for cell in _trial_cells(design, member, settings=names, rates=given, catalog=catalog, place=place):
            stage = next((one for one in reversed(cell.train) if one.phase == TrainingPhase.INTERMEDIATE), None)
            if stage is not None:
                trial = RateTrial(cell.intermediate, "", rate, stage.args.seed, stage)
                found.setdefault((trial.setting, rate, trial.seed), trial)
    return list(found.values())


def target_trials(
    design: StudyDesign, member: LadderMember, *, rates: Sequence[GivenRate], catalog: Catalog, place: DataPlace
) -> list[RateTrial]:
    """The trials of the targets after each setting, behind intermediate phases at their chosen rates."""
    names = [setting.name for setting in design.settings]
    found: dict[tuple[str, str, float, int], RateTrial] = {}
    for rate in member.grid.target:
        given = [*rates, *(GivenRate(name, task, rate) for name in names for task in design.tasks)]
        for cell in _trial_cells(design, member, settings=names, rates=given, catalog=catalog, place=place):
            stage = cell.train[-1] if cell.train and cell.train[-1].phase == TrainingPhase.TARGET else None
            if stage is not None:
                trial = RateTrial(cell.intermediate, cell.task, rate, stage.args.seed, stage)
                found.setdefault((trial.setting, trial.target, rate, trial.seed), trial)
    return list(found.values())


def all_trials(design: StudyDesign, member: LadderMember, *, catalog: Catalog, place: DataPlace) -> list[RateTrial]:
    """The trials as far as they can be told before any is done: later ones stand behind phases at their recipe's rates."""
    found: list[RateTrial] = []
    for depth in range(1, num_phases(design) + 1):
        found += phase_trials(design, member, depth=depth, rates=(), catalog=catalog, place=place)
    return found + target_trials(design, member, rates=(), catalog=catalog, place=place)


def _trial_cells(
    design: StudyDesign,
    member: LadderMember,
    *,
    settings: Sequence[str],
    rates: Sequence[GivenRate],
    catalog: Catalog,
    place: DataPlace,
) -> list[PlannedCell]:
    """The cells of a plan with the trials' seeds, a language a target: only what trains them is run."""
    request = design.request(member, rates=rates)
    langs = [request.languages_of(catalog.task(task).spec) for task in design.tasks]
    few = tuple(dict.fromkeys(next((lang for lang in own if lang == "en"), own[0]) for own in langs if own))
    seeds = design.spec.trial_seeds
    trial = replace(request, intermediate=",".join(settings) or BASELINE, seeds=seeds, languages=few)
    return list(make_plan(trial, catalog=catalog, place=place).cells)


def trial_stages(trials: Iterable[RateTrial]) -> list[AnyStage]:
    """What is to be run, inputs first."""
    return in_order(trial.stage for trial in trials if trial.is_judged)


def choose(trials: Sequence[RateTrial], backbone: str, *, root: Path) -> tuple[list[ChosenRate], list[Unchosen]]:
    """For each training the rate with the best mean development score, of equals the smallest; and what cannot be chosen.

    A training without development rows keeps its recipe's rate, which is said.
    """
    chosen: list[ChosenRate] = []
    left: list[Unchosen] = []
    for setting, target in dict.fromkeys((trial.setting, trial.target) for trial in trials):
        own = [trial for trial in trials if (trial.setting, trial.target) == (setting, target)]
        if not own[0].is_judged:
            left.append(Unchosen(setting, target, "no English development rows: the recipe's rate holds", is_open=False))
            continue
        undone = [trial.stage.name for trial in own if not trial.stage.is_done(root)]
        if undone:
            why = f"{len(undone)} of {len(own)} trials are not done, {undone[0]} for one"
            left.append(Unchosen(setting, target, why, is_open=True))
            continue
        scores: dict[float, list[float]] = {}
        for trial in own:
            facts = read_json(trial.stage.folder(root) / "train.json")
            scores.setdefault(trial.rate, []).append(float(facts["best_score"]))
        means = {rate: ordered_mean(found) for rate, found in sorted(scores.items())}
        best = max(means, key=lambda rate: (means[rate], -rate))
        chosen.append(ChosenRate(arm=setting, backbone=backbone, task=target, rate=best, trials=means))
    return chosen, left


def given_rates(chosen: Iterable[ChosenRate]) -> tuple[GivenRate, ...]:
    """The choices as a request takes them."""
    return tuple(GivenRate(one.arm, one.task, one.rate) for one in chosen)
