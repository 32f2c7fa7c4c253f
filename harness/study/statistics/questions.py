"""From evidence to the three estimates that a verdict of scale needs: of one family, or pooled over several.

    question = ScaleQuestion(reference=3e8, target=1e10, margin=1.0)
    answer = question.answer(found)
    answer.reference, answer.target, answer.change, answer.left_out
    question.answer(with_more_seeds(found, 3), assumed=answer.assumed)      # what it would be with more, if estimates stayed

A family answers if it has three sizes and reaches both sizes of the question.  Of several that do, the answer is their mean; a
question of families at large takes them as a sample of these, and needs many to be decided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.api.errors import UserError
from harness.study.statistics.evidence import Evidence
from harness.study.statistics.hypotheses import ScaleClaim
from harness.study.statistics.ladder import LadderFit, lines_at
from harness.study.statistics.mixed_regression import Assumed, MixedFit
from harness.study.statistics.pooling import Pooled, mean_of_families, pool
from harness.study.statistics.student import StudentEstimate
from harness.study.statistics.verdicts import verdict_codes


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleAnswer:
    """The estimates of one question."""

    lines: Mapping[str, LadderFit]
    "Of the families that answer."
    left_out: Mapping[str, str]
    "Family -> why it does not answer."
    pooled: Mapping[str, Pooled]
    "reference, target and change of families at large, with their heterogeneity; empty where one family answers."
    reference: StudentEstimate
    target: StudentEstimate
    change: StudentEstimate
    margin: float

    @property
    def assumed(self) -> dict[str, Assumed]:
        """The variances between units as they were estimated, of each line and each pooled number."""
        fits: dict[str, MixedFit] = {family: line.mixed for family, line in self.lines.items()}
        fits |= {f"pooled {name}": one.mixed for name, one in self.pooled.items()}
        return {name: Assumed(fit.tau2, fit.q) for name, fit in fits.items()}

    @property
    def claim(self) -> ScaleClaim:
        """The hypothesis to be decided."""
        return ScaleClaim(reference=self.reference, target=self.target, change=self.change, margin=self.margin)

    def codes(self, alpha: float | np.ndarray) -> np.ndarray:
        """Places in VERDICTS, for many studies at once."""
        return verdict_codes(self.reference, self.target, self.change, margin=self.margin, alpha=alpha)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleQuestion:
    """What becomes of a lift between two sizes, by the smallest effect of interest."""

    reference: float
    target: float
    "Numbers of non-embedding parameters."
    margin: float
    "On the scale of the lifts."
    families: Literal["these", "at_large"] = "these"
    "Of which families the verdict speaks."

    def answer(self, found: Evidence, *, assumed: Mapping[str, Assumed] | None = None) -> ScaleAnswer:
        """The estimates; raises UserError if no family answers.  `assumed`: those of an earlier answer."""
        given = assumed or {}
        lines, left_out = lines_at(found, [self.reference, self.target], assumed=given)
        if not lines:
            raise UserError("no family answers", found="; ".join(left_out.values()) or "no backbones with a lift")
        vectors = {
            "reference": [line.vector(self.reference) for line in lines.values()],
            "target": [line.vector(self.target) for line in lines.values()],
            "change": [line.vector(self.target) - line.vector(self.reference) for line in lines.values()],
        }
        pooled = self._pooled(found, list(lines.values()), vectors, given)
        if self.families == "at_large" and not pooled:
            raise UserError("one family says nothing of families at large", found=next(iter(lines)), expected="at least two")
        if pooled and self.families == "at_large":
            estimates = {name: one.mean for name, one in pooled.items()}
        else:
            estimates = {name: mean_of_families(found, list(lines.values()), own) for name, own in vectors.items()}
        return ScaleAnswer(lines=lines, left_out=left_out, pooled=pooled, margin=self.margin, **estimates)

    @staticmethod
    def _pooled(
        found: Evidence, lines: Sequence[LadderFit], vectors: Mapping[str, list[np.ndarray]], given: Mapping[str, Assumed]
    ) -> dict[str, Pooled]:
        if len(lines) == 1:
            return {}
        return {name: pool(found, lines, own, assumed=given.get(f"pooled {name}")) for name, own in vectors.items()}
