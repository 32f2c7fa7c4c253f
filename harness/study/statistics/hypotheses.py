"""Hypotheses that a study file fixes beforehand, their p-values, and a family of them tested together.

    claims = {"persists": ScaleClaim(reference=at_small, target=at_large, change=change, margin=1.0),
              "mnli helps": SignClaim(estimate=lift, margin=1.0),
              "mnli > squad > none": RankingClaim(steps=(first, second), margin=1.0)}
    settle(claims, alpha=0.05, correction="holm")["persists"].decision.verdict

What a claim decides at one level it decides at every higher one, so its p-value is the lowest level at which it is decided.
The verdict reported is the one at the level that the correction leaves it: Holm's alpha / (m - rank + 1), or alpha R / m for the
false discovery rate, where R claims of m are decided (Benjamini and Yekutieli, 2005, J Am Stat Assoc 100: 71).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np

from harness.scoring.bootstrap import holm
from harness.study.statistics.student import StudentEstimate
from harness.study.statistics.verdicts import scale_verdict

Correction: TypeAlias = Literal["holm", "fdr", "none"]
UNDECIDED = "undecided"
LEAST_ALPHA = 1e-12
MOST_ALPHA = 0.499
"At 0.5 an interval of level 1 - 2 alpha is a point: nothing is tested any more."


class Decision(NamedTuple):
    """What a claim comes to at a level."""

    verdict: str
    "A verdict of scale; holds, refuted; or undecided."
    settled: str
    "What is shown beside or short of it, in words."

    @property
    def decided(self) -> bool:
        """Whether the data speak."""
        return self.verdict != UNDECIDED


class Claim(Protocol):
    """A hypothesis with its estimates."""

    def decide(self, alpha: float) -> Decision:
        """The verdict at an error level between 0 and 0.5."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleClaim:
    """What becomes of a lift between two sizes."""

    reference: StudentEstimate
    target: StudentEstimate
    change: StudentEstimate
    margin: float

    def decide(self, alpha: float) -> Decision:
        """One of the seven verdicts of scale."""
        found = scale_verdict(self.reference, self.target, self.change, margin=self.margin, alpha=alpha)
        return Decision(found.verdict, found.settled)


class PartClaim(Claim, Protocol):
    """A claim of one estimate, which a claim of several may be made of."""

    @property
    def claimed(self) -> str:
        """What it says of its estimate, in words."""

    def shows(self, alpha: float) -> bool:
        """Whether what is claimed is shown at a level, and so at every higher one."""

    def excludes(self, alpha: float) -> str:
        """What shows at a level, and so at every higher one, that it is not so; empty if nothing does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignClaim:
    """That a lift, or the difference of two lifts (A better than B), is above 0."""

    estimate: StudentEstimate
    margin: float

    @property
    def claimed(self) -> str:
        """What it says of its estimate."""
        return "above 0"

    def decide(self, alpha: float) -> Decision:
        """holds; refuted where the estimate is below 0 or equivalent to it; undecided."""
        why = self.excludes(alpha)
        if why:
            return Decision("refuted", why)
        return Decision("holds", self.claimed) if self.shows(alpha) else Decision(UNDECIDED, "")

    def shows(self, alpha: float) -> bool:
        """Whether the interval lies above 0."""
        return bool(self.estimate.ends(1 - alpha).low > 0)

    def excludes(self, alpha: float) -> str:
        """That the estimate is equivalent to 0, or below it."""
        if is_equivalent(self.estimate, margin=self.margin, alpha=alpha):
            return f"within ±{self.margin:g}"
        return "below 0" if self.estimate.ends(1 - alpha).high < 0 else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoEffectClaim:
    """That a lift is within the margin, by two one-sided tests."""

    estimate: StudentEstimate
    margin: float

    @property
    def claimed(self) -> str:
        """What it says of its estimate."""
        return f"within ±{self.margin:g}"

    def decide(self, alpha: float) -> Decision:
        """Holds if equivalence is shown; else refuted where the estimate is shown to differ from 0; undecided."""
        if self.shows(alpha):
            return Decision("holds", self.claimed)
        low, high = self.estimate.ends(1 - alpha)
        return Decision("refuted", "above 0" if low > 0 else "below 0") if low > 0 or high < 0 else Decision(UNDECIDED, "")

    def shows(self, alpha: float) -> bool:
        """Whether the estimate is equivalent to 0."""
        return is_equivalent(self.estimate, margin=self.margin, alpha=alpha)

    def excludes(self, alpha: float) -> str:
        """That it differs from 0 and is estimated beyond the margin, so that no level shows equivalence."""
        low, high = self.estimate.ends(1 - alpha)
        differs = bool(np.abs(self.estimate.value) >= self.margin) and (low > 0 or high < 0)
        return ("above 0" if low > 0 else "below 0") if differs else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoBetterClaim:
    """That the difference of two lifts is below the margin: A is not better than B by what is of interest."""

    estimate: StudentEstimate
    margin: float

    @property
    def claimed(self) -> str:
        """What it says of its estimate."""
        return f"below {self.margin:g}"

    def decide(self, alpha: float) -> Decision:
        """Holds if one one-sided test shows it; else refuted where the difference is shown to be above 0; undecided."""
        if self.shows(alpha):
            return Decision("holds", self.claimed)
        return Decision("refuted", "above 0") if self.estimate.ends(1 - alpha).low > 0 else Decision(UNDECIDED, "")

    def shows(self, alpha: float) -> bool:
        """Whether the upper end of the interval of level 1 - 2 alpha is below the margin."""
        return bool(self.estimate.ends(1 - 2 * alpha).high < self.margin)

    def excludes(self, alpha: float) -> str:
        """That it is above 0 and estimated beyond the margin, so that no level shows it to be below."""
        return "above 0" if self.estimate.value >= self.margin and self.estimate.ends(1 - alpha).low > 0 else ""


def is_equivalent(estimate: StudentEstimate, *, margin: float, alpha: float) -> bool:
    """Whether two one-sided tests show that an estimate lies within ±margin."""
    low, high = estimate.ends(1 - 2 * alpha)
    return bool(low > -margin and high < margin)


@dataclass(frozen=True, kw_only=True, slots=True)
class JointClaim:
    """That several claims hold, all of them."""

    parts: Mapping[str, PartClaim]
    "By what they speak of, in words."

    def decide(self, alpha: float) -> Decision:
        """Refuted if any part is (each at its share of alpha: one is enough); holds if each does (each at alpha: all must)."""
        for name, part in self.parts.items():
            why = part.excludes(alpha / len(self.parts))
            if why:
                return Decision("refuted", f"{name}: {why}")
        shown = {name: part.claimed for name, part in self.parts.items() if part.shows(alpha)}
        settled = "; ".join(f"{name}: {claimed}" for name, claimed in shown.items())
        return Decision("holds" if len(shown) == len(self.parts) else UNDECIDED, settled)


@dataclass(frozen=True, kw_only=True, slots=True)
class UnanswerableClaim:
    """A claim that was fixed beforehand and has no estimate: it stays undecided, and counts among those tested together."""

    def decide(self, alpha: float) -> Decision:
        """Undecided at every level."""
        return Decision(UNDECIDED, "")


@dataclass(frozen=True, kw_only=True, slots=True)
class RankingClaim:
    """That settings stand in a stated order: the difference of each to the next is above 0."""

    steps: tuple[StudentEstimate, ...]
    "First minus second, second minus third, ..."
    margin: float

    def decide(self, alpha: float) -> Decision:
        """Holds if each step does (each at alpha: all must); refuted if any is (each at its share of alpha: one is enough)."""
        steps = [SignClaim(estimate=step, margin=self.margin) for step in self.steps]
        for number, step in enumerate(steps, start=1):
            why = step.excludes(alpha / len(steps))
            if why:
                return Decision("refuted", f"step {number} is {why}")
        shown = [str(number) for number, step in enumerate(steps, start=1) if step.shows(alpha)]
        if len(shown) == len(steps):
            return Decision("holds", "every step is above 0")
        return Decision(UNDECIDED, f"above 0: step {', '.join(shown)} of {len(self.steps)}" if shown else "")


def p_value_of(claim: Claim) -> float:
    """The lowest level at which a claim is decided; 1 where it is at none below 0.5."""
    if not claim.decide(MOST_ALPHA).decided:
        return 1.0
    low, high = math.log(LEAST_ALPHA), math.log(MOST_ALPHA)
    if claim.decide(LEAST_ALPHA).decided:
        return LEAST_ALPHA
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (low, middle) if claim.decide(math.exp(middle)).decided else (middle, high)
    return math.exp(high)


@dataclass(frozen=True, kw_only=True, slots=True)
class SettledClaim:
    """A claim of a family that was tested together."""

    decision: Decision
    p: float
    adjusted_p: float
    alpha: float
    "The level at which the decision was taken; what is decided has p at most this."


def settle(claims: Mapping[str, Claim], *, alpha: float, correction: Correction) -> dict[str, SettledClaim]:
    """Decide a family of claims at a common error level."""
    names = list(claims)
    p = [p_value_of(claims[name]) for name in names]
    adjusted = holm(p) if correction == "holm" else benjamini_hochberg(p) if correction == "fdr" else p
    decided = [one <= alpha for one in adjusted]
    order = sorted(range(len(p)), key=lambda place: p[place])
    found: dict[str, SettledClaim] = {}
    for rank, place in enumerate(order):
        level = _level(rank, decided, alpha=alpha, correction=correction)
        # What is not decided has a p-value above its level, and so is undecided there.
        decision = claims[names[place]].decide(level)
        found[names[place]] = SettledClaim(decision=decision, p=p[place], adjusted_p=adjusted[place], alpha=level)
    return {name: found[name] for name in names}


def _level(rank: int, decided: list[bool], *, alpha: float, correction: Correction) -> float:
    """The level left to the claim whose p-value has this rank (0 = smallest)."""
    if correction == "none":
        return alpha
    if correction == "holm":
        # Behind the first that fails, Holm's procedure stops: all further ones are held to its level.
        return alpha / (len(decided) - min(rank, sum(decided)))
    return alpha * max(sum(decided), 1) / len(decided)


def benjamini_hochberg(p_values: list[float]) -> list[float]:
    """The p-values adjusted so that those at most alpha have a false discovery rate of alpha (Benjamini and Hochberg, 1995)."""
    adjusted = [0.0] * len(p_values)
    lowest = 1.0
    for rank, place in sorted(enumerate(np.argsort(p_values, kind="stable").tolist(), start=1), reverse=True):
        lowest = min(lowest, p_values[place] * len(p_values) / rank)
        adjusted[place] = lowest
    return adjusted
