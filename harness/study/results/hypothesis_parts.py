"""From a hypothesis to the lifts it rests on: one for each part of its claim.

    parts = parts_of(hypothesis, tables, scale="points")
    parts[0].name, parts[0].lifts                      # 'mnli over squad', the difference of their lifts
    parts_of(hypothesis, tables, scale="points", degenerate=False)       # seeds that learnt nothing taken out

Settings that are compared are compared on the same cells: targets that any of them trains on are apart for all of them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from harness.api.errors import UserError
from harness.specs.study import BASELINE, Hypothesis
from harness.study.results.lift_entries import with_lifts
from harness.study.results.study_scores import TrainingKey
from harness.study.results.study_tables import StudyTables, only_backbones
from harness.study.statistics.effects import GroupLifts, without_seeds
from harness.study.statistics.evidence import Evidence, evidence
from harness.study.statistics.scales import Scale


@dataclass(frozen=True, kw_only=True, slots=True)
class HypothesisPart:
    """One lift, or difference of lifts, that a claim rests on."""

    name: str
    lifts: GroupLifts


@dataclass(frozen=True, kw_only=True, slots=True)
class _Side:
    """Settings whose mean lift over a group is meant."""

    names: tuple[str, ...]
    place: tuple[str, str]
    "Kind and name of the group."

    @property
    def text(self) -> str:
        return self.names[0] if len(self.names) == 1 else f"mean of {', '.join(self.names)}"


def parts_of(hypothesis: Hypothesis, tables: StudyTables, *, scale: Scale, degenerate: bool = True) -> list[HypothesisPart]:
    """The parts of a hypothesis; raises UserError where one has no lift: no such setting, no cells, no place on the scale."""
    apart = same_task_apart(hypothesis, tables)

    def lifts(side: _Side) -> GroupLifts:
        found = tables.mean_lifts(side.names, side.place, scale=scale, apart=apart)
        return found if degenerate else without_seeds(found, _degenerate(found, side, tables, apart))

    sides = [_Side(names=(name,), place=hypothesis.over.place) for name in hypothesis.settings]
    if hypothesis.asks == "ranking":
        pairs = list(pairwise(sides))
    else:
        left = sides if hypothesis.each else [_Side(names=hypothesis.settings, place=hypothesis.over.place)]
        if hypothesis.than:
            pairs = [(one, _Side(names=(name,), place=hypothesis.over.place)) for one in left for name in hypothesis.than]
        elif hypothesis.than_over:
            pairs = [(one, replace(one, place=group.place)) for one in left for group in hypothesis.than_over]
        else:
            return [HypothesisPart(name=side.text, lifts=lifts(side)) for side in left]
    return [HypothesisPart(name=_comparison(*pair), lifts=_difference(lifts(pair[0]), lifts(pair[1]))) for pair in pairs]


def same_task_apart(hypothesis: Hypothesis, tables: StudyTables) -> Collection[str] | None:
    """Targets that are outside the zero-shot groups for all settings of a comparison; None: for each setting its own."""
    if hypothesis.than or hypothesis.asks == "ranking":
        return tables.same_task([name for name in (*hypothesis.settings, *hypothesis.than) if name in tables.names])
    return None


def settings_of(hypothesis: Hypothesis, tables: StudyTables) -> tuple[str, ...]:
    """The settings, and those of its composites, that a hypothesis rests on, the baseline first."""
    found = [BASELINE]
    for name in (*hypothesis.settings, *hypothesis.than):
        found += tables.composites[name].settings if name in tables.composites else (name,)
    return tuple(dict.fromkeys(found))


def targets_of(hypothesis: Hypothesis, tables: StudyTables) -> tuple[str, ...]:
    """The targets that a hypothesis rests on."""
    names = [name for name in (*hypothesis.settings, *hypothesis.than) if name in tables.names]
    apart = same_task_apart(hypothesis, tables)
    targets = {
        cell.task
        for name in names
        for group in (hypothesis.over, *hypothesis.than_over)
        for cells in tables.group_cells(group.place, tables.same_task([name]) if apart is None else apart).values()
        for cell in cells
    }
    return tuple(target for target in dict.fromkeys(cell.task for cell in tables.study.cells) if target in targets)


def evidence_of(part: HypothesisPart, tables: StudyTables) -> Evidence:
    """The evidence of the backbones in lines; raises UserError if none has a lift."""
    ladder = with_lifts(part.lifts, [member.rung for member in tables.in_lines])
    if not ladder:
        raise UserError(f"{part.name}: no backbone has a lift")
    return evidence(part.lifts, ladder=ladder)


def _comparison(one: _Side, other: _Side) -> str:
    if one.place == other.place:
        return f"{one.text} over {other.text}"
    return f"{one.text}: {one.place[1]} over {other.place[1]}"


def _difference(one: GroupLifts, other: GroupLifts) -> GroupLifts:
    """One lift minus another, on the backbones that have both groups, seed by seed and draw by draw."""
    common = [name for name in one.backbones if name in other.backbones]
    first, second = only_backbones(one, common), only_backbones(other, common)
    return replace(first, seeds=first.seeds - second.seeds, draws=first.draws - second.draws)


def _degenerate(lifts: GroupLifts, side: _Side, tables: StudyTables, apart: Collection[str] | None) -> np.ndarray:
    """Which seeds [K, S] of a lift rest on a training that learnt nothing."""
    dropped = np.zeros(lifts.seeds.shape, dtype=bool)
    for name in (BASELINE, *side.names):
        cells = tables.group_cells(side.place, tables.same_task([name]) if apart is None else apart)
        for row, backbone in enumerate(lifts.backbones):
            for target in {cell.task for cell in cells.get(backbone, ())}:
                arm = _arm(name, backbone, target, tables)
                for column, seed in enumerate(tables.study.seeds):
                    dropped[row, column] |= TrainingKey(arm, backbone, target, seed) in tables.study.degenerate
    return dropped


def _arm(name: str, backbone: str, target: str, tables: StudyTables) -> str:
    """The setting that stands behind a name for a target."""
    composite = tables.composites.get(name)
    choice = composite.choices.get((backbone, target)) if composite else None
    return choice.setting if choice else name


def degenerate_trainings(hypothesis: Hypothesis, tables: StudyTables) -> Sequence[TrainingKey]:
    """The trainings among those of a hypothesis that learnt nothing, on backbones in lines."""
    settings, targets = settings_of(hypothesis, tables), targets_of(hypothesis, tables)
    backbones = {member.rung.backbone for member in tables.in_lines}
    return [
        key
        for key in sorted(tables.study.degenerate)
        if key.arm in settings and key.task in targets and key.backbone in backbones
    ]
