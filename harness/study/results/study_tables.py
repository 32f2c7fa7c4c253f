"""The scores of a study as tables, composites among the arms, and the lifts of any setting over any group of cells.

    tables = study_tables(scores, composites)
    tables.lifts("mnli", ("zero_shot", "all targets"), scale="points", apart=tables.same_task(["mnli"]))
    tables.mean_lifts(["mnli", "squad"], place, scale="points")
    tables.why_missing("mnli", place, "xlmr-xl")         # '12 of 36 scores are missing: ...'

What a group of covered languages holds differs by backbone: backbones of the same coverage share a table; their lifts are joined.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from harness.api.errors import UserError
from harness.scoring.bootstrap import BootstrapEstimate
from harness.specs.study import BASELINE
from harness.study.results.choices import Composite
from harness.study.results.study_scores import Member, StudyScores
from harness.study.statistics.effects import GroupLifts, LadderScores, ScoreKey, group_lifts, joined, score_table_of
from harness.study.statistics.outcome_groups import OutcomeGroup, StudyCell, outcome_groups
from harness.study.statistics.scales import Scale

NOT_GROUPED_BY = ("word_order",)
"Groupings of languages that a study does not ask about."
_FIRST = 3  # missing scores that are named


@dataclass(frozen=True, kw_only=True, slots=True)
class CoverageTable:
    """The scores of the backbones whose pretraining held the same languages."""

    covered: tuple[str, ...] | None
    scores: LadderScores


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyTables:
    """All scores of a study, by coverage of the backbones."""

    study: StudyScores
    composites: Mapping[str, Composite]
    found: Mapping[ScoreKey, BootstrapEstimate]
    "Scores of settings and composites."
    tables: tuple[CoverageTable, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Settings and composites, the baseline first."""
        return (*self.study.arms, *self.composites)

    @property
    def in_lines(self) -> list[Member]:
        """The members that are no bridges."""
        return [member for member in self.study.members if not member.bridges]

    def same_task(self, names: Collection[str]) -> frozenset[str]:
        """The targets that any of these settings trains on in its intermediate phase; a composite only where all of its do."""
        targets = dict.fromkeys(cell.task for cell in self.study.cells)
        return frozenset(target for target in targets if any(self._is_same_task(name, target) for name in names))

    def _is_same_task(self, name: str, target: str) -> bool:
        settings = self.composites[name].settings if name in self.composites else (name,)
        return all((one, target) in self.study.same_task for one in settings)

    def groups(self, apart: Collection[str]) -> list[tuple[str, str]]:
        """Kind and name of each group that any backbone has, with these targets outside the zero-shot groups."""
        return list(dict.fromkeys((group.kind, group.name) for table in self.tables for group in self._groups_of(table, apart)))

    def _groups_of(self, table: CoverageTable, apart: Collection[str]) -> tuple[OutcomeGroup, ...]:
        return _groups(self.study.cells, tuple(sorted(self.study.categories.items())), table.covered, frozenset(apart))

    def group_cells(self, place: tuple[str, str], apart: Collection[str]) -> dict[str, list[StudyCell]]:
        """Backbone -> the cells that a group holds for it; backbones that have no such cells are left out."""
        return {
            backbone: [cell for cell, weight in zip(self.study.cells, group.weights, strict=True) if weight]
            for table, group in self._having(place, apart)
            for backbone in table.scores.backbones
        }

    def _having(self, place: tuple[str, str], apart: Collection[str]) -> Iterator[tuple[CoverageTable, OutcomeGroup]]:
        for table in self.tables:
            for group in self._groups_of(table, apart):
                if (group.kind, group.name) == place:
                    yield table, group

    def lifts(self, name: str, place: tuple[str, str], *, scale: Scale, apart: Collection[str]) -> GroupLifts:
        """The lifts of a setting over a group; raises UserError without such cells, or where a score is not on the scale."""
        if name not in self.names:
            raise UserError(f"no scores of the setting '{name}'", expected=f"one of {', '.join(self.names)}")
        parts = [
            group_lifts(table.scores, group, treated=name, baseline=BASELINE, scale=scale)
            for table, group in self._having(place, apart)
        ]
        if not parts:
            raise UserError(f"{name} has no cells in {' '.join(place)}")
        return joined(parts)

    def mean_lifts(
        self, names: Sequence[str], place: tuple[str, str], *, scale: Scale, apart: Collection[str] | None = None
    ) -> GroupLifts:
        """The mean of the lifts of several settings; without `apart` each has its own same-task targets apart."""
        each = [self.lifts(name, place, scale=scale, apart=self.same_task([name]) if apart is None else apart) for name in names]
        if len(each) == 1:
            return each[0]
        common = [one for one in each[0].backbones if all(one in lifts.backbones for lifts in each)]
        each = [only_backbones(lifts, common) for lifts in each]
        seeds = np.mean([lifts.seeds for lifts in each], axis=0)
        return replace(each[0], seeds=seeds, draws=np.mean([lifts.draws for lifts in each], axis=0))

    def score(self, key: ScoreKey) -> BootstrapEstimate | None:
        """The score of a setting or composite in one cell, for one seed."""
        return self.found.get(key, self.found.get(key._replace(seed=None)))

    def why_missing(self, name: str, place: tuple[str, str], backbone: str, apart: Collection[str]) -> str:
        """Why a backbone has no lift in a group, the missing scores counted and the first of them named."""
        cells = self.group_cells(place, apart).get(backbone)
        if not cells:
            coverage = next(member.covered for member in self.study.members if member.rung.backbone == backbone)
            if place[0] == "covered" and coverage is None:
                return "the languages of its pretraining are not recorded"
            return "no cells in this group"
        sides = list(dict.fromkeys((name, BASELINE)))
        keys = [ScoreKey(side, backbone, cell, seed) for side in sides for cell in cells for seed in self.study.seeds]
        missing = [key for key in keys if self.score(key) is None]
        named = [f"{score_name(key)} ({self.reason(key)})" for key in missing[:_FIRST]]
        more = f" and {len(missing) - _FIRST} more" if len(missing) > _FIRST else ""
        return f"{len(missing)} of {len(keys)} scores are missing: {', '.join(named)}{more}"

    def reason(self, key: ScoreKey) -> str:
        """Why a score is not there."""
        composite = self.composites.get(key.arm)
        if composite is not None:
            choice = composite.choices.get((key.backbone, key.cell.task))
            if choice is None:
                return composite.without[key.backbone, key.cell.task]
            key = key._replace(arm=choice.setting)
        return self.study.missing.get(key) or self.study.missing.get(key._replace(seed=None)) or "not run"


@lru_cache(maxsize=256)
def _groups(
    cells: tuple[StudyCell, ...],
    categories: tuple[tuple[str, str], ...],
    covered: tuple[str, ...] | None,
    apart: frozenset[str],
) -> tuple[OutcomeGroup, ...]:
    found = outcome_groups(cells, categories=dict(categories), covered=covered, same_task=apart)
    return tuple(group for group in found if group.kind not in NOT_GROUPED_BY)


def score_name(key: ScoreKey) -> str:
    """The place of a score in words, without its backbone."""
    return f"{key.arm}, {key.cell.task}/{key.cell.lang}" + ("" if key.seed is None else f", seed {key.seed}")


def only_backbones(lifts: GroupLifts, backbones: Sequence[str]) -> GroupLifts:
    """The lifts of some backbones."""
    at = [lifts.backbones.index(one) for one in backbones]
    return replace(lifts, backbones=tuple(backbones), seeds=lifts.seeds[..., at, :], draws=lifts.draws[..., at, :])


def study_tables(scores: StudyScores, composites: Mapping[str, Composite]) -> StudyTables:
    """The tables; raises UserError if there is no score at all, or too few draws for an interval."""
    if not scores.estimates:
        raise UserError("no scores of this study", todo="run it first")
    if min(len(estimate.samples) for estimate in scores.estimates.values()) < 2:
        raise UserError("no intervals without draws of the test items", expected="at least 2 draws")
    found = dict(scores.estimates)
    for composite in composites.values():
        for (backbone, target), choice in composite.choices.items():
            for cell in scores.cells:
                for seed in (*scores.seeds, None) if cell.task == target else ():
                    estimate = scores.estimates.get(ScoreKey(choice.setting, backbone, cell, seed))
                    if estimate is not None:
                        found[ScoreKey(composite.name, backbone, cell, seed)] = estimate
    arms = (*scores.arms, *composites)
    by_coverage: dict[tuple[str, ...] | None, list[str]] = {}
    for member in scores.members:
        coverage = None if member.covered is None else tuple(sorted(member.covered))
        by_coverage.setdefault(coverage, []).append(member.rung.backbone)
    tables = [
        CoverageTable(
            covered=covered,
            scores=score_table_of(found, arms=arms, backbones=backbones, cells=scores.cells, seeds=scores.seeds),
        )
        for covered, backbones in by_coverage.items()
    ]
    return StudyTables(study=scores, composites=composites, found=found, tables=tuple(tables))
