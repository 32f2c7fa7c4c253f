"""Sums from left to right in double precision, each step rounded: the digits of the official scripts on every Python.

    ordered_sum([0.1, 0.2, 0.3])      # 0.6000000000000001, as Python 3.11's `sum` gives; that of 3.12 gives 0.6
    ordered_mean([50.0, 60.0])        # 55.0
    ordered_total(stats)              # column sums [K] of stats [n, K], example by example

The scripts add questions, then languages, one by one.  The board and `submission score` both add so, in the order of the test
rows and of the task's languages.  Python's own `sum` of floats depends on its version, numpy's on the shape of the array.
`math.fsum` and `statistics.fmean` without weights are correctly rounded and depend on neither, but are not what the scripts give.
"""

from collections.abc import Iterable, Sequence

import numpy as np


def ordered_sum(values: Iterable[float]) -> float:
    """The sum of floats from left to right; 0.0 of none."""
    total = 0.0
    for value in values:
        total += value
    return total


def ordered_mean(values: Sequence[float], *, weights: Sequence[float] | None = None) -> float:
    """The mean of floats, added from left to right; unweighted unless weights (not all 0) are given."""
    if weights is None:
        return ordered_sum(values) / len(values)
    return ordered_sum(value * weight for value, weight in zip(values, weights, strict=True)) / ordered_sum(weights)


def ordered_total(stats: np.ndarray) -> np.ndarray:
    """Column sums float64 [K] of stats [n, K], added row by row."""
    stats = np.asarray(stats, dtype=np.float64)
    # An accumulation is made of the sums of all beginnings, so that numpy has no choice of an order.  0.0 + -0.0 is 0.0.
    return np.cumsum(stats, axis=0)[-1] + 0.0 if len(stats) else np.zeros(stats.shape[1:])
