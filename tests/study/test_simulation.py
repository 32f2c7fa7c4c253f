"""Simulated studies: that they are what they claim, and what fifty of them say of the intervals.

The bounds hold with overwhelming probability for intervals that cover 95 %, and the seed is fixed.
"""

from dataclasses import replace

import numpy as np
import pytest

from harness.api.randomness import generator
from harness.study.simulation.scenarios import QWEN3, SCENARIOS, XLMR
from harness.study.simulation.simulated_studies import (
    ItemSet,
    StudyWorld,
    constant,
    draw_studies,
    linear,
    saturating,
)
from harness.study.simulation.trial import COLUMNS, follow_advice, markdown, try_scenario
from harness.study.statistics.evidence import evidence
from harness.study.statistics.verdicts import VERDICTS

SCENARIO = {scenario.name: scenario for scenario in SCENARIOS}
SMALL = ItemSet(200, 2)


def few_items(name):
    """A scenario with small test sets, so that fifty studies take a second."""
    scenario = SCENARIO[name]
    return replace(scenario, world=replace(scenario.world, test_sets=(SMALL,)))


def test_curves():
    sizes = np.array([1e8, 1e9, 1e10])
    assert constant(3.0)(sizes).tolist() == [3, 3, 3]
    assert linear(3.0, slope=-1.0, at=1e9)(sizes) == pytest.approx([4, 3, 2])
    assert saturating(6.0, half=1e9, steepness=2.0)(sizes) == pytest.approx([6 / (1 + np.exp(-2)), 3, 6 / (1 + np.exp(2))])


def test_scores_on_an_endless_test_set_are_those_of_the_world():
    """No deviations, many items: the drawn lifts are the curve's, whatever difficulty and effects do to single items."""
    world = StudyWorld(
        families=(XLMR,), curve=linear(5.0, slope=-2.0, at=3e8), backbone_sd=0, seed_sd=0, num_seeds=2, test_sets=(ItemSet(4000),)
    )
    drawn = draw_studies(world, 30, rng=generator("endless", seed=0), num_draws=20)
    assert drawn.truth == pytest.approx(np.tile(world.expected_lifts(), (30, 1)))
    means = drawn.lifts.seeds.mean(axis=(0, 2))
    error = drawn.lifts.seeds.std(axis=(0, 2)).max() / np.sqrt(30)
    assert means == pytest.approx(world.expected_lifts(), abs=4 * error)
    assert error < 0.3


def test_deviations_have_the_spread_that_the_world_says():
    world = StudyWorld(
        families=(XLMR,), curve=constant(4.0), backbone_sd=2.0, seed_sd=3.0, num_seeds=8, test_sets=(ItemSet(500, 2),)
    )
    drawn = draw_studies(world, 60, rng=generator("spread", seed=0), num_draws=10)
    assert (drawn.truth - 4.0).std() == pytest.approx(2.0, rel=0.15)
    found = evidence(drawn.lifts, ladder=world.ladder)
    # Between seeds there is the seeds' own variance and what their answers to these items add.
    assert 9.0 < found.seed_variance.mean() < 13.0


def test_draws_have_the_variance_of_sampling_items():
    """The bootstrap's variance of a mean lift over seeds, averaged over studies, is the variance between studies."""
    world = StudyWorld(families=(QWEN3,), curve=constant(4.0), backbone_sd=0, seed_sd=0, num_seeds=2, test_sets=(SMALL,))
    drawn = draw_studies(world, 200, rng=generator("sampling", seed=0), num_draws=200)
    means = drawn.lifts.seeds.mean(axis=-1)
    told = drawn.lifts.draws.mean(axis=-1).var(axis=1, ddof=1)
    assert told.mean() == pytest.approx(means.var(axis=0, ddof=1).mean(), rel=0.12)
    covariance = np.mean([np.cov(one.mean(axis=-1).T)[0, 1] for one in drawn.lifts.draws])
    assert covariance == pytest.approx(np.cov(means.T)[0, 1], rel=0.5)
    assert covariance > 0.1


def test_the_same_seed_gives_the_same_studies():
    scenario = few_items("one family, constant")
    first, second = (try_scenario(scenario, num_studies=5, seed=1, num_draws=30) for _ in range(2))
    assert first == second
    assert first != try_scenario(scenario, num_studies=5, seed=2, num_draws=30)


@pytest.mark.parametrize(
    "name",
    [
        "one family, constant",
        "one family, linear",
        "one family, null",
        "three families, constant",
        "three families, scattered",
        "two seeds",
    ],
)
def test_intervals_cover_the_truth_and_verdicts_are_seldom_false(name):
    found = try_scenario(few_items(name), num_studies=50, seed=0, num_draws=150)
    assert set(found.coverage) <= set(COLUMNS)
    assert {"backbone", "line: slope", "reference", "target", "change"} <= set(found.coverage)
    assert min(found.coverage.values()) >= 0.8, found.coverage
    assert found.coverage["backbone"] <= 0.99
    assert found.wrong <= 0.2
    assert found.right + found.wrong + found.verdicts["undecided"] == pytest.approx(1)


def test_where_there_is_less_intervals_are_wide_or_not_given():
    one_seed = try_scenario(few_items("one seed"), num_studies=50, seed=0, num_draws=100)
    assert "backbone" not in one_seed.coverage
    three_sizes = try_scenario(few_items("three sizes"), num_studies=50, seed=0, num_draws=100)
    assert min(three_sizes.coverage[name] for name in ("line: slope", "reference", "target")) >= 0.9
    assert three_sizes.half_widths["change"] > 2 * one_seed.half_widths["change"]


def test_a_clear_fall_is_found():
    scenario = few_items("three families, reversing")
    steep = replace(scenario, world=replace(scenario.world, curve=linear(8.0, slope=-9.0, at=3e8)))
    found = try_scenario(steep, num_studies=50, seed=0, num_draws=100)
    assert found.verdicts["reverses"] >= 0.8


def test_following_the_advice_adds_seeds_until_it_is_decided():
    scenario = few_items("advice followed, linear")
    steep = replace(scenario.world, curve=linear(9.0, slope=-5.0, at=3e8), families=(QWEN3, XLMR))
    drawn = draw_studies(steep, 40, rng=generator("advice", seed=0), num_draws=100)
    codes, used = follow_advice(replace(scenario, world=steep), drawn)
    assert len(set(used.tolist())) > 2
    assert used.max() == steep.num_seeds
    decided = codes != VERDICTS.index("undecided")
    assert (used[~decided] > scenario.first_seeds).all()
    once = replace(scenario, looks=1, world=replace(steep, num_seeds=2))
    assert decided.mean() > 1 - try_scenario(once, num_studies=40, seed=0, num_draws=100).verdicts["undecided"]


def test_the_tables_have_a_line_a_scenario():
    found = try_scenario(few_items("one family, constant"), num_studies=5, seed=0, num_draws=30)
    coverage, verdicts = markdown([found, found]).split("\n\n")
    assert len(coverage.splitlines()) == len(verdicts.splitlines()) == 4
    assert {line.count("|") for line in coverage.splitlines()} == {len(COLUMNS) + 2}
    assert "| one family, constant | persists |" in verdicts


def test_names_are_unique_and_every_verdict_but_growth_is_some_scenario_s_truth():
    assert len(SCENARIO) == len(SCENARIOS)
    told = set().union(*(scenario.right for scenario in SCENARIOS))
    assert told == {"persists", "shrinks", "vanishes", "reverses", "never there"}
