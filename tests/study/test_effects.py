"""Lifts of groups, seed by seed and draw by draw, against the bootstrap's own means and differences."""

import numpy as np
import pytest

from harness.api.errors import UserError
from harness.scoring.bootstrap import CellStatistics, difference, estimates, mean_of
from harness.study.statistics.effects import LadderScores, ScoreKey, advantage, group_lifts, score_table_of, without_seeds
from harness.study.statistics.outcome_groups import OutcomeGroup, StudyCell, equal_weights, outcome_groups
from harness.study.statistics.scales import SCALES

ARMS, BACKBONES, SEEDS = ("none", "mnli", "squad"), ("small", "large"), (1, 2)
CELLS = (StudyCell("xnli", "de"), StudyCell("xnli", "sw"), StudyCell("panx", "sw"))


def accuracy(totals):
    return {"score": 100 * totals[..., 0] / totals[..., 1]}


@pytest.fixture(scope="module")
def found():
    """Bootstrap estimates of all cells: the languages of xnli are parallel, panx has items of its own."""
    rng = np.random.default_rng(0)
    cells, keys = [], []
    for arm in ARMS:
        for backbone in BACKBONES:
            for cell in CELLS:
                for seed in SEEDS:
                    right = rng.random(80) < 0.5 + 0.1 * ARMS.index(arm)
                    keys.append(ScoreKey(arm, backbone, cell, seed))
                    stats = np.stack([right, np.ones(80)], axis=1).astype(float)
                    cells.append(CellStatistics(name=repr(keys[-1]), stats=stats, combine=accuracy, items=cell.task))
    made = estimates(cells, seed=0, samples=50)
    return {key: made[repr(key)] for key in keys}


def table_of(found, **changes):
    axes = {"arms": ARMS, "backbones": BACKBONES, "cells": CELLS, "seeds": SEEDS} | changes
    return score_table_of(found, **axes)


ALL = OutcomeGroup(kind="zero_shot", name="all targets", weights=equal_weights(CELLS, lambda cell: True))


def test_points_are_the_means_and_differences_of_the_bootstrap(found):
    lifts = group_lifts(table_of(found), ALL, treated="mnli", baseline="none", scale="points")
    for place, backbone in enumerate(BACKBONES):
        for number, seed in enumerate(SEEDS):
            lift = {cell: difference(*(found[ScoreKey(arm, backbone, cell, seed)] for arm in ("mnli", "none"))) for cell in CELLS}
            told = mean_of([mean_of([lift[CELLS[0]], lift[CELLS[1]]]), lift[CELLS[2]]])
            assert lifts.seeds[place, number] == pytest.approx(told.value)
            assert lifts.draws[:, place, number] == pytest.approx(told.samples)


def test_a_cell_is_put_on_its_scale_before_cells_are_averaged(found):
    table = table_of(found)
    lifts = group_lifts(table, ALL, treated="mnli", baseline="none", scale="logit")
    scores = table.scores[:2] / 100
    logits = np.log(scores / (1 - scores))
    told = np.einsum("kcs,c->ks", logits[1] - logits[0], [0.25, 0.25, 0.5])
    assert lifts.seeds == pytest.approx(told)


def test_a_seed_without_a_cell_of_the_group_has_no_lift_and_one_backbone_does_not_cost_another(found):
    missing = ScoreKey("mnli", "small", CELLS[2], 2)
    lifts = group_lifts(
        table_of({key: one for key, one in found.items() if key != missing}), ALL, treated="mnli", baseline="none", scale="points"
    )
    assert np.isfinite(lifts.seeds).tolist() == [[True, False], [True, True]]
    assert np.isnan(lifts.draws[:, 0, 1]).all()
    xnli = OutcomeGroup(kind="target", name="xnli", weights=equal_weights(CELLS, lambda cell: cell.task == "xnli"))
    whole = group_lifts(table_of(found), xnli, treated="mnli", baseline="none", scale="points")
    assert np.isfinite(whole.seeds).all()


def test_a_baseline_that_is_not_trained_serves_every_seed(found):
    loose = {key._replace(seed=None) if key.arm == "none" else key: one for key, one in found.items() if key.seed == 1}
    loose |= {key: one for key, one in found.items() if key.arm != "none"}
    lifts = group_lifts(table_of(loose), ALL, treated="mnli", baseline="none", scale="points")
    both = table_of(found).scores
    told = np.einsum("kcs,c->ks", both[1] - both[0][..., :1], [0.25, 0.25, 0.5])
    assert lifts.seeds == pytest.approx(told)


def test_the_advantage_of_one_setting_is_free_of_the_baseline_in_points(found):
    table = table_of(found)
    first, second = (group_lifts(table, ALL, treated=arm, baseline="none", scale="points") for arm in ("squad", "mnli"))
    told = group_lifts(table, ALL, treated="squad", baseline="mnli", scale="points")
    found_ = advantage(first, second)
    assert found_.seeds == pytest.approx(told.seeds)
    assert found_.draws == pytest.approx(told.draws)
    other = group_lifts(table, ALL, treated="mnli", baseline="none", scale="logit")
    with pytest.raises(ValueError, match="not compared"):
        advantage(first, other)


def test_seeds_are_taken_out_of_values_and_draws(found):
    lifts = group_lifts(table_of(found), ALL, treated="mnli", baseline="none", scale="points")
    dropped = np.array([[True, False], [False, False]])
    left = without_seeds(lifts, dropped)
    assert np.isnan(left.seeds).tolist() == dropped.tolist()
    assert np.isnan(left.draws).any(axis=0).tolist() == dropped.tolist()
    means = LadderScores(
        arms=("a", "b"),
        backbones=("k",),
        cells=CELLS[:1],
        scores=np.full((2, 1, 1, 2), 50.0),
        draws=np.full((9, 2, 1, 1, 1), 50.0),
    )
    one = OutcomeGroup(kind="target", name="xnli", weights=(1.0,))
    with pytest.raises(ValueError, match="no seed can be taken out"):
        without_seeds(group_lifts(means, one, treated="b", baseline="a", scale="points"), np.ones((1, 2), dtype=bool))


def ladder(score, draw):
    scores, draws = np.full((2, 1, 1, 1), 60.0), np.full((4, 2, 1, 1, 1), 60.0)
    scores[1], draws[2, 1] = score, draw
    return LadderScores(arms=("none", "mnli"), backbones=("xlmr-base",), cells=CELLS[:1], scores=scores, draws=draws)


@pytest.mark.parametrize(("score", "draw", "said"), [(100.0, 90.0, "infinite$"), (95.0, 100.0, "in a draw of its test items$")])
def test_a_score_or_a_draw_without_a_place_on_the_scale_is_refused_by_name(score, draw, said):
    one = OutcomeGroup(kind="target", name="xnli", weights=(1.0,))
    table = ladder(score, draw)
    with pytest.raises(UserError) as error:
        group_lifts(table, one, treated="mnli", baseline="none", scale="logit")
    assert str(error.value).startswith("xlmr-base, xnli/de: no lift on the scale 'logit' for target xnli")
    assert error.value.message.endswith(said.removesuffix("$"))
    assert group_lifts(table, one, treated="mnli", baseline="none", scale="points").seeds == pytest.approx(score - 60)


def test_an_empty_group_is_refused(found):
    none = OutcomeGroup(kind="target", name="nothing", weights=(0.0, 0.0, 0.0))
    with pytest.raises(UserError, match="no cells in the group"):
        group_lifts(table_of(found), none, treated="mnli", baseline="none", scale=SCALES[0])


def test_the_groups_of_a_table():
    cells = (*CELLS, StudyCell("xnli", "en"), StudyCell("squad", "de"))
    groups = outcome_groups(
        cells, categories={"xnli": "classification", "panx": "structured"}, covered=("de",), same_task=("squad",)
    )
    found = {(group.kind, group.name): [round(weight, 3) for weight in group.weights] for group in groups}
    assert found["zero_shot", "all targets"] == [0.25, 0.25, 0.5, 0, 0]
    assert found["english", "all targets"] == [0, 0, 0, 1, 0]
    assert found["english", "xnli"] == [0, 0, 0, 1, 0]
    assert found["xtreme", "all targets"] == [0.111, 0.111, 0.333, 0.111, 0.333]
    assert found["same_task", "all targets"] == [0, 0, 0, 0, 1]
    assert found["target", "xnli"] == [0.5, 0.5, 0, 0, 0]
    assert found["category", "structured"] == [0, 0, 1, 0, 0]
    by_language = {name: weights for (kind, name), weights in found.items() if kind == "covered"}
    assert sorted(map(tuple, by_language.values())) == [(0, 0.5, 0.5, 0, 0), (1, 0, 0, 0, 0)]
    assert all(sum(group.weights) == pytest.approx(1) for group in groups)
    assert not [group for group in outcome_groups(cells, categories={}, covered=None) if group.kind in ("covered", "category")]
