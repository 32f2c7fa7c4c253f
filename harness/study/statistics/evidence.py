"""What a study knows of the lifts of its backbones: values, the covariance through test items, the variance through seeds.

    found = evidence(lifts, ladder=[Rung("xlmr-base", family="xlmr", size=8.6e7), ...])
    found.lifts, found.items                     # [K], [K, K]
    backbone_lifts(found)                        # a StudentEstimate of [K], or None: no seed variance is known

Items: the covariance matrix of the bootstrap draws, of all backbones at once, since they answer the same items.  How a seed's
training falls out on each item is in the draws and between the seeds; it is taken out of the draws, not counted twice.
Seeds: the variance between the seeds of a backbone, pooled over its family, divided by their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from harness.study.statistics.effects import GroupLifts
from harness.study.statistics.mixed_regression import without_negative
from harness.study.statistics.student import StudentEstimate, of_parts


class Rung(NamedTuple):
    """A backbone of a ladder."""

    backbone: str
    family: str
    size: float
    "Number of non-embedding parameters."


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """The lifts of the backbones of one or several families, with what they vary by."""

    ladder: tuple[Rung, ...]
    lifts: np.ndarray
    "[..., K], mean over seeds."
    items: np.ndarray
    "[..., K, K]: their covariance through the draw of test items."
    num_seeds: np.ndarray
    "[..., K]"
    seed_variance: np.ndarray
    "[..., K]: the variance of one seed, the same for a family; NaN where no backbone of it has two seeds."
    seed_df: np.ndarray
    "[..., K]: the degrees of freedom of seed_variance."

    @property
    def families(self) -> tuple[str, ...]:
        """The families, in the order of the ladder."""
        return tuple(dict.fromkeys(rung.family for rung in self.ladder))

    def places(self, family: str) -> list[int]:
        """The numbers of a family's backbones."""
        return [number for number, rung in enumerate(self.ladder) if rung.family == family]

    def only(self, places: Sequence[int]) -> "Evidence":
        """The evidence of some backbones."""
        at = list(places)
        return Evidence(
            ladder=tuple(self.ladder[place] for place in at),
            lifts=self.lifts[..., at],
            items=self.items[..., at, :][..., at],
            num_seeds=self.num_seeds[..., at],
            seed_variance=self.seed_variance[..., at],
            seed_df=self.seed_df[..., at],
        )

    def without_families(self, families: Sequence[str]) -> "Evidence":
        """The evidence of all other families."""
        return self.only([number for number, rung in enumerate(self.ladder) if rung.family not in families])


def evidence(lifts: GroupLifts, *, ladder: Sequence[Rung]) -> Evidence:
    """The evidence of the backbones of `ladder` that have a lift; they are looked up by name."""
    at = [lifts.backbones.index(rung.backbone) for rung in ladder]
    seeds, draws = lifts.seeds[..., at, :], lifts.draws[..., at, :]
    num_seeds = np.isfinite(seeds).sum(axis=-1)
    kept = [place for place in range(len(ladder)) if (num_seeds[..., place] > 0).all()]
    seeds, draws, num_seeds = seeds[..., kept, :], draws[..., kept, :], num_seeds[..., kept]
    rungs = tuple(ladder[place] for place in kept)
    variance, df = _seed_variance(seeds, [rung.family for rung in rungs])
    return Evidence(
        ladder=rungs,
        lifts=_mean(seeds),
        items=_items(draws, num_seeds),
        num_seeds=num_seeds,
        seed_variance=variance,
        seed_df=df,
    )


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean over the last axis of what is there; something always is."""
    return np.nansum(values, axis=-1) / np.isfinite(values).sum(axis=-1)


def _seed_variance(seeds: np.ndarray, families: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The variance between seeds [..., K], pooled within each family, and its degrees of freedom [..., K]."""
    squares = np.nansum((seeds - _mean(seeds)[..., None]) ** 2, axis=-1)
    df = (np.isfinite(seeds).sum(axis=-1) - 1).astype(np.float64)
    same = np.array([[one == other for other in families] for one in families], dtype=np.float64)
    squares, df = squares @ same, df @ same
    return np.divide(squares, df, out=np.full_like(squares, np.nan), where=df > 0), df


def _items(draws: np.ndarray, num_seeds: np.ndarray) -> np.ndarray:
    """The covariance [..., K, K] of the lifts through the items that all seeds of a backbone share.

    The draws of a mean over S seeds vary by var(item) + var(item x seed) / S.  The second part, which the variance between seeds
    holds as well, is the variance over draws of what a seed adds to the mean; it is subtracted.
    """
    num_draws = draws.shape[-3]
    means = _mean(draws)  # [..., D, K]
    centred = means - means.mean(axis=-2, keepdims=True)
    covariance = np.swapaxes(centred, -1, -2) @ centred / (num_draws - 1)
    if draws.shape[-1] > 1:
        own = draws - means[..., None]
        own = own - own.mean(axis=-3, keepdims=True)
        spread = np.nansum(own**2, axis=(-3, -1)) / (num_draws - 1)  # [..., K], the sum over seeds
        shared = np.maximum(num_seeds - 1, 1) * num_seeds
        diagonal = np.einsum("...kk->...k", covariance)
        diagonal -= spread / shared
    return without_negative(covariance)


def seed_noise(found: Evidence) -> np.ndarray | None:
    """The variance of each mean lift through seeds [..., K]; None where it is not known."""
    if not np.isfinite(found.seed_variance).all():
        return None
    return found.seed_variance / found.num_seeds


def backbone_lifts(found: Evidence) -> StudentEstimate | None:
    """The lift of each backbone, uncertain through items and seeds; None where a family has no two seeds to know the latter."""
    noise = seed_noise(found)
    if noise is None:
        return None
    return of_parts(found.lifts, known=np.einsum("...kk->...k", found.items), estimated=noise, df=found.seed_df)


def with_more_seeds(found: Evidence, more: int) -> Evidence:
    """The evidence as it would be with `more` seeds on every backbone, if all estimates stayed what they are."""
    num_seeds = found.num_seeds + more
    df = found.seed_df.copy()
    for family in found.families:
        at = found.places(family)
        df[..., at] += more * len(at)
    return replace(found, num_seeds=num_seeds, seed_df=df)
