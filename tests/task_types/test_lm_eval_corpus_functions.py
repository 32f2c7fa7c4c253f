"""One number of all examples becomes shares of the examples: their mean is the number, their spread a jackknife's."""

import numpy as np
import pytest

from harness.api.errors import UserError
from harness.task_types.lm_eval_harness.corpus_functions import GROUPS, SINGLY, put_shares, shares
from harness.task_types.lm_eval_harness.evaluate_metrics import Percent


def ratio(items):
    """Not a mean over examples: one sum by another."""
    return sum(first for first, _ in items) / sum(second for _, second in items)


def test_shares_of_a_mean_are_the_values_themselves():
    values = [0.0, 1.0, 1.0, 0.25]
    assert shares(values, "m", lambda items: sum(items) / len(items)) == pytest.approx(values)


@pytest.mark.parametrize("number", [2, 7, SINGLY, SINGLY + 1, 1003])
def test_the_mean_of_the_shares_is_the_number(number):
    rng = np.random.default_rng(number)
    items = [(float(rng.uniform()), float(rng.uniform(1, 5))) for _ in range(number)]
    found = shares(items, "m", ratio)
    assert len(found) == number
    assert sum(found) / number == pytest.approx(ratio(items), abs=1e-12)


def test_their_standard_error_is_that_of_the_delta_method():
    rng = np.random.default_rng(3)
    items = [(float(rng.uniform()), float(rng.uniform(1, 5))) for _ in range(SINGLY)]
    first, second = (np.array(column) for column in zip(*items))
    linear = (first - ratio(items) * second) / second.mean()
    found = np.array(shares(items, "m", ratio))
    assert found.std() == pytest.approx(linear.std(), rel=0.02)
    many = np.array(shares(items * 10, "m", ratio))
    assert len(set(np.round(many, 12))) <= 2 * GROUPS  # groups are left out, not single examples


def test_percent_is_told_from_shares_of_one():
    given = [0.0, 1.0, 1.0, 0.25]
    found = shares(given, "m", lambda items: Percent(100 * sum(items) / len(items)))
    assert found == pytest.approx(given)


def test_the_last_of_a_class_cannot_be_left_out_and_costs_nothing():
    def two_classes(items):
        if len(set(items)) < 2:
            raise UserError("one class")
        return float(items.count(1)) / len(items)

    assert sum(shares([1, 0, 0, 0], "m", two_classes)) / 4 == pytest.approx(0.25)
    with pytest.raises(UserError, match="one class"):
        shares([1, 1], "m", two_classes)


def test_what_is_no_number_is_an_error_and_examples_without_a_value_have_no_share():
    with pytest.raises(UserError, match="no number for 'm'"):
        shares([1, 2], "m", lambda items: {"m": 1})
    scored = [{"m": 1.0}, {"other": 3}, {"m": 0.0}]
    put_shares(scored, "m", lambda items: sum(items) / len(items))
    assert scored == [{"m": 1.0}, {"other": 3}, {"m": 0.0}]
    put_shares(scored, "absent", ratio)
