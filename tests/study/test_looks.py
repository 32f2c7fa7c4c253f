"""Looking again: what is spent, what counts as a look, what earlier looks decided."""

import numpy as np
import pytest
from scipy import stats

from harness.study.statistics.looks import LookLog, spent


def test_spending_has_o_brien_and_fleming_s_shape_and_ends_at_alpha():
    z = stats.norm.isf(0.025)
    for number in (1, 2, 3):
        assert spent(number, planned=3, alpha=0.05) == pytest.approx(2 * stats.norm.sf(z / np.sqrt(number / 3)))
    assert spent(3, planned=3, alpha=0.05) == pytest.approx(0.05)
    assert spent(1, planned=5, alpha=0.05) < 1e-4
    assert spent(0, planned=5, alpha=0.05) == 0


def test_the_levels_of_all_looks_add_up_to_alpha():
    log, levels = LookLog(4), []
    for number in range(1, 5):
        found = log.level(0.05, fingerprint=f"data {number}")
        assert (found.number, found.said) == (number, "")
        levels.append(found.alpha)
        log = log.looked(f"data {number}", {})
    assert sum(levels) == pytest.approx(0.05)
    assert levels == sorted(levels)


def test_a_study_planned_for_one_look_spends_all_at_once():
    assert LookLog(1).level(0.05, fingerprint="data").alpha == pytest.approx(0.05)


def test_the_same_data_are_no_new_look():
    log = LookLog(3).looked("first", {"h": "undecided"})
    assert log.level(0.05, fingerprint="first") == LookLog(3).level(0.05, fingerprint="first")
    again = log.looked("first", {"h": "persists"})
    assert len(again.looks) == 1
    assert again.kept("h") == (1, "persists")
    assert log.level(0.05, fingerprint="second").number == 2


def test_a_final_look_spends_all_that_is_left():
    log = LookLog(3).looked("first", {})
    first = spent(1, planned=3, alpha=0.05)
    assert log.level(0.05, fingerprint="second", final=True).alpha == pytest.approx(0.05 - first)


def test_behind_the_planned_looks_nothing_is_left_and_that_is_said():
    log = LookLog(1).looked("first", {})
    found = log.level(0.05, fingerprint="second")
    assert found.alpha is None
    assert found.said == "look 2 of 1 planned: all of alpha is spent, so that nothing new can be decided"


def test_the_first_verdict_stands():
    log = LookLog(3).looked("a", {"h": "undecided"}).looked("b", {"h": "persists"}).looked("c", {"h": "shrinks"})
    assert log.kept("h") == (2, "persists")
    assert log.kept("another") is None


def test_the_chance_of_any_false_rejection_over_all_looks_is_at_most_alpha():
    """Growing data under the null hypothesis, tested at each look's own level."""
    rng = np.random.default_rng(0)
    data = rng.standard_normal((20_000, 90))
    log, rejected = LookLog(3), np.zeros(20_000, dtype=bool)
    for number in (1, 2, 3):
        z = data[:, : 30 * number].sum(axis=1) / np.sqrt(30 * number)
        rejected |= np.abs(z) > stats.norm.isf(log.level(0.05, fingerprint=str(number)).alpha / 2)
        log = log.looked(str(number), {})
    assert 0.03 < rejected.mean() <= 0.05
