"""Ranks of models by a number that each of them has, with the numbers' intervals.

    found = rank_models([SeedEstimates("xlm-roberta-base", family="xlm-roberta", seeds=(estimate_of_seed_1, ...)), ...])
    found.scores, found.ranks, found.over_seeds      # in the order given

Models answer the same test items: their differences are paired by the bootstrap's draws.  Trainings of two models share nothing:
the variances between their seeds add up, each pooled over the models of a family or, where a family has no two seeds, over all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness.scoring.bootstrap import LEVEL, BootstrapEstimate, Interval, mean_of, summarise
from harness.study.statistics.effects import GroupLifts
from harness.study.statistics.evidence import Evidence, Rung, backbone_lifts, evidence
from harness.study.statistics.paired_differences import paired_differences
from harness.study.statistics.rankings import RankInterval, rank_intervals

ALPHA = 0.05
"The probability that any of a column's ranks lies outside its interval is at most this."


_DIGITS = 6
"Matrix products are the same to the last digit for one number of threads only; the board's bytes are the same for any."


class SeedEstimates(NamedTuple):
    """The number of a model, seed by seed; one estimate where nothing is trained."""

    model: str
    family: str
    "The models of a family vary alike between seeds."
    seeds: tuple[BootstrapEstimate, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRanks:
    """Numbers and ranks of models, in the order in which they were given."""

    scores: Sequence[Interval]
    ranks: Sequence[RankInterval]
    over_seeds: bool
    "Whether intervals hold the variance between seeds, or speak of test examples alone."


def rank_models(models: Sequence[SeedEstimates]) -> ModelRanks:
    """Rank at least two models."""
    found = _evidence(models)
    over_seeds = backbone_lifts(found)
    if over_seeds is None:
        scores = [summarise(mean_of(model.seeds)) for model in models]
    else:
        low, high = over_seeds.ends(LEVEL)
        scores = [Interval(*(round(float(end), _DIGITS) for end in ends)) for ends in zip(found.lifts, low, high, strict=True)]
    names = [model.model for model in models]
    ranks = rank_intervals(names, paired_differences(found), alpha=ALPHA)
    return ModelRanks(scores=scores, ranks=ranks, over_seeds=over_seeds is not None)


def _evidence(models: Sequence[SeedEstimates]) -> Evidence:
    """What scores vary by is what lifts vary by: the same evidence, of the scores themselves."""
    shape = (len(models), max(len(model.seeds) for model in models))
    seeds, draws = np.full(shape, np.nan), np.full((len(models[0].seeds[0].samples), *shape), np.nan)
    for row, model in enumerate(models):
        for column, estimate in enumerate(model.seeds):
            seeds[row, column], draws[:, row, column] = estimate.value, estimate.samples
    names = tuple(model.model for model in models)
    families = [model.family for model in models]
    if not {model.family for model in models if len(model.seeds) > 1} >= set(families):
        families = [""] * len(models)
    ladder = [Rung(name, family=family, size=0.0) for name, family in zip(names, families, strict=True)]
    return evidence(GroupLifts(name="", scale="points", backbones=names, seeds=seeds, draws=draws), ladder=ladder)
