"""Ranks with intervals that hold for all at once.

    rank_intervals(["mnli", "squad", "none"], differences, alpha=0.05)      # StudentEstimate of [M, M], row minus column

A rank's interval counts who is shown to be better and who is shown to be worse, over all pairs by Holm's method: with probability
1 - alpha every true rank lies in its interval (Mogstad, Romano, Shaikh and Wilhelm, 2024, Rev Econ Stud 91: 476).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.scoring.bootstrap import holm
from harness.study.statistics.distributions import t_tail
from harness.study.statistics.student import StudentEstimate


class RankInterval(NamedTuple):
    """A rank, 1 = best, and the ranks that cannot be excluded."""

    name: str
    rank: int
    best: int
    worst: int


def rank_intervals(names: Sequence[str], differences: StudentEstimate, *, alpha: float) -> list[RankInterval]:
    """Ranks by estimates [M, M] of row minus column (what stands on the diagonal is not looked at), in the order of `names`."""
    shape = (len(names), len(names))
    value, error = np.broadcast_to(differences.value, shape), np.broadcast_to(np.sqrt(differences.variance), shape)
    df = np.broadcast_to(np.asarray(differences.df, dtype=np.float64), shape)
    pairs = [(row, column) for row in range(len(names)) for column in range(row)]
    adjusted = holm([_p_value(value[pair], error[pair], df[pair]) for pair in pairs])
    better = np.zeros(shape, dtype=bool)
    for (row, column), p in zip(pairs, adjusted, strict=True):
        if p <= alpha:
            better[row, column], better[column, row] = value[row, column] > 0, value[row, column] < 0
    ahead = np.array([[value[other, own] > 0 and other != own for other in range(len(names))] for own in range(len(names))])
    return [
        RankInterval(
            name, rank=1 + int(ahead[own].sum()), best=1 + int(better[:, own].sum()), worst=len(names) - int(better[own].sum())
        )
        for own, name in enumerate(names)
    ]


def _p_value(value: float, error: float, df: float) -> float:
    """Two-sided; 1 where there is neither difference nor error."""
    if error == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * t_tail(abs(value) / error, df=df))
