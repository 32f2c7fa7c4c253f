"""Bootstrap against closed forms, known small cases and its own promises (pairing, determinism, order)."""

import math

import numpy as np
import pytest

from harness.api.errors import UserError
from harness.scoring.bootstrap import (
    BootstrapEstimate,
    CellStatistics,
    difference,
    estimates,
    exact_sums,
    holm,
    interval,
    mean_of,
    num_extreme,
    p_value,
    resample,
    summarise,
)


def accuracy(totals):
    return {"accuracy": 100 * totals[..., 0] / totals[..., 1]}


def f1(totals):
    found, predicted, gold = np.moveaxis(totals, -1, 0)
    both = predicted + gold
    return {"f1": np.where(both > 0, 200 * found / np.where(both > 0, both, 1), 0.0)}


def coins(n, correct):
    """Accuracy stats of n examples, the first of which are right."""
    return np.stack([(np.arange(n) < correct).astype(float), np.ones(n)], axis=1)


def cell(name, stats, items="", combine=accuracy, key="accuracy"):
    return CellStatistics(name=name, stats=stats, combine=combine, key=key, items=items)


def paired(treated, baseline, combine=accuracy, key="accuracy", *, seed=0, samples=1000):
    """Interval of the difference of two cells of the same examples."""
    cells = [cell(name, stats, "items", combine, key) for name, stats in (("treated", treated), ("baseline", baseline))]
    found = estimates(cells, seed=seed, samples=samples)
    return summarise(difference(found["treated"], found["baseline"]))


def mean(*cells, samples=1000):
    """Interval of the mean over cells."""
    return summarise(mean_of(list(estimates(cells, seed=0, samples=samples).values())))


def binomial_quantile(n, p, level):
    total = 0.0
    for k in range(n + 1):
        total += math.comb(n, k) * p**k * (1 - p) ** (n - k)
        if total >= level:
            return k
    raise AssertionError


@pytest.mark.parametrize(("n", "correct"), [(20, 10), (100, 70), (400, 380)])
def test_accuracy_interval_is_that_of_the_binomial_distribution(n, correct):
    found = interval(coins(n, correct), accuracy, seed=3, samples=20_000)["accuracy"]
    assert found.value == 100 * correct / n
    assert abs(found.low * n / 100 - binomial_quantile(n, correct / n, 0.025)) <= 1
    assert abs(found.high * n / 100 - binomial_quantile(n, correct / n, 0.975)) <= 1


def test_level_widens_the_interval():
    narrow = interval(coins(200, 120), accuracy, seed=1, level=0.5)["accuracy"]
    wide = interval(coins(200, 120), accuracy, seed=1, level=0.99)["accuracy"]
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_both_ways_of_resampling_have_the_moments_of_the_bootstrap():
    rng = np.random.default_rng(0)
    few = rng.integers(0, 3, size=(500, 2)).astype(float)  # 9 distinct rows: drawn by their counts
    many = rng.random((500, 2))  # 500 distinct rows: drawn one by one
    for stats in (few, many):
        totals = resample(stats, rng=np.random.default_rng(1), samples=20_000)
        spread = np.sqrt(len(stats)) * stats.std(axis=0)
        np.testing.assert_allclose(totals.mean(axis=0), stats.sum(axis=0), atol=4 * spread.max() / math.sqrt(20_000))
        np.testing.assert_allclose(totals.std(axis=0), spread, rtol=0.03)
        covariance = np.cov(totals.T)[0, 1] / (len(stats) * stats.var(axis=0).prod() ** 0.5)
        assert covariance == pytest.approx(np.corrcoef(stats.T)[0, 1], abs=0.03)


def test_one_example_has_an_interval_equal_to_its_value():
    found = interval(np.array([[1 / 3, 1.0]]), accuracy, seed=0)["accuracy"]
    assert found.value == found.low == found.high == pytest.approx(100 / 3)


def test_all_right_has_no_spread_and_all_wrong_neither():
    assert interval(coins(50, 50), accuracy, seed=0)["accuracy"] == (100, 100, 100)
    assert interval(coins(50, 0), accuracy, seed=0)["accuracy"] == (0, 0, 0)


def test_no_examples_is_a_user_error():
    with pytest.raises(UserError, match="no examples"):
        interval(np.empty((0, 2)), accuracy, seed=0)
    with pytest.raises(UserError, match="xnli/de: no examples"):
        estimates([cell("xnli/de", np.empty((0, 2)))], seed=0)
    with pytest.raises(UserError, match="no scores"):
        mean_of([])


def test_a_score_that_is_no_number_is_not_passed_on():
    def careless(totals):
        with np.errstate(all="ignore"):
            return {"f1": totals[..., 0] / totals[..., 1]}

    stats = np.array([[0.0, 0.0], [1.0, 1.0]])  # the value is fine, one in four replicates is 0/0
    with pytest.raises(ValueError, match="no finite score of the right shape for 'f1'"):
        interval(stats, careless, seed=0)
    with pytest.raises(ValueError, match="right shape"):
        interval(stats, lambda totals: {"f1": totals}, seed=0)


def test_paired_difference_is_that_of_the_examples_that_changed():
    """30 of 1000 mended, 10 broken: the difference is 2 points, its sd sqrt(p+q-(p-q)^2)/sqrt(n), whatever both got right."""
    baseline = coins(1000, 600)
    treated = baseline.copy()
    treated[600:630, 0] = 1
    treated[:10, 0] = 0
    found = paired(treated, baseline, samples=20_000)
    half = 1.96 * 100 * math.sqrt((0.04 - 0.02**2) / 1000)
    assert found.value == pytest.approx(2.0)
    assert found.low == pytest.approx(2 - half, abs=0.15)
    assert found.high == pytest.approx(2 + half, abs=0.15)
    alone = interval(treated, accuracy, seed=0)["accuracy"]
    assert found.high - found.low < 0.5 * (alone.high - alone.low)


def test_cells_of_the_same_items_are_paired_and_others_are_not():
    stats = coins(400, 200)
    paired = estimates([cell("a", stats, items="xnli/de"), cell("b", stats, items="xnli/de")], seed=0)
    assert summarise(difference(paired["a"], paired["b"])) == (0, 0, 0)
    apart = estimates([cell("a", stats), cell("b", stats)], seed=0)
    assert summarise(difference(apart["a"], apart["b"])).high > 3


def test_parallel_languages_give_a_wider_mean_than_independent_ones():
    """Two languages right on the very same items: clustered sd = that of one language; independent: smaller by sqrt(2)."""
    stats = coins(1000, 500)
    clustered = mean(cell("de", stats, "items"), cell("fr", stats, "items"), samples=4000)
    independent = mean(cell("de", stats), cell("fr", stats), samples=4000)
    assert clustered.value == independent.value == 50
    assert (clustered.high - clustered.low) / (independent.high - independent.low) == pytest.approx(math.sqrt(2), rel=0.06)


def test_mean_weighs_cells_equally_whatever_their_size():
    assert mean(cell("a", coins(10, 10)), cell("b", coins(1000, 0))).value == 50


def test_an_estimate_depends_on_seed_and_items_alone():
    rng = np.random.default_rng(5)
    cells = [cell(f"c{k}", coins(200, int(rng.integers(50, 150))), items=("x" if k % 2 else "")) for k in range(6)]
    cells.append(cell("f", rng.random((200, 3)) * [1, 1, 1] + [0, 1, 1], items="x", combine=f1, key="f1"))
    together = estimates(cells, seed=4)
    assert list(estimates(cells[::-1], seed=4)) == [c.name for c in cells[::-1]]
    for one in cells:
        alone = estimates([one], seed=4)[one.name]
        np.testing.assert_array_equal(alone.samples, together[one.name].samples)
        np.testing.assert_array_equal(alone.samples, estimates(cells[::-1], seed=4)[one.name].samples)
    assert not np.array_equal(together["c0"].samples, estimates(cells, seed=5)["c0"].samples)


def test_two_cells_of_one_name_or_of_unequal_items_are_refused():
    with pytest.raises(ValueError, match="one name"):
        estimates([cell("a", coins(5, 1)), cell("a", coins(5, 1))], seed=0)
    with pytest.raises(ValueError, match="differ in length"):
        estimates([cell("a", coins(5, 1), "x"), cell("b", coins(6, 1), "x")], seed=0)


def test_a_cell_is_added_up_as_it_stands_and_resampled_as_its_items_are_aligned():
    rng = np.random.default_rng(0)
    stats = np.stack([rng.random(1000), np.ones(1000)], axis=1)
    shuffled = rng.permutation(1000)
    back = np.argsort(shuffled)
    one = cell("one", stats, "items")
    other = CellStatistics(name="other", stats=stats[shuffled], combine=accuracy, key="accuracy", items="items", order=back)
    found = estimates([one, other], seed=0)
    np.testing.assert_array_equal(found["one"].samples, found["other"].samples)
    for name, rows in (("one", stats), ("other", stats[shuffled])):
        total = 0.0
        for value in rows[:, 0].tolist():
            total += value
        assert found[name].value == 100 * total / 1000
    assert found["one"].value != found["other"].value  # the last digit shows the order in which the examples were added


def test_means_and_differences_are_made_replicate_by_replicate():
    a, b = BootstrapEstimate(1.0, np.array([0.0, 2.0])), BootstrapEstimate(3.0, np.array([5.0, 1.0]))
    np.testing.assert_array_equal(mean_of([a, b]).samples, [2.5, 1.5])
    np.testing.assert_array_equal(difference(a, b).samples, [-5, 1])
    assert (mean_of([a, b]).value, difference(a, b).value) == (2.0, -2.0)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(11)
    hits, lifts, trials = 0, 0, 300
    for trial in range(trials):
        gold = rng.poisson(2, size=150)
        found = rng.binomial(gold, 0.7)
        stats = np.stack([found, gold, gold], axis=1).astype(float)  # as many predicted as gold: F1 = 70
        low, high = interval(stats, f1, seed=trial, samples=400)["f1"][1:]
        hits += low <= 70 <= high
        better = np.stack([rng.binomial(gold, 0.75), gold, gold], axis=1).astype(float)
        low, high = paired(better, stats, f1, "f1", seed=trial, samples=400)[1:]
        lifts += low <= 5 <= high
    assert 0.90 <= hits / trials <= 0.985
    assert 0.90 <= lifts / trials <= 0.985


def test_the_cost_follows_the_distinct_rows_not_the_examples():
    found = interval(coins(1_000_000, 600_000), accuracy, seed=0)["accuracy"]  # drawing one by one would take 10**9 draws
    assert found.high - found.low == pytest.approx(2 * 1.96 * 100 * math.sqrt(0.24 / 1_000_000), rel=0.1)


def test_weighted_sums_are_exact_for_counts_and_fractions_alike():
    rng = np.random.default_rng(2)
    rows = rng.random((300, 4)) * [1, 1e9, 1e-9, 0] + [0, 0, 0, 7]
    weights = rng.multinomial(300, np.ones(300) / 300, size=5)
    found = exact_sums(weights, rows, num_drawn=300)
    for line, weight in zip(found, weights):
        assert line.tolist() == [pytest.approx(math.fsum(weight * column), rel=3e-16) for column in rows.T]
    # A different order of the same numbers: BLAS may add in any order, and nothing may change.
    order = rng.permutation(300)
    np.testing.assert_array_equal(exact_sums(weights[:, order], rows[order], num_drawn=300), found)


def test_large_counts_are_not_summed_in_single_precision():
    rows = np.full((4, 1), 2.0**24 + 1)
    assert exact_sums(np.ones((1, 4)), rows, num_drawn=4).item() == 4 * (2.0**24 + 1)


def test_a_p_value_counts_both_sides_and_itself():
    null = np.array([-3.0, -2.0, 0.0, 2.0 - 1e-12, 1.9])
    assert num_extreme(np.array([2.0, -3.0]), null).tolist() == [3, 1]
    assert p_value(3, 5) == 4 / 6
    assert p_value(0, 1999) == 1 / 2000


def test_holm_is_the_step_down_method():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []
    rng = np.random.default_rng(0)
    raw = rng.random(50).tolist()
    adjusted = holm(raw)
    assert np.argsort(raw, kind="stable").tolist() == sorted(range(50), key=lambda k: (adjusted[k], raw[k]))
    assert all(p <= q <= 1 for p, q in zip(raw, adjusted))


def test_holm_errs_in_one_family_of_twenty():
    """Twenty true null hypotheses, 2,000 times: some adjusted p at most 0.05 in about 5 % of the families."""
    rng = np.random.default_rng(1)
    wrong = sum(min(holm(rng.random(20).tolist())) <= 0.05 for _ in range(2000))
    assert 70 <= wrong <= 135
