"""An estimate with its variance and degrees of freedom, and the t interval around it.

    lift = StudentEstimate(value=2.1, variance=0.36, df=5.0)
    lift.ends(0.95)                  # Ends(low, high)
    of_parts(2.1, known=0.04, estimated=0.32, df=4.0)      # df by Satterthwaite

Value, variance and df are arrays of one shape: a number for one study, [N] for many studies at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness.scoring.bootstrap import LEVEL, Interval
from harness.study.statistics.distributions import Numbers, t_quantile


class Ends(NamedTuple):
    """The ends of an interval."""

    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentEstimate:
    """A number of which (estimate - truth) / sqrt(variance) follows Student's distribution with `df` degrees of freedom."""

    value: Numbers
    variance: Numbers
    df: Numbers
    "Infinite where the variance is known."

    def ends(self, level: Numbers) -> Ends:
        """The two-sided interval of confidence `level`."""
        half = t_quantile((1 + np.asarray(level)) / 2, df=self.df) * np.sqrt(self.variance)
        return Ends(self.value - half, self.value + half)

    def interval(self, level: float = LEVEL) -> Interval:
        """Value and interval of one study, for a table."""
        low, high = self.ends(level)
        return Interval(float(self.value), float(low), float(high))

    def error(self) -> np.ndarray:
        """The standard error."""
        return np.sqrt(self.variance)


def satterthwaite(known: Numbers, estimated: Sequence[tuple[Numbers, Numbers]]) -> np.ndarray:
    """The degrees of freedom of a sum of variances: one known, others (variance, df) estimated; infinite where these are 0.

    Satterthwaite (1946), An approximate distribution of estimates of variance components: (sum of v)^2 / (sum of v^2 / df).
    """
    total = np.asarray(known + sum(variance for variance, _ in estimated), dtype=np.float64)
    spread = np.asarray(sum(np.square(variance) / df for variance, df in estimated), dtype=np.float64)
    return np.divide(total**2, spread, out=np.full_like(total, np.inf), where=spread > 0)


def of_parts(value: Numbers, *, known: Numbers, estimated: Numbers, df: Numbers) -> StudentEstimate:
    """An estimate whose variance is a known part and one estimated with `df` degrees of freedom."""
    known, estimated = np.asarray(known, dtype=np.float64), np.asarray(estimated, dtype=np.float64)
    return StudentEstimate(value=value, variance=known + estimated, df=satterthwaite(known, [(estimated, df)]))
