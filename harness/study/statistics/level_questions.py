"""A lift at one place: the mean over backbones, or the lines of the families at a size.

    question = LevelQuestion(size=None)                     # the mean of all backbones
    answer = question.answer(found)
    answer.estimate, answer.left_out
    question.answer(with_more_seeds(found, 3), assumed=answer.assumed)

The mean over backbones varies by test items, which all of them share, and by the seeds of each; how the backbones differ from
each other is no error of it, since it speaks of these.  Of families at large it is the mean over families, taken as a sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.api.errors import UserError
from harness.study.statistics.evidence import Evidence, seed_noise
from harness.study.statistics.ladder import LadderFit, lines_at
from harness.study.statistics.mixed_regression import Assumed, MixedFit
from harness.study.statistics.pooling import Pooled, mean_of_families, pool, pool_estimates
from harness.study.statistics.student import StudentEstimate, satterthwaite


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelAnswer:
    """The estimate of one question."""

    estimate: StudentEstimate
    lines: Mapping[str, LadderFit]
    "Of the families that answer; empty for the mean of backbones."
    left_out: Mapping[str, str]
    "Family -> why it does not answer."
    pooled: Pooled | None
    "Families at large; None where one family answers."

    @property
    def assumed(self) -> dict[str, Assumed]:
        """The variances between units as they were estimated."""
        fits: dict[str, MixedFit] = {family: line.mixed for family, line in self.lines.items()}
        fits |= {} if self.pooled is None else {"pooled": self.pooled.mixed}
        return {name: Assumed(fit.tau2, fit.q) for name, fit in fits.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelQuestion:
    """Where a lift is asked for."""

    size: float | None
    "Number of non-embedding parameters at which the families' lines are read; None: the mean of all backbones."
    families: Literal["these", "at_large"] = "these"
    "Of which families the answer speaks."

    def answer(self, found: Evidence, *, assumed: Mapping[str, Assumed] | None = None) -> LevelAnswer:
        """The estimate; raises UserError if there is none.  `assumed`: those of an earlier answer."""
        if not found.ladder:
            raise UserError("no backbone has a lift")
        given = assumed or {}
        lines, left_out = ({}, {}) if self.size is None else lines_at(found, [self.size], assumed=given)
        if self.size is not None and not lines:
            raise UserError("no family answers", found="; ".join(left_out.values()))
        num = len(found.families if self.size is None else lines)
        if self.families == "at_large" and num < 2:
            raise UserError("one family says nothing of families at large", expected="at least two")
        if self.size is None:
            pooled = means_at_large(found, assumed=given.get("pooled")) if num > 1 else None
            own = mean_of_backbones(found)
        else:
            vectors = [line.vector(self.size) for line in lines.values()]
            pooled = pool(found, list(lines.values()), vectors, assumed=given.get("pooled")) if num > 1 else None
            own = mean_of_families(found, list(lines.values()), vectors)
        estimate = pooled.mean if pooled is not None and self.families == "at_large" else own
        return LevelAnswer(estimate=estimate, lines=lines, left_out=left_out, pooled=pooled)


def mean_of_backbones(found: Evidence) -> StudentEstimate:
    """The plain mean over backbones; raises UserError where a family has no two seeds on any of them."""
    noise = _noise(found)
    num = len(found.ladder)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for family in found.families:
        at = found.places(family)
        parts.append((noise[..., at].sum(axis=-1) / num**2, found.seed_df[..., at[0]]))
    known = np.maximum(found.items.sum(axis=(-1, -2)), 0) / num**2
    return StudentEstimate(
        value=found.lifts.mean(axis=-1),
        variance=known + sum(variance for variance, _ in parts),
        df=satterthwaite(known, parts),
    )


def means_at_large(found: Evidence, *, assumed: Assumed | None = None) -> Pooled:
    """The families' means over their backbones, pooled; raises UserError where a family has no two seeds on any of them."""
    noise = _noise(found)
    families = found.families
    weights = np.zeros((len(families), len(found.ladder)))
    for number, family in enumerate(families):
        at = found.places(family)
        weights[number, at] = 1 / len(at)
    return pool_estimates(
        found.lifts @ weights.T,
        families=families,
        shared=weights @ found.items @ weights.T,
        noise=noise @ (weights**2).T,
        assumed=assumed,
    )


def _noise(found: Evidence) -> np.ndarray:
    """The variance of each lift through seeds; raises UserError where it is not known."""
    noise = seed_noise(found)
    if noise is None:
        without = families_of_one_seed(found)
        raise UserError(
            f"{', '.join(without)}: one seed, so that it is not known how much seeds vary",
            expected="two seeds on a backbone of each family",
            todo="run a second seed",
        )
    return noise


def families_of_one_seed(found: Evidence) -> Sequence[str]:
    """The families none of whose backbones has two seeds."""
    return [family for family in found.families if not np.isfinite(found.seed_variance[..., found.places(family)]).all()]
