"""Sums that have the digits of the official scripts on every Python."""

import math
import random

import numpy as np
import pytest

from harness.scoring.sums import ordered_mean, ordered_sum, ordered_total


def test_floats_are_added_from_left_to_right_with_every_step_rounded() -> None:
    assert ordered_sum([0.1, 0.2, 0.3]) == 0.1 + 0.2 + 0.3 == 0.6000000000000001  # `sum` of Python 3.12 and later: 0.6
    assert ordered_sum([1e16, 1.0, -1e16]) == 0.0  # and here 1.0
    assert ordered_sum([1e16, -1e16, 1.0]) == 1.0
    assert ordered_sum([]) == 0.0


def test_means_are_sums_divided_once() -> None:
    assert ordered_mean([0.1, 0.2, 0.3]) == 0.6000000000000001 / 3
    assert ordered_mean([10.0, 40.0], weights=[1.0, 2.0]) == 30.0
    assert ordered_mean([0.1, 0.2, 0.3], weights=[1.0, 1.0, 1.0]) == ordered_mean([0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="shorter"):
        ordered_mean([1.0, 2.0], weights=[1.0])


@pytest.mark.parametrize("shape", [(1, 3), (7, 1), (1000, 2), (5000, 10)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_columns_are_added_row_by_row_however_they_lie_in_memory(shape: tuple[int, int], order: str) -> None:
    rng = random.Random(0)
    rows = [[rng.random() for _ in range(shape[1])] for _ in range(shape[0])]
    expected = [0.0] * shape[1]
    for row in rows:
        expected = [total + value for total, value in zip(expected, row)]
    assert ordered_total(np.array(rows, order=order)).tolist() == expected
    if shape[0] >= 1000:
        assert expected != [math.fsum(column) for column in zip(*rows)]


def test_counts_in_small_types_do_not_overflow() -> None:
    assert ordered_total(np.full((300, 1), 200, dtype=np.uint8)).tolist() == [60_000.0]
