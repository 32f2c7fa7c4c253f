"""Families pooled: against metafor, one-sample t tests and closed forms."""

import numpy as np
import pytest
from scipy import stats

from harness.api.errors import UserError
from harness.study.statistics.evidence import Evidence, Rung
from harness.study.statistics.ladder import fit_ladder
from harness.study.statistics.pooling import mean_of_families, pool, pool_estimates

SIZES = (1e8, 3e8, 1e9, 1e10)


def study(lifts_of, items=0.0, seed_variance=0.3):
    """Families {name: lifts at SIZES}; `items` is what the test items do to all backbones alike."""
    num = len(SIZES) * len(lifts_of)
    return Evidence(
        ladder=tuple(Rung(f"{family}-{size:g}", family=family, size=size) for family in lifts_of for size in SIZES),
        lifts=np.concatenate([np.array(lifts) for lifts in lifts_of.values()]),
        items=np.full((num, num), items),
        num_seeds=np.full(num, 3),
        seed_variance=np.full(num, seed_variance),
        seed_df=np.full(num, 8.0),
    )


THREE = {"a": [4.0, 3.1, 2.4, 0.2], "b": [3.0, 3.3, 2.1, 0.9], "c": [4.2, 3.0, 2.6, 0.5]}


def lines_of(found):
    return [fit_ladder(found, family) for family in found.families]


def at(lines, size):
    return [line.vector(size) for line in lines]


def test_by_precision_it_is_metafor_s():
    """rma.uni(yi, vi, method="PM", test="knha"): mu 0.22957, tau2 0.05930 with t of 3 degrees of freedom."""
    each, noise = np.array([0.4, -0.2, 0.55, 0.1]), np.array([0.05, 0.06, 0.04, 0.05])
    found = pool_estimates(each, families=list("abcd"), shared=np.zeros((4, 4)), noise=noise)
    assert found.mean.value == pytest.approx(0.22957, abs=1e-5)
    assert found.tau2 == pytest.approx(0.05930, abs=1e-5)
    assert found.mean.df == pytest.approx(3)
    assert found.q_p_value == pytest.approx(stats.chi2.sf(found.heterogeneity, 3))
    assert found.i2 == pytest.approx(100 * (found.heterogeneity - 3) / found.heterogeneity)


@pytest.mark.parametrize("noise", [0.01, 0.1, 5.0])
def test_of_equal_precision_it_is_the_one_sample_t_interval(noise):
    each = np.array([2.0, 3.5, 2.6])
    found = pool_estimates(each, families=list("abc"), shared=np.zeros((3, 3)), noise=np.full(3, noise))
    told = stats.ttest_1samp(each, 0).confidence_interval(0.95)
    assert found.mean.interval() == pytest.approx((each.mean(), told.low, told.high), rel=1e-6)
    new = found.new_family
    assert new.variance == pytest.approx(each.var(ddof=1) * (1 + 1 / 3), rel=1e-6)


def test_items_that_all_families_share_are_not_averaged_away():
    plain, common = (study(THREE, items=items) for items in (0.0, 2.0))
    for statistic in (mean_of_families, lambda *given: pool(*given).mean):
        values = [statistic(found, lines_of(found), at(lines_of(found), 1e10)) for found in (plain, common)]
        assert values[1].value == pytest.approx(values[0].value)
        assert values[1].variance == pytest.approx(values[0].variance + 2.0, rel=1e-3)


def test_the_mean_over_these_families_is_as_certain_as_their_lines_are():
    found = study(THREE)
    lines = lines_of(found)
    each = [line.level_at(1e10) for line in lines]
    mean = mean_of_families(found, lines, at(lines, 1e10))
    assert mean.value == pytest.approx(np.mean([one.value for one in each]))
    assert mean.variance == pytest.approx(sum(one.variance for one in each) / 9, rel=1e-6)
    assert 2 < mean.df <= 6


def test_families_that_differ_make_families_at_large_uncertain_and_not_these():
    shifted = THREE | {"c": [lift - 10 for lift in THREE["c"]]}
    values = []
    for families in (THREE, shifted):
        found = study(families)
        lines = lines_of(found)
        values.append((mean_of_families(found, lines, at(lines, 1e9)), pool(found, lines, at(lines, 1e9))))
    assert values[1][0].variance == pytest.approx(values[0][0].variance)
    assert values[1][1].mean.variance > 10 * values[0][1].mean.variance
    assert values[1][1].q_p_value < 0.01 < values[0][1].q_p_value
    assert values[1][1].i2 > 90


def test_a_family_is_drawn_towards_the_others_by_the_share_of_its_error():
    """Equal variances v: the closed form mean + tau2 / (tau2 + v) (own - mean)."""
    each, v = np.array([2.0, 3.5, 2.6, 5.0]), 0.2
    found = pool_estimates(each, families=list("abcd"), shared=np.zeros((4, 4)), noise=np.full(4, v))
    tau2 = each.var(ddof=1) - v
    assert found.tau2 == pytest.approx(tau2)
    assert found.partial.value == pytest.approx(each.mean() + tau2 / (tau2 + v) * (each - each.mean()))
    assert (found.partial.variance < v).all()
    same = pool_estimates(np.full(4, 3.0), families=list("abcd"), shared=np.zeros((4, 4)), noise=np.full(4, v))
    assert same.tau2 == 0
    assert same.partial.value == pytest.approx(np.full(4, 3.0))
    assert same.i2 == 0


def test_of_one_family_there_is_nothing_to_pool():
    found = study({"a": THREE["a"]})
    with pytest.raises(UserError, match="nothing to pool: 1 families"):
        pool(found, lines_of(found), at(lines_of(found), 1e9))
