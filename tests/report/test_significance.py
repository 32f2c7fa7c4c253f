"""The two tests of a comparison against enumeration, scipy, and what p-values and intervals promise."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from harness.report.comparison.items import Items
from harness.report.comparison.paired_scores import SeedPairs
from harness.report.comparison.significance import EXACT_ITEMS, findings
from harness.scoring.score import score_table

F1 = ("chunk_f1", "f1")
ACCURACY = ("accuracy", "accuracy")
QA = ("squad", "f1")


def items_of(name, size, metric=F1):
    _, combine = score_table({metric[0]: np.zeros((1, 3))}, [".".join(metric)])
    return Items(name=name, size=size, combine=combine)


def unit(items, *pairs, places=None):
    """A unit of pairs of statistics [n, K], one a seed."""
    folders = []
    for pair in pairs:
        own = tuple(Path(f"{items.name}-{len(items.cells) + side}") for side in (0, 1))
        for folder, stats in zip(own, pair):
            items.places[folder] = np.arange(items.size) if places is None else places
            items.add(folder, np.asarray(stats, dtype=float))
        folders.append(own)
    return SeedPairs(items=items, pairs=folders)


def tagging(rng, n, rate=0.7):
    """Statistics (found, predicted, gold) of sentences."""
    gold = rng.poisson(2, size=n)
    return lambda better=0.0: np.stack([rng.binomial(gold, rate + better), gold + rng.integers(0, 2, n), gold], axis=1)


def alone(units, **how):
    """Findings of each unit as a row of its own."""
    return findings([[(number, 1.0)] for number in range(len(units))], units, **{"samples": 500, "seed": 0, **how})


def f1(stats):
    found, predicted, gold = np.asarray(stats, dtype=float).sum(axis=0)
    return 200 * found / (predicted + gold) if predicted + gold else 0.0


def enumerated(pairs_by_unit, weights):
    """The exact p-value by the book: every swap of items between the sides, scores of summed statistics."""
    n = len(pairs_by_unit[0][0][0])

    def value(swap):
        total = 0.0
        for pairs, weight in zip(pairs_by_unit, weights):
            for a, b in pairs:
                x = [bi if s else ai for ai, bi, s in zip(a, b, swap)]
                y = [ai if s else bi for ai, bi, s in zip(a, b, swap)]
                total += weight * (f1(y) - f1(x)) / len(pairs)
        return total

    observed = abs(value([0] * n))
    return np.mean([abs(value(swap)) >= observed - 1e-9 for swap in product((0, 1), repeat=n)])


def test_few_items_are_enumerated_and_agree_with_every_swap_by_hand():
    """Two languages of the same seven items, two seeds: an item is swapped in all of them at once."""
    rng = np.random.default_rng(3)
    items, pairs = items_of("x", 7), []
    for _ in range(2):
        make = tagging(rng, 7)
        pairs.append([(make(), make(0.2)) for _ in range(2)])
    units = [unit(items, *own) for own in pairs]
    mean, first = findings([[(0, 0.5), (1, 0.5)], [(0, 1.0)]], units, samples=50, seed=0)
    assert (mean.exact, first.exact) == (True, True)
    assert mean.p_randomisation == enumerated(pairs, [0.5, 0.5])
    assert first.p_randomisation == enumerated(pairs[:1], [1.0])
    assert mean.num_swaps == 2**mean.num_differing
    assert mean.num_differing <= mean.num_items == 7
    assert mean.difference.value == pytest.approx(np.mean([f1(b) - f1(a) for own in pairs for a, b in own]))


def test_exact_and_random_agree_with_scipy():
    scipy = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(5)
    for n in (10, 60):
        a, b = rng.random((2, n)) * [[1.0], [1.25]]
        items = items_of(f"n{n}", n, QA)
        ones = np.ones(n)
        (found,) = alone([unit(items, (np.stack([a, a, ones], axis=1), np.stack([b, b, ones], axis=1)))], samples=20_000)
        assert found.exact == (n <= EXACT_ITEMS)
        told = scipy.permutation_test(
            (b, a),
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=50_000,
            rng=np.random.default_rng(1),
        )
        assert found.p_randomisation == pytest.approx(told.pvalue, abs=1e-12 if found.exact else 0.012)
        assert found.difference.value == pytest.approx(100 * told.statistic)


def test_p_values_are_uniform_where_nothing_differs():
    """300 comparisons of equally good systems: neither test rejects more often than it says, and p spreads evenly."""
    rng = np.random.default_rng(7)
    units = []
    for number in range(300):
        make = tagging(rng, 80)
        units.append(unit(items_of(f"{number}", 80), (make(), make())))
    found = alone(units, samples=300)
    for values in ([f.p_randomisation for f in found], [f.p_bootstrap for f in found]):
        values = np.sort(values)
        assert np.abs(values - (np.arange(300) + 0.5) / 300).max() < 0.08  # Kolmogorov-Smirnov: 0.094 at 1 %
        assert 4 <= (values <= 0.05).sum() <= 28
    assert [f.exact for f in found] == [False] * 300


def test_intervals_cover_a_known_difference_and_both_tests_find_it():
    """F1 70 against 75 (as many predicted as gold): the interval covers 5, and 900 sentences are enough to see it."""
    rng = np.random.default_rng(11)
    units = []
    for number in range(150):
        gold = rng.poisson(2, size=900)
        pair = [np.stack([rng.binomial(gold, rate), gold, gold], axis=1) for rate in (0.7, 0.75)]
        units.append(unit(items_of(f"{number}", 900), pair))
    found = alone(units, samples=300)
    covered = np.mean([f.difference.low <= 5 <= f.difference.high for f in found])
    assert 0.90 <= covered <= 0.985
    gains = np.mean([f.gain.low <= 100 * 5 / 30 <= f.gain.high for f in found])
    assert 0.90 <= gains <= 0.985
    for values in ([f.p_randomisation for f in found], [f.p_bootstrap for f in found]):
        assert np.mean(np.array(values) <= 0.05) > 0.8
    lows = [f.difference.low > 0 for f in found]
    assert np.mean(lows) == pytest.approx(np.mean([f.p_bootstrap <= 0.05 for f in found]), abs=0.05)


def test_translations_count_once():
    """Four languages answered alike are as much evidence as one; four sets of other items are more."""
    rng = np.random.default_rng(13)
    make = tagging(rng, 150)
    pair = (make(), make(0.06))
    together = items_of("parallel", 150)
    row = [(number, 0.25) for number in range(4)]
    (clustered,) = findings([row], [unit(together, pair) for _ in range(4)], samples=1000, seed=0)
    (single,) = alone([unit(items_of("parallel", 150), pair)], samples=1000)
    assert clustered == single
    (apart,) = findings([row], [unit(items_of(f"{k}", 150), pair) for k in range(4)], samples=1000, seed=0)
    assert apart.difference.value == clustered.difference.value
    width = clustered.difference.high - clustered.difference.low
    assert (apart.difference.high - apart.difference.low) / width == pytest.approx(0.5, abs=0.06)
    assert apart.p_randomisation < clustered.p_randomisation / 4
    assert (apart.num_items, clustered.num_items) == (600, 150)


def test_languages_may_share_only_some_of_their_items():
    """As in MLQA: the statistics of a language are 0 where it lacks the item, and its score is that of its own items."""
    rng = np.random.default_rng(17)
    items, half, most = items_of("mlqa", 100), np.arange(50), np.arange(20, 100)
    pairs = []
    for places in (half, most):
        make = tagging(rng, len(places))
        pairs.append((make(), make(0.1)))
    units = [unit(items, pair, places=places) for pair, places in zip(pairs, (half, most))]
    first, second, mean = findings([[(0, 1.0)], [(1, 1.0)], [(0, 0.5), (1, 0.5)]], units, samples=300, seed=0)
    assert (first.num_items, second.num_items, mean.num_items) == (50, 80, 100)
    assert (first.a, first.b) == pytest.approx(tuple(map(f1, pairs[0])))
    assert mean.a == pytest.approx((f1(pairs[0][0]) + f1(pairs[1][0])) / 2)
    (own,) = alone([unit(items_of("own", 50), pairs[0])], samples=3000)
    (shared,) = alone([unit(items_of("mlqa", 100), pairs[0], places=half)], samples=3000)
    widths = [f.difference.high - f.difference.low for f in (own, shared)]
    assert widths[0] == pytest.approx(widths[1], rel=0.12)
    assert own.p_randomisation == pytest.approx(shared.p_randomisation, abs=0.03)


def test_the_same_draws_whatever_else_is_compared():
    rng = np.random.default_rng(19)
    items, other = items_of("x", 60), items_of("y", 700)
    make = tagging(rng, 60)
    one, two = (unit(items, (make(), make(0.1))) for _ in range(2))
    far = unit(other, (tagging(rng, 700)(), tagging(rng, 700)()))
    (expected,) = alone([one], samples=700)
    assert alone([one], samples=700) == [expected]
    assert alone([far, two, one], samples=700)[2] == expected
    assert alone([one], samples=700, seed=1) != [expected]


def test_systems_that_agree_everywhere_and_baselines_without_room():
    right = np.stack([np.ones(40), np.ones(40)], axis=1)
    wrong = right * [0, 1]
    mixed = right * np.stack([np.arange(40) < 38, np.ones(40)], axis=1)
    items = items_of("x", 40, ACCURACY)
    same, full, nearly, worst = alone([unit(items, p) for p in ((mixed, mixed), (right, mixed), (mixed, right), (right, wrong))])
    assert (same.p_randomisation, same.p_bootstrap, same.exact, same.num_swaps) == (1, 1, True, 1)
    assert same.difference == (0, 0, 0)
    assert same.gain.value == 0
    assert (full.difference.value, full.gain) == (-5, None)  # nothing was left to win
    assert full.p_randomisation == 0.5  # of the four swaps of two items, two are as far from 0
    assert nearly.gain == (100, None, None)  # in some draws the baseline is all right
    assert worst.difference == (-100, -100, -100)
    assert worst.p_randomisation == 1 / 501
