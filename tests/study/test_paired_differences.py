"""Differences between backbones: what items do to both cancels, what seeds do to each adds up."""

import numpy as np
import pytest

from harness.study.statistics.effects import GroupLifts
from harness.study.statistics.evidence import Evidence, Rung, evidence
from harness.study.statistics.paired_differences import paired_differences
from harness.study.statistics.rankings import rank_intervals

LADDER = (Rung("a1", family="a", size=1e8), Rung("a2", family="a", size=1e9), Rung("b1", family="b", size=1e9))


def by_hand(seed_variance, seed_df):
    """Lifts 5, 3, 0; items that a1 and a2 almost share, b1 not at all; 2, 4 and 2 seeds."""
    return Evidence(
        ladder=LADDER,
        lifts=np.array([5.0, 3.0, 0.0]),
        items=np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 2.0]]),
        num_seeds=np.array([2, 4, 2]),
        seed_variance=np.array(seed_variance),
        seed_df=np.array(seed_df),
    )


def test_without_known_seeds_a_difference_is_as_uncertain_as_its_items():
    found = paired_differences(by_hand([4.0, 4.0, np.nan], [4.0, 4.0, 0.0]))
    assert found.value[0] == pytest.approx([0, 2, 5])
    assert found.variance[0] == pytest.approx([0, 0.2, 3])  # 1 + 1 - 2 * 0.9; 1 + 2
    assert np.isinf(found.df).all()


def test_variances_between_seeds_add_up_and_one_estimate_of_them_counts_once():
    found = paired_differences(by_hand([4.0, 4.0, 6.0], [4.0, 4.0, 1.0]))
    noise = (4 / 2, 4 / 4, 6 / 2)
    within, across = 0.2 + noise[0] + noise[1], 3 + noise[0] + noise[2]
    assert found.variance[0, 1] == pytest.approx(within)
    assert found.df[0, 1] == pytest.approx(within**2 / ((noise[0] + noise[1]) ** 2 / 4))
    assert found.variance[0, 2] == pytest.approx(across)
    assert found.df[0, 2] == pytest.approx(across**2 / (noise[0] ** 2 / 4 + noise[2] ** 2 / 1))
    assert found.value == pytest.approx(-found.value.T)
    assert found.variance == pytest.approx(found.variance.T)
    assert found.df == pytest.approx(found.df.T)


def test_intervals_of_differences_hold_the_truth_as_often_as_promised():
    """2000 studies of three seeds: items that all share, items of each backbone, trainings; the draws are of the items alone."""
    rng = np.random.default_rng(0)
    studies, num_draws, shape = 2000, 200, (3, 3)
    shared, own, training = 2.0, 0.7, 0.8

    def of_items(*front):
        return shared * rng.standard_normal((*front, 1, 1)) + own * rng.standard_normal((*front, 3, 1))

    seeds = of_items(studies) + training * rng.standard_normal((studies, *shape))
    draws = seeds[:, None] + of_items(studies, num_draws)
    found = evidence(GroupLifts(name="", scale="points", backbones=("a1", "a2", "b1"), seeds=seeds, draws=draws), ladder=LADDER)
    low, high = paired_differences(found).ends(0.95)
    for pair in ((0, 1), (0, 2), (1, 2)):
        held = ((low[:, *pair] <= 0) & (high[:, *pair] >= 0)).mean()
        assert 0.94 < held < 0.985, (pair, held)


def test_what_differs_by_rounding_alone_is_equal():
    """The mean of three times 0.1 is not 0.1."""
    seeds = np.array([[0.1, 0.1, 0.1], [0.1, np.nan, np.nan], [0.2, 0.2, 0.2]])
    draws = np.broadcast_to(seeds, (50, *seeds.shape))
    found = evidence(GroupLifts(name="", scale="points", backbones=("a1", "a2", "b1"), seeds=seeds, draws=draws), ladder=LADDER)
    assert found.lifts[0] != found.lifts[1]
    ranks = rank_intervals(("a1", "a2", "b1"), paired_differences(found), alpha=0.05)
    assert ranks == [("a1", 2, 2, 3), ("a2", 2, 2, 3), ("b1", 1, 1, 1)]
