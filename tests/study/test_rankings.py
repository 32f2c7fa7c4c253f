"""Ranks whose intervals hold all at once."""

import numpy as np
import pytest

from harness.study.statistics.rankings import rank_intervals
from harness.study.statistics.student import StudentEstimate


def differences(values, error, df=20.0):
    values = np.array(values, dtype=float)
    return StudentEstimate(value=values[:, None] - values[None, :], variance=np.array(error**2), df=df)


def test_a_rank_counts_who_is_shown_to_be_better_and_who_worse():
    found = rank_intervals(["a", "b", "c", "d"], differences([10.0, 7.0, 6.8, 0.0], error=0.5), alpha=0.05)
    assert found == [("a", 1, 1, 1), ("b", 2, 2, 3), ("c", 3, 2, 3), ("d", 4, 4, 4)]


def test_with_large_errors_no_rank_is_excluded_and_without_any_all_are_sharp():
    assert [(one.best, one.worst) for one in rank_intervals(["a", "b"], differences([2.0, 1.0], error=50.0), alpha=0.05)] == [
        (1, 2)
    ] * 2
    sharp = rank_intervals(["a", "b", "c"], differences([1.0, 2.0, 2.0], error=0.0), alpha=0.05)
    assert sharp == [("a", 3, 3, 3), ("b", 1, 1, 2), ("c", 1, 1, 2)]


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_true_ranks_lie_in_all_intervals_as_often_as_promised(spread):
    rng = np.random.default_rng(0)
    truth = spread * np.arange(5)[::-1]
    held = 0
    for _ in range(400):
        seen = truth + 0.5 * rng.standard_normal(5)
        found = rank_intervals(list("abcde"), differences(seen, error=0.5 * np.sqrt(2), df=np.inf), alpha=0.1)
        # Of equal truths every order is a true one: a rank is true from one more than the better ones to all but the worse ones.
        best, worst = [1 + (truth > one).sum() for one in truth], [5 - (truth < one).sum() for one in truth]
        held += all(one.best <= b and one.worst >= w for one, b, w in zip(found, best, worst, strict=True))
    assert held >= 0.9 * 400 - 3 * np.sqrt(400 * 0.09)
