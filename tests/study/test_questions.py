"""From evidence to a verdict of scale, of one family or several, and what would decide it."""

from dataclasses import replace

import numpy as np
import pytest

from harness.api.errors import UserError
from harness.study.statistics.advice import MOST_SEEDS, advise, seeds_that_decide, with_backbone
from harness.study.statistics.evidence import Evidence, Rung, with_more_seeds
from harness.study.statistics.hypotheses import p_value_of
from harness.study.statistics.questions import ScaleQuestion
from harness.study.statistics.verdicts import VERDICTS

SIZES = (1e8, 3e8, 1e9, 3e9, 1e10)
QUESTION = ScaleQuestion(reference=1e8, target=1e10, margin=1.0)


def study(families, items=0.04, own=0.01, seed_variance=0.2, num_seeds=3, sizes=SIZES, scatter=1.0):
    """Families {name: (lift at 1e9, slope)} with fixed scatter around their lines."""
    num = len(sizes) * len(families)
    around = scatter * np.array([0.1, -0.15, 0.05, 0.12, -0.12])[: len(sizes)]
    lifts = [level + slope * (np.log10(sizes) - 9) + around for level, slope in families.values()]
    return Evidence(
        ladder=tuple(Rung(f"{family}-{size:g}", family=family, size=size) for family in families for size in sizes),
        lifts=np.concatenate(lifts),
        items=np.full((num, num), items) + own * np.eye(num),
        num_seeds=np.full(num, num_seeds),
        seed_variance=np.full(num, seed_variance if num_seeds > 1 else np.nan),
        seed_df=np.repeat(float(len(sizes) * (num_seeds - 1)), num),
    )


def verdict(found, question=QUESTION, alpha=0.05):
    return question.answer(found).claim.decide(alpha).verdict


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ((4, 0), "persists"),
        ((5, -2), "shrinks"),
        ((5, 2), "grows"),
        ((2, -2), "vanishes"),
        ((0, -3), "reverses"),
        ((0, 0), "never there"),
    ],
)
def test_the_verdict_of_a_family(line, told):
    assert verdict(study({"a": line})) == told


def test_several_families_answer_by_their_mean():
    found = study({"a": (4, 0), "b": (6, 0)})
    answer = QUESTION.answer(found)
    alone = [QUESTION.answer(found.only(found.places(family))) for family in ("a", "b")]
    assert answer.target.value == pytest.approx(np.mean([one.target.value for one in alone]))
    assert answer.claim.decide(0.05).verdict == "persists"
    assert set(answer.pooled) == {"reference", "target", "change"}
    assert alone[0].pooled == {}


def test_families_at_large_take_more_to_decide():
    found = study({"a": (4, 0), "b": (6, 0)})
    large = replace(QUESTION, families="at_large").answer(found)
    assert p_value_of(large.claim) > p_value_of(QUESTION.answer(found).claim)
    assert large.target.df == pytest.approx(1, abs=0.5)
    with pytest.raises(UserError, match="one family says nothing of families at large"):
        replace(QUESTION, families="at_large").answer(study({"a": (4, 0)}))


def test_a_family_that_cannot_answer_is_left_out_and_it_is_said_why():
    found = study({"a": (4, 0), "b": (6, 0)})
    short = found.only([*found.places("a"), *found.places("b")[:2]])
    answer = QUESTION.answer(short)
    assert list(answer.lines) == ["a"]
    assert answer.left_out == {"b": "b: no slope of 2 sizes"}
    far = replace(QUESTION, target=5e11)
    with pytest.raises(UserError, match="no family answers") as error:
        far.answer(found)
    assert "decades beyond its ladder" in str(error.value)


def test_without_a_family_the_question_is_asked_of_the_others():
    found = study({"a": (4, 0), "b": (0, 0)})
    assert verdict(found.without_families(["b"])) == "persists"
    assert verdict(found.without_families(["a"])) == "never there"


def test_advice_on_seeds_is_what_brute_force_finds():
    found = study({"a": (4, -0.1)}, seed_variance=1.0, scatter=2)
    answer = QUESTION.answer(found)
    assert verdict(found) == "undecided"
    fewest, code = seeds_that_decide(found, QUESTION, alpha=0.05)
    assert 1 < fewest <= MOST_SEEDS
    for more in (int(fewest) - 1, int(fewest)):
        given = QUESTION.answer(with_more_seeds(found, more), assumed=answer.assumed).codes(0.05)
        assert VERDICTS[int(given)] == ("persists" if more == fewest else "undecided")
    assert VERDICTS[int(code)] == "persists"
    option = advise(found, QUESTION, alpha=0.05, runs_per_seed=4)[0]
    assert (option.what, option.amount, option.verdict) == ("seeds", fewest, "persists")
    assert option.runs == fewest * 4 * 5
    assert option.text == f"{fewest} more seeds on each of 5 backbones: {option.runs} training runs"


def test_a_lower_level_takes_more_seeds_and_what_seeds_do_not_change_is_not_advised():
    found = study({"a": (4, -0.1)}, seed_variance=1.0, scatter=2)
    at_5, at_2 = (int(seeds_that_decide(found, QUESTION, alpha=alpha)[0]) for alpha in (0.05, 0.02))
    assert at_5 < at_2
    scattered = replace(found, lifts=found.lifts + np.array([3, -3, 0, 3, -3]), seed_variance=np.full(5, 0.01))
    assert seeds_that_decide(scattered, QUESTION, alpha=0.05)[0] == 0
    assert [one for one in advise(scattered, QUESTION, alpha=0.05, runs_per_seed=4) if one.what == "seeds"] == []


def test_many_studies_are_advised_at_once():
    found = study({"a": (4, -0.1)}, seed_variance=1.0, scatter=2)
    halved = replace(found, seed_variance=found.seed_variance / 2, lifts=found.lifts + 5)
    names = ("lifts", "items", "num_seeds", "seed_variance", "seed_df")
    several = replace(found, **{name: np.stack([getattr(found, name), getattr(halved, name)]) for name in names})
    fewest, _ = seeds_that_decide(several, QUESTION, alpha=0.05)
    assert fewest.tolist() == [int(seeds_that_decide(one, QUESTION, alpha=0.05)[0]) for one in (found, halved)]
    assert len(set(fewest.tolist())) == 2


def test_more_examples_are_advised_where_items_are_what_is_uncertain():
    """A lift of 4 whose common error through items is 3: no number of seeds helps, more items do."""
    found = study({"a": (4, 0)}, items=9.0, seed_variance=0.05)
    options = advise(found, QUESTION, alpha=0.05, runs_per_seed=4, available_items=10)
    assert [one.what for one in options] == ["examples"]
    assert options[0].runs == 0
    assert 1 < options[0].amount < 10
    assert verdict(replace(found, items=found.items / options[0].amount)) == "persists"
    assert advise(found, QUESTION, alpha=0.05, runs_per_seed=4) == []


def test_another_size_is_advised_where_it_would_decide():
    found = study({"a": (4, -0.1)}, sizes=SIZES[:4], scatter=2)
    largest = Rung("a-large", family="a", size=1e10)
    assert verdict(found) == "undecided"
    options = {one.what: one for one in advise(found, QUESTION, alpha=0.05, runs_per_seed=4, candidates=[largest])}
    assert options["size"].amount == 1e10
    assert options["size"].runs == 3 * 4
    assert options["size"].text.startswith("a-large (1e+10 parameters) with 3 seeds")
    others = [Rung("b-large", family="b", size=1e10), Rung("a-huge", family="a", size=1e12)]
    assert not [one for one in advise(found, QUESTION, alpha=0.05, runs_per_seed=4, candidates=others) if one.what == "size"]


def test_a_backbone_to_be_added_is_as_uncertain_as_the_others():
    found = study({"a": (4, 0), "b": (3, 0)}, items=0.5, own=0.2)
    more = with_backbone(found, Rung("a-large", family="a", size=3e10), lift=4.0)
    assert more.items[-1, -1] == pytest.approx(0.7)
    assert more.items[-1, :-1] == pytest.approx(np.full(10, 0.5), abs=0.05)
    assert np.linalg.eigvalsh(more.items).min() > 0
    assert more.seed_df[more.places("a")].tolist() == [12.0] * 6
    assert more.seed_df[more.places("b")].tolist() == [10.0] * 5
    assert QUESTION.answer(more).lines["a"].largest == 3e10


def test_with_one_seed_the_advice_is_a_second_one():
    found = study({"a": (4, 0)}, num_seeds=1)
    (option,) = advise(found, QUESTION, alpha=0.05, runs_per_seed=4)
    assert (option.what, option.amount, option.runs) == ("seeds", 1, 20)
    assert option.text.startswith("a second seed on every backbone")
