"""Scores of each setting on each backbone and target, for drawing score curves, as entries of study.json; published ones beside.

    entries = score_entries(tables)
    entries[0]["means"]["zero_shot"]             # {'value': 61.2, 'low': ..., 'high': ..., 'num_seeds': 3, 'seeds': [...]}

Means over languages: all, as the benchmark prints them; English alone; all but English.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from harness.api.protocols import Json
from harness.study.results.estimate_entries import rounded
from harness.study.results.lift_entries import lift_entry, lifts_of_backbones
from harness.study.results.study_scores import Member
from harness.study.results.study_tables import StudyTables
from harness.study.statistics.effects import GroupLifts, ScoreKey
from harness.study.statistics.evidence import evidence
from harness.study.statistics.outcome_groups import ENGLISH, StudyCell


class ReferenceScore(NamedTuple):
    """A published number: a label beside score curves, in no lift and no fit."""

    reference: str
    "Name of the entry that has it."
    model: str
    method: str
    "How it was trained, in words, e.g. the intermediate task."
    split: str
    "Rows that were scored: test or dev."
    task: str
    key: str
    "Metric."
    value: float
    "Mean over all languages, 0 to 100."
    size: float | None
    "Non-embedding parameters; None = not recorded."


_MEANS: Mapping[str, Callable[[str], bool]] = {
    "all": lambda lang: True,
    "english": lambda lang: lang == ENGLISH,
    "zero_shot": lambda lang: lang != ENGLISH,
}


def score_entries(tables: StudyTables) -> list[dict[str, Json]]:
    """One entry a setting, backbone and target that has a score."""
    targets = list(dict.fromkeys(cell.task for cell in tables.study.cells))
    found = []
    for name in tables.names:
        for member in tables.study.members:
            for target in targets:
                means = {
                    kind: _mean(
                        tables, name, member, [cell for cell in tables.study.cells if cell.task == target and of(cell.lang)]
                    )
                    for kind, of in _MEANS.items()
                }
                if any(mean is not None for mean in means.values()):
                    found.append({"setting": name, "backbone": member.rung.backbone, "target": target, "means": means})
    return found


def _mean(tables: StudyTables, name: str, member: Member, cells: Sequence[StudyCell]) -> dict[str, Json] | None:
    """The mean over cells, seed by seed; None if no seed has all of them."""
    if not cells:
        return None
    backbone = member.rung.backbone
    untrained = all(ScoreKey(name, backbone, cell, None) in tables.found for cell in cells)
    seeds = tables.study.seeds[:1] if untrained else tables.study.seeds
    rows = [[tables.score(ScoreKey(name, backbone, cell, seed)) for cell in cells] for seed in seeds]
    values, draws = [], []
    for row in rows:
        there = [estimate for estimate in row if estimate is not None]
        whole = len(there) == len(cells)
        values.append(float(np.mean([estimate.value for estimate in there])) if whole else np.nan)
        draws.append(np.mean([estimate.samples for estimate in there], axis=0) if whole else None)
    if not np.isfinite(values).any():
        return None
    num = next(len(draw) for draw in draws if draw is not None)
    table = np.stack([np.full(num, np.nan) if draw is None else draw for draw in draws], axis=1)[:, None, :]
    scores = GroupLifts(name=name, scale="points", backbones=(backbone,), seeds=np.array([values]), draws=table)
    found = evidence(scores, ladder=[member.rung])
    if untrained:  # no seed to vary by
        found = replace(found, seed_variance=np.zeros(1), seed_df=np.ones(1))
    number = lift_entry(found, lifts_of_backbones(found), 0)
    return {
        **number,
        "num_seeds": None if untrained else int(found.num_seeds[0]),
        "seeds": None if untrained else [rounded(value) for value in values],
    }
