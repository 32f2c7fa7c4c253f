"""Lifts of groups of cells, seed by seed and draw by draw of the test items, on each scale.

    table = score_table_of(found, arms=("none", "mnli"), backbones=("xlmr-base", "xlmr-large"), cells=cells, seeds=(1, 2, 3))
    lifts = group_lifts(table, group, treated="mnli", baseline="none", scale="points")
    lifts.seeds, lifts.draws                     # [K, S], [D, K, S]
    advantage(lifts, other)                      # of two settings: the difference of their lifts, paired
    joined([lifts, of_another_ladder])           # one table of the backbones of both

A cell's lift is put on its scale first and then averaged over the cells of its group.  A seed's lift is that of the whole group:
targets that start from one intermediate checkpoint are drawn together.  A seed that lacks a cell of the group has no lift.
Arrays may have axes in front, one for many studies at once; those of numbers that are not there hold NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from harness.api.errors import UserError
from harness.scoring.bootstrap import BootstrapEstimate
from harness.study.statistics.outcome_groups import OutcomeGroup, StudyCell, as_array
from harness.study.statistics.scales import Scale, obstacle, on_scale


class ScoreKey(NamedTuple):
    """A score's place; seed None: not trained, it serves every seed."""

    arm: str
    backbone: str
    cell: StudyCell
    seed: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LadderScores:
    """Scores in 0..100 of arms on backbones, with their replicates over the same draws of test items."""

    arms: tuple[str, ...]
    backbones: tuple[str, ...]
    cells: tuple[StudyCell, ...]
    scores: np.ndarray
    "[..., A, K, C, S]; NaN = not there."
    draws: np.ndarray
    "[..., D, A, K, C, S]; the last axis may have the length 1: draws of the mean over seeds."


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupLifts:
    """The lift of a group of cells on each backbone."""

    name: str
    scale: Scale
    backbones: tuple[str, ...]
    seeds: np.ndarray
    "[..., K, S]; NaN = not there."
    draws: np.ndarray
    "[..., D, K, S], or [..., D, K, 1]: of the mean over seeds."


def score_table_of(
    found: Mapping[ScoreKey, BootstrapEstimate],
    *,
    arms: Sequence[str],
    backbones: Sequence[str],
    cells: Sequence[StudyCell],
    seeds: Sequence[int],
) -> LadderScores:
    """The table of the estimates of single cells, as `harness.scoring.bootstrap.estimates` makes them."""
    lengths = {len(estimate.samples) for estimate in found.values()}
    if len(lengths) != 1:
        raise ValueError(f"expected one number of draws, found {sorted(lengths)}")
    shape = (len(arms), len(backbones), len(cells), len(seeds))
    scores, draws = np.full(shape, np.nan), np.full((lengths.pop(), *shape), np.nan)
    for place in np.ndindex(shape):
        key = ScoreKey(arms[place[0]], backbones[place[1]], cells[place[2]], seeds[place[3]])
        estimate = found.get(key, found.get(key._replace(seed=None)))
        if estimate is not None:
            scores[place] = estimate.value
            draws[(slice(None), *place)] = estimate.samples
    return LadderScores(arms=tuple(arms), backbones=tuple(backbones), cells=tuple(cells), scores=scores, draws=draws)


def group_lifts(table: LadderScores, group: OutcomeGroup, *, treated: str, baseline: str, scale: Scale) -> GroupLifts:
    """Lifts of one arm over another; raises UserError where a score of the group has no place on the scale."""
    weights = as_array(group)
    chosen = np.flatnonzero(weights)
    if not len(chosen):
        raise UserError(f"no cells in the group {group.kind}: {group.name}", expected="at least one cell")
    weights = weights[chosen]
    sides = [table.arms.index(arm) for arm in (treated, baseline)]
    scores = [table.scores[..., side, :, :, :][..., chosen, :] for side in sides]  # [..., K, C, S]
    draws = [table.draws[..., side, :, :, :][..., chosen, :] for side in sides]  # [..., D, K, C, S]
    _refuse(table, group, chosen=chosen, scores=scores, draws=draws, scale=scale)
    return GroupLifts(
        name=group.name,
        scale=scale,
        backbones=table.backbones,
        seeds=np.einsum("...kcs,c->...ks", on_scale(scale, *scores), weights),
        draws=np.einsum("...kcs,c->...ks", on_scale(scale, *draws), weights),
    )


def _refuse(
    table: LadderScores,
    group: OutcomeGroup,
    *,
    chosen: np.ndarray,
    scores: Sequence[np.ndarray],
    draws: Sequence[np.ndarray],
    scale: Scale,
) -> None:
    """Raise UserError for the first cell whose scores, or their draws, have no place on the scale."""
    if scale == "points" or not (obstacle(scale, *scores) or obstacle(scale, *draws)):
        return
    for place, cell in enumerate(chosen):
        for number, backbone in enumerate(table.backbones):
            for what, pair in (("", scores), (" in a draw of its test items", draws)):
                why = obstacle(scale, *(side[..., number, place, :] for side in pair))
                if why:
                    raise UserError(
                        f"no lift on the scale '{scale}' for {group.kind} {group.name}: {why}{what}",
                        where=f"{backbone}, {table.cells[cell].task}/{table.cells[cell].lang}",
                        todo="use the scale 'points', or leave the cell out of the group",
                    )


def advantage(lifts: GroupLifts, other: GroupLifts) -> GroupLifts:
    """The lift minus another lift of the same group on the same backbones, seed by seed and draw by draw."""
    if (lifts.backbones, lifts.scale, lifts.name) != (other.backbones, other.scale, other.name):
        raise ValueError("lifts of different groups, scales or backbones are not compared")
    return replace(lifts, seeds=lifts.seeds - other.seeds, draws=lifts.draws - other.draws)


def joined(parts: Sequence[GroupLifts]) -> GroupLifts:
    """The lifts of several ladders as one; a group may hold other cells on each, e.g. the languages that pretraining covered."""
    if len({(part.name, part.scale) for part in parts}) > 1:
        raise ValueError("lifts of different groups or scales are not joined")
    return replace(
        parts[0],
        backbones=tuple(backbone for part in parts for backbone in part.backbones),
        seeds=np.concatenate([part.seeds for part in parts], axis=-2),
        draws=np.concatenate([part.draws for part in parts], axis=-2),
    )


def without_seeds(lifts: GroupLifts, dropped: np.ndarray) -> GroupLifts:
    """The same lifts with the seeds taken out that `dropped` [..., K, S] marks, e.g. degenerate ones.

    Raises ValueError if the draws are those of means over seeds, out of which no seed can be taken.
    """
    if lifts.draws.shape[-1] != lifts.seeds.shape[-1]:
        raise ValueError("draws of means over seeds: no seed can be taken out")
    seeds = np.where(dropped, np.nan, lifts.seeds)
    return replace(lifts, seeds=seeds, draws=np.where(dropped[..., None, :, :], np.nan, lifts.draws))
