"""Looking again: how much of alpha each look at growing data may spend, and what earlier looks decided.

    log = LookLog(planned=3).looked("9f3a...", {"persists": "undecided"})
    log.level(0.05, fingerprint="77b0...")       # LookLevel(number=2, alpha=0.0121, said="")
    log.kept("persists")                         # None, or the look that decided it

The spending function is Lan and DeMets's (1983, Biometrika 70: 659) in O'Brien and Fleming's shape: after the share t of the
looks, 2 - 2 Phi(z / sqrt(t)) is spent.  A look's level is what it may spend; the levels add up to alpha, so that the chance of
a false verdict at any look is at most alpha however the looks depend on each other.  The same data again are no new look.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from harness.study.statistics.distributions import normal_cdf, normal_quantile
from harness.study.statistics.hypotheses import UNDECIDED


class Look(NamedTuple):
    """A look that was taken."""

    fingerprint: str
    "Of the data that it saw."
    verdicts: Mapping[str, str]
    "Hypothesis -> verdict."


class LookLevel(NamedTuple):
    """The level of a look."""

    number: int
    alpha: float | None
    "None: nothing is left to spend."
    said: str


def spent(number: int, *, planned: int, alpha: float) -> float:
    """What of alpha is spent after `number` of the planned looks."""
    if number <= 0:
        return 0.0
    share = min(number / planned, 1.0)
    return float(2 - 2 * normal_cdf(normal_quantile(1 - alpha / 2) / math.sqrt(share)))


@dataclass(frozen=True, slots=True)
class LookLog:
    """The looks that a study was planned for, and those it has had."""

    planned: int
    looks: tuple[Look, ...] = ()

    def level(self, alpha: float, *, fingerprint: str, final: bool = False) -> LookLevel:
        """What a look at these data may spend; the last look's level again if it saw the same data.

        final: no other look will follow, so that this one spends all that is left.
        """
        again = bool(self.looks) and self.looks[-1].fingerprint == fingerprint
        number = len(self.looks) + (not again)
        if number > self.planned:
            said = f"look {number} of {self.planned} planned: all of alpha is spent, so that nothing new can be decided"
            return LookLevel(number, None, said)
        last = self.planned if final else number
        before, after = (spent(one, planned=self.planned, alpha=alpha) for one in (number - 1, last))
        return LookLevel(number, after - before, "")

    def looked(self, fingerprint: str, verdicts: Mapping[str, str]) -> "LookLog":
        """The log with this look, in place of the last one if that saw the same data."""
        earlier = self.looks[:-1] if self.looks and self.looks[-1].fingerprint == fingerprint else self.looks
        return replace(self, looks=(*earlier, Look(fingerprint, dict(verdicts))))

    def kept(self, hypothesis: str) -> tuple[int, str] | None:
        """Number and verdict of the first look that decided a hypothesis: that verdict stands, whatever later looks find."""
        for number, look in enumerate(self.looks, start=1):
            if look.verdicts.get(hypothesis, UNDECIDED) != UNDECIDED:
                return number, look.verdicts[hypothesis]
        return None
