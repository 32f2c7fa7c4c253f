"""Estimates as entries of study.json, of one study or of one place of many.

    estimate_entry(answer.target)                     # {'value': 3.1, 'low': 1.2, 'high': 5.0, 'df': 7.4}
    estimate_entry(line.slope, place=4, alpha=0.01)   # with 'low_at_level', 'high_at_level' as well

Numbers have six significant digits; what is no number is null.
"""

import math
from typing import Any

import numpy as np

from harness.api.protocols import Json
from harness.scoring.bootstrap import LEVEL, ROUNDING
from harness.study.statistics.student import StudentEstimate

DIGITS = 6


def rounded(value: Any) -> float | None:
    """A number with six significant digits, never a negative zero; None for what is no finite number."""
    number = float(value)
    return float(f"{number:.{DIGITS}g}") + 0.0 if math.isfinite(number) else None


def _clean(value: Any) -> float | None:
    """A lift or one of its ends; what is 0 but for rounding is 0."""
    return 0.0 if abs(float(value)) < ROUNDING else rounded(value)


def at_place(estimate: StudentEstimate, place: int | tuple[int, ...] | None) -> StudentEstimate:
    """One of many estimates; itself where there is but one."""
    if place is None:
        return estimate
    shape = np.shape(estimate.value)
    value, variance, df = (float(np.broadcast_to(one, shape)[place]) for one in (estimate.value, estimate.variance, estimate.df))
    return StudentEstimate(value=value, variance=variance, df=df)


def estimate_entry(
    estimate: StudentEstimate, *, place: int | tuple[int, ...] | None = None, alpha: float | None = None
) -> dict[str, Json]:
    """Value, interval of 95 % and degrees of freedom (null where the variance is known); with alpha the interval at its level."""
    one = at_place(estimate, place)
    low, high = one.ends(LEVEL)
    entry = {"value": _clean(one.value), "low": _clean(low), "high": _clean(high), "df": rounded(one.df)}
    if alpha is not None:
        low, high = one.ends(1 - alpha)
        entry |= {"low_at_level": _clean(low), "high_at_level": _clean(high), "level": rounded(1 - alpha)}
    return entry
