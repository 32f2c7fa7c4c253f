"""A lift at the mean of backbones or on the lines at a size, and what would decide a claim of it."""

import numpy as np
import pytest

from harness.api.errors import UserError
from harness.study.simulation.scenarios import SCENARIOS
from harness.study.simulation.simulated_studies import draw_studies
from harness.study.statistics.effects import GroupLifts
from harness.study.statistics.evidence import Evidence, Rung, evidence, with_more_seeds
from harness.study.statistics.hypotheses import SignClaim
from harness.study.statistics.level_advice import advise_levels
from harness.study.statistics.level_questions import LevelQuestion, mean_of_backbones
from harness.study.statistics.questions import ScaleQuestion

SIZES = (1e8, 1e9, 1e10)


def study(families=("a", "b"), lift=3.0, item=0.04, seed_variance=0.3, num_seeds=3, sizes=SIZES):
    num = len(families) * len(sizes)
    return Evidence(
        ladder=tuple(Rung(f"{family}-{size:g}", family=family, size=size) for family in families for size in sizes),
        lifts=lift + 0.1 * np.tile([1.0, -2.0, 1.0], num)[:num],
        items=np.full((num, num), item),
        num_seeds=np.full(num, num_seeds),
        seed_variance=np.full(num, seed_variance if num_seeds > 1 else np.nan),
        seed_df=np.full(num, float(len(sizes) * (num_seeds - 1))),
    )


def test_the_mean_varies_by_shared_items_and_by_seeds_of_each_family():
    found = study()
    mean = mean_of_backbones(found)
    own = 3 * (0.3 / 3) / 36  # a family's share: three backbones of three seeds, of six
    assert float(mean.value) == pytest.approx(3.0)
    assert float(mean.variance) == pytest.approx(0.04 + 2 * own)
    assert float(mean.df) == pytest.approx((0.04 + 2 * own) ** 2 / (2 * own**2 / 6))


def test_one_backbone_and_several_studies_at_once():
    seeds = np.array([[[1.0, 2.0, 3.0]], [[4.0, 4.0, 4.0]]])
    lifts = GroupLifts(name="g", scale="points", backbones=("x",), seeds=seeds, draws=np.repeat(seeds[:, None], 5, axis=1))
    mean = mean_of_backbones(evidence(lifts, ladder=[Rung("x", "x", 1e8)]))
    assert mean.value.tolist() == [2.0, 4.0]
    assert mean.variance == pytest.approx([1 / 3, 0])
    low, high = (float(end[0]) for end in mean.ends(0.95))
    assert (low, high) == pytest.approx((2 - 4.3027 / np.sqrt(3), 2 + 4.3027 / np.sqrt(3)), abs=1e-3)  # t of 2 df


def test_the_lines_at_a_size_are_those_of_the_question_of_scale():
    found = study()
    scale = ScaleQuestion(reference=1e8, target=1e10, margin=1.0).answer(found)
    for size, own in ((1e8, scale.reference), (1e10, scale.target)):
        answer = LevelQuestion(size=size).answer(found)
        assert float(answer.estimate.value) == pytest.approx(float(own.value))
        assert float(answer.estimate.variance) == pytest.approx(float(own.variance))
    large = LevelQuestion(size=1e10, families="at_large").answer(found)
    own = ScaleQuestion(reference=1e8, target=1e10, margin=1.0, families="at_large").answer(found).target
    assert float(large.estimate.variance) == pytest.approx(float(own.variance))
    assert float(large.estimate.df) == pytest.approx(float(own.df))


def test_what_cannot_be_answered_is_refused_in_words():
    with pytest.raises(UserError, match="a, b: one seed"):
        LevelQuestion(size=None).answer(study(num_seeds=1))
    with pytest.raises(UserError, match="one family says nothing of families at large"):
        LevelQuestion(size=None, families="at_large").answer(study(families=("a",)))
    with pytest.raises(UserError, match="no family answers"):
        LevelQuestion(size=1e13).answer(study())
    with pytest.raises(UserError, match="no backbone has a lift"):
        LevelQuestion(size=None).answer(study().only([]))


def claim_of(estimates):
    return SignClaim(estimate=estimates[0], margin=0.1)


@pytest.mark.parametrize(("size", "lift"), [(None, 0.6), (1e9, 0.4)])
def test_advice_is_the_fewest_seeds_that_decide(size, lift):
    found = study(lift=lift, item=0.01, seed_variance=4.0)
    question = LevelQuestion(size=size)
    answer = question.answer(found)
    assert not claim_of([answer.estimate]).decide(0.05).decided
    seeds = next(one for one in advise_levels([found], question, claim_of, alpha=0.05, runs_per_seed=4) if one.what == "seeds")
    more = int(seeds.amount)
    assert (seeds.runs, seeds.verdict) == (more * 4 * 6, "holds")
    decided = [
        claim_of([question.answer(with_more_seeds(found, number), assumed=answer.assumed).estimate]).decide(0.05).decided
        for number in range(1, more + 1)
    ]
    assert decided == [False] * (more - 1) + [True]


def test_advice_of_examples_and_sizes():
    found = study(lift=0.6, item=0.2, seed_variance=0.01)
    options = advise_levels([found], LevelQuestion(size=1e9), claim_of, alpha=0.05, runs_per_seed=4, available_items=20.0)
    assert [one.what for one in options] == ["examples"]
    assert options[0].runs == 0
    # Items that all share: another backbone does not take their noise away; what its own scatter adds, it does.
    scattered = study(families=("a",), lift=2.0, item=0.0, seed_variance=0.01)
    rung = Rung("a-3e9", "a", 3e9)
    options = advise_levels([scattered], LevelQuestion(size=1e9), claim_of, alpha=0.02, runs_per_seed=4, candidates=[rung])
    assert [(one.what, one.runs) for one in options if one.what == "size"] == [("size", 12)]


def test_with_one_seed_a_second_comes_first():
    (option,) = advise_levels([study(num_seeds=1)], LevelQuestion(size=None), claim_of, alpha=0.05, runs_per_seed=4)
    assert (option.verdict, option.runs) == ("undecided", 24)


@pytest.mark.parametrize("name", ["one family, constant", "three families, scattered"])
def test_the_interval_of_the_mean_holds_the_truth_as_often_as_it_says(name):
    (scenario,) = [one for one in SCENARIOS if one.name == name]
    drawn = draw_studies(scenario.world, 200, rng=np.random.default_rng(0), num_draws=300)
    found = evidence(drawn.lifts, ladder=scenario.world.ladder)
    low, high = mean_of_backbones(found).ends(0.95)
    truth = np.broadcast_to(drawn.truth, found.lifts.shape).mean(axis=-1)
    assert 0.90 <= ((low <= truth) & (truth <= high)).mean() <= 0.98
