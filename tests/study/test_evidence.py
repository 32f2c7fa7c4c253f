"""Variances of lifts: through items, through seeds, and nothing counted twice."""

import numpy as np
import pytest

from harness.scoring.bootstrap import draw_counts
from harness.study.statistics.effects import GroupLifts
from harness.study.statistics.evidence import Rung, backbone_lifts, evidence, seed_noise, with_more_seeds

LADDER = [Rung("a1", family="a", size=1e8), Rung("a2", family="a", size=1e9), Rung("b1", family="b", size=1e9)]
NAMES = tuple(rung.backbone for rung in LADDER)


def lifts(seeds, draws):
    return GroupLifts(name="g", scale="points", backbones=NAMES, seeds=np.array(seeds, dtype=float), draws=draws)


def fixed_draws(seeds, num_draws=20, sd=0.0):
    rng = np.random.default_rng(0)
    seeds = np.array(seeds, dtype=float)
    return seeds + sd * rng.standard_normal((num_draws, len(seeds), 1))  # what items do to all seeds alike


def test_the_seed_variance_is_pooled_within_a_family_and_divided_by_the_number_of_seeds():
    seeds = [[1.0, 2.0, 3.0], [4.0, 6.0, np.nan], [0.0, 0.0, 9.0]]
    found = evidence(lifts(seeds, fixed_draws(seeds)), ladder=LADDER)
    assert found.lifts == pytest.approx([2, 5, 3])
    assert found.num_seeds.tolist() == [3, 2, 3]
    pooled = (2 + 2) / (2 + 1)  # squares within a1 and a2 over their degrees of freedom
    assert found.seed_variance == pytest.approx([pooled, pooled, 27.0])
    assert found.seed_df.tolist() == [3, 3, 2]
    assert seed_noise(found) == pytest.approx([pooled / 3, pooled / 2, 9.0])


def test_the_interval_of_a_backbone_has_the_degrees_of_freedom_of_its_seeds():
    seeds = [[1.0, 2.0, 3.0], [4.0, 6.0, 5.0], [0.0, 0.0, 9.0]]
    found = backbone_lifts(evidence(lifts(seeds, fixed_draws(seeds)), ladder=LADDER))
    assert found.df == pytest.approx([4, 4, 2])  # no variance through items here
    with_items = backbone_lifts(evidence(lifts(seeds, fixed_draws(seeds, num_draws=4000, sd=0.5)), ladder=LADDER))
    assert with_items.variance == pytest.approx(found.variance + 0.25, rel=0.05)
    assert with_items.df == pytest.approx(found.df * (with_items.variance / found.variance) ** 2)


def test_one_seed_has_no_interval_of_a_backbone():
    seeds = [[1.0], [2.0], [3.0]]
    found = evidence(lifts(seeds, fixed_draws(seeds, sd=1.0)), ladder=LADDER)
    assert seed_noise(found) is None
    assert backbone_lifts(found) is None


def test_backbones_without_a_lift_are_left_out():
    seeds = [[1.0, 2.0], [np.nan, np.nan], [3.0, 4.0]]
    found = evidence(lifts(seeds, fixed_draws(seeds)), ladder=LADDER)
    assert [rung.backbone for rung in found.ladder] == ["a1", "b1"]
    assert found.families == ("a", "b")
    assert found.without_families(["a"]).ladder == (LADDER[2],)
    assert found.only([1]).lifts == pytest.approx([3.5])


def item_lifts(num_items, num_seeds, *, shared, own, chance, seed_sd=0.0):
    """Lifts of single items [K, S, n]: a part of all backbones, one of each, one of each seed, and the seeds' own level."""
    rng = np.random.default_rng(1)
    parts = shared * rng.standard_normal((1, 1, num_items)) + own * rng.standard_normal((3, 1, num_items))
    parts = parts + chance * rng.standard_normal((3, num_seeds, num_items))
    return parts + seed_sd * rng.standard_normal((3, num_seeds, 1))


@pytest.mark.parametrize("num_seeds", [2, 5])
def test_what_a_seed_does_to_an_item_is_counted_once(num_seeds):
    """The variance of a mean over seeds through items and seeds is (shared + own)/n + (seed + chance/n)/S."""
    n = 4000
    items = item_lifts(n, num_seeds, shared=1.0, own=0.5, chance=2.0)
    counts = draw_counts(np.random.default_rng(2), samples=2000, n=n)
    draws = np.einsum("dn,ksn->dks", counts, items) / n
    found = evidence(lifts(items.mean(axis=-1), draws), ladder=LADDER)
    assert np.diag(found.items) == pytest.approx(np.full(3, 1.25 / n), rel=0.15)
    assert found.items[0, 1] == pytest.approx(1.0 / n, rel=0.15)
    of_means = evidence(lifts(items.mean(axis=-1), draws.mean(axis=-1, keepdims=True)), ladder=LADDER)
    assert np.diag(of_means.items) == pytest.approx(np.full(3, (1.25 + 4 / num_seeds) / n), rel=0.15)


def test_the_covariance_is_that_of_the_bootstrap_and_never_negative():
    items = item_lifts(50, 3, shared=0.0, own=0.0, chance=1.0)
    counts = draw_counts(np.random.default_rng(2), samples=300, n=50)
    draws = np.einsum("dn,ksn->dks", counts, items) / 50
    one_seed = evidence(lifts(items.mean(axis=-1)[:, :1], draws[..., :1]), ladder=LADDER)
    assert one_seed.items == pytest.approx(np.cov(draws[..., 0].T))
    assert np.linalg.eigvalsh(evidence(lifts(items.mean(axis=-1), draws), ladder=LADDER).items).min() > -1e-12


def test_more_seeds_shrink_the_noise_and_add_degrees_of_freedom():
    seeds = [[1.0, 2.0], [4.0, 6.0], [0.0, 3.0]]
    found = evidence(lifts(seeds, fixed_draws(seeds)), ladder=LADDER)
    more = with_more_seeds(found, 2)
    assert seed_noise(more) == pytest.approx(seed_noise(found) / 2)
    assert more.seed_df.tolist() == [6, 6, 3]
    assert found.seed_df.tolist() == [2, 2, 1]


def test_many_studies_at_once_are_each_as_alone():
    rng = np.random.default_rng(3)
    seeds = rng.standard_normal((4, 3, 3))
    seeds[1, 0, 2] = np.nan
    draws = np.where(np.isnan(seeds)[:, None], np.nan, seeds[:, None] + rng.standard_normal((4, 30, 3, 3)))
    together = evidence(lifts(seeds, draws), ladder=LADDER)
    for number in range(4):
        alone = evidence(lifts(seeds[number], draws[number]), ladder=LADDER)
        for name in ("lifts", "items", "num_seeds", "seed_variance", "seed_df"):
            assert getattr(together, name)[number] == pytest.approx(getattr(alone, name)), name
