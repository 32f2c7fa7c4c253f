"""What the hypotheses of a study file come to: each kind decided both ways, other readings, looks, and what would decide."""

from dataclasses import replace

import numpy as np
import pytest
from small_studies import LADDER, development_of, name_of, small_study, study_spec, without

from harness.api.errors import UserError
from harness.scoring.bootstrap import BootstrapEstimate
from harness.study.results.document import build_results
from harness.study.results.looking import registered
from harness.study.results.study_scores import ChosenRate, Member, TrainingKey
from harness.study.statistics.evidence import Rung
from harness.study.statistics.looks import LookLog


def by_size(first, last):
    """A lift that goes from one number at 1e8 to another at 1e10."""
    return lambda family, size, cell: first + (last - first) * (np.log10(size) - 8) / 2


LIFTS = {
    "none": 0.0,
    "mnli": 3.0,
    "squad": 5.0,
    "ccg": 0.0,
    "growing": by_size(2.0, 8.0),
    "shrinking": by_size(9.0, 3.0),
    "vanishing": by_size(10.0, -3.0),
    "reversing": by_size(9.0, -9.0),
    "harmful": -4.0,
    "tagger": lambda family, size, cell: 6.0 if cell.task == "udpos" else 1.0,
}
WIDE = {"X": (1e8, 3e8, 1e9, 3e9, 1e10), "M": (1e8, 1e9, 1e10)}


@pytest.fixture(scope="module")
def scores():
    made = small_study(LIFTS, WIDE)
    dev = {(arm, task): 50.0 + number for number, arm in enumerate(("ccg", "mnli", "squad")) for task in ("xnli", "udpos")}
    return replace(made, development=development_of(made, dev))


def results(scores, *hypotheses, looks=None, look=True, chosen=None, **options):
    build = {key: options.pop(key) for key in ("candidates", "registered_before") if key in options}
    # Only of the settings that are asked about: documents of all of them take seconds.
    asked = {name for one in hypotheses for key in ("settings", "than") for name in np.atleast_1d(one.get(key, ()))}
    asked |= {name for names in (chosen or {}).values() for name in names} | {"none", "mnli"}
    scores = replace(scores, arms=tuple(arm for arm in scores.arms if arm in asked))
    spec = study_spec(scores, hypotheses=hypotheses, chosen=chosen, **options)
    return build_results(spec, scores, looks=looks or LookLog(spec.verdicts.looks), look=look, **build)


def only(scores, *hypotheses, **options):
    """The entry of the first hypothesis."""
    return results(scores, *hypotheses, **options).document["hypotheses"][0]


def asks(kind, settings, **more):
    return {"name": "claim", "asks": kind, "settings": settings, **more}


SCALE = [
    ("mnli", "persists"),
    ("growing", "grows"),
    ("shrinking", "shrinks"),
    ("reversing", "reverses"),
    ("ccg", "never there"),
    ("harmful", "never there"),
]


@pytest.mark.parametrize(("settings", "told"), SCALE)
def test_a_question_of_scale(scores, settings, told):
    found = only(scores, asks("scale", settings), reference=1e8, target=1e10)
    assert found["verdict"] == told
    assert [one["name"] for one in found["numbers"]] == ["reference", "target", "change"]
    assert (found["families"][0]["family"], found["families"][0]["verdict"]) == ("X", told)
    assert found["p"] <= found["alpha"]


def test_a_lift_that_vanishes(scores):
    found = only(scores, asks("scale", "vanishing"), reference=1e8, target=10 ** (8 + 2 * 10 / 13))
    assert found["verdict"] == "vanishes"


KINDS = [
    (asks("helps", "mnli"), "holds"),
    (asks("helps", "harmful"), "refuted"),
    (asks("helps", "ccg"), "refuted"),
    (asks("helps", ["mnli", "harmful"]), "refuted"),  # their mean is below 0
    (asks("helps", ["mnli", "squad"], each=True), "holds"),
    (asks("helps", ["mnli", "harmful"], each=True), "refuted"),
    (asks("no_effect", "ccg"), "holds"),
    (asks("no_effect", "mnli"), "refuted"),
    (asks("no_effect", ["ccg", "mnli"], each=True), "refuted"),
    (asks("better", "squad", than="mnli"), "holds"),
    (asks("better", "mnli", than="squad"), "refuted"),
    (asks("better", "squad", than=["mnli", "ccg"]), "holds"),
    (asks("better", "mnli", than=["ccg", "squad"]), "refuted"),
    (asks("better", ["mnli", "squad"], than="ccg", each=True), "holds"),
    (asks("no_better", "mnli", than="squad"), "holds"),
    (asks("no_better", "squad", than="mnli"), "refuted"),
    (asks("better", "tagger", over={"target": "udpos"}, than_over=[{"target": "xnli"}]), "holds"),
    (asks("better", "tagger", over={"target": "xnli"}, than_over=[{"target": "udpos"}]), "refuted"),
    (asks("better", "tagger", over={"category": "tagging"}, than_over=[{"category": "classification"}, {}]), "holds"),
    (asks("no_better", "tagger", over={"target": "xnli"}, than_over=[{"target": "udpos"}]), "holds"),
    (asks("ranking", ["squad", "mnli", "none"]), "holds"),
    (asks("ranking", ["mnli", "squad", "none"]), "refuted"),
    (asks("helps", "growing", at="reference"), "holds"),
    (asks("helps", "vanishing", at="target"), "refuted"),
    (asks("better", "squad", than="mnli", at="target"), "holds"),
    (asks("helps", "best"), "holds"),
    (asks("better", "best", than="mnli"), "holds"),
    (asks("no_better", "mnli", than="best"), "holds"),
]


@pytest.mark.parametrize(("hypothesis", "told"), KINDS)
def test_each_kind_of_hypothesis_is_decided_both_ways(scores, hypothesis, told):
    chosen = {"best": ["ccg", "mnli", "squad"]} if "best" in (hypothesis["settings"], hypothesis.get("than")) else None
    found = only(scores, hypothesis, reference=1e8, target=1e10, chosen=chosen)
    assert (found["verdict"], found["why"]) == (told, "")
    assert found["numbers"]


def test_several_settings_are_averaged(scores):
    found = only(scores, asks("helps", ["mnli", "squad"]))
    assert found["numbers"][0]["name"] == "mean of mnli, squad"
    assert found["numbers"][0]["value"] == pytest.approx(4, abs=0.1)


def test_the_mean_over_backbones_is_of_all_in_lines(scores):
    found = only(scores, asks("helps", "growing"))
    sizes = [size for sizes in WIDE.values() for size in sizes]
    assert found["numbers"][0]["value"] == pytest.approx(np.mean([by_size(2, 8)("X", size, None) for size in sizes]), abs=0.1)
    assert len(found["backbones"]) == len(sizes)
    assert (found["cells"], found["examples"], found["num_seeds"]) == (4, 4000, {"fewest": 3, "most": 3})


def test_settings_that_are_compared_are_compared_on_the_same_cells(scores):
    """MNLI trains on xnli's own rows: there its 3 points are apart from squad's, too, whose lift is higher on udpos."""
    same = replace(scores, same_task=frozenset({("tagger", "udpos")}))
    found = only(same, asks("better", "mnli", than="tagger"))
    assert found["same_task_apart"] == ["udpos"]
    assert found["numbers"][0]["value"] == pytest.approx(2, abs=0.2)  # 3 on xnli over 1 on xnli
    assert found["cells"] == 2


def test_one_backbone_alone_answers_at_the_mean():
    """A study of one backbone and many settings: no line, and none is needed."""
    scores = small_study({"none": 0.0, "mnli": 3.0, "squad": 0.0}, {"XLM-R": (3e8,)})
    hypotheses = [
        {"name": "mnli helps", "asks": "helps", "settings": "mnli"},
        {"name": "squad nothing", "asks": "no_effect", "settings": "squad"},
        {"name": "scale", "asks": "scale", "settings": "mnli"},
    ]
    told = results(scores, *hypotheses).document
    assert [one["verdict"] for one in told["hypotheses"]] == ["holds", "holds", "undecided"]
    assert told["hypotheses"][2]["why"] == "no family answers (XLM-R: no slope of 1 size)"
    without_sizes = study_spec(scores, hypotheses=hypotheses[:2], reference=None, target=None)
    told = build_results(without_sizes, scores, looks=LookLog(1), look=True).document
    assert [one["verdict"] for one in told["hypotheses"]] == ["holds", "holds"]


@pytest.mark.parametrize(
    ("hypothesis", "options", "why"),
    [
        (asks("scale", "mnli"), {"reference": None, "target": None}, "the study's file gives no reference and target size"),
        (asks("helps", "mnli", at="target"), {"reference": None, "target": None}, "the study's file gives no target size"),
        (asks("scale", "mnli"), {"target": 1e12}, "decades beyond its ladder"),
        (asks("helps", "nope"), {}, "no scores of the setting 'nope'"),
        (asks("helps", "mnli", over={"target": "nope"}), {}, "mnli has no cells in target nope"),
        (asks("better", "mnli", than="nope"), {}, "no scores of the setting 'nope'"),
        (asks("helps", "best"), {"chosen": {"best": ["growing"]}}, "best: no backbone has a lift"),
    ],
)
def test_what_cannot_be_answered_is_undecided_with_its_reason(scores, hypothesis, options, why):
    other = {"name": "other", "asks": "helps", "settings": "mnli"}
    found = results(scores, hypothesis, other, **options).document["hypotheses"]
    assert found[0]["verdict"] == "undecided"
    assert why in found[0]["why"]
    # It was fixed beforehand, and is one of the two that share the level.
    assert (found[0]["p"], found[1]["verdict"]) == (1.0, "holds")
    assert found[1]["alpha"] == pytest.approx(0.025)


def test_a_study_none_of_whose_hypotheses_can_be_answered_spends_no_look(scores):
    found = results(scores, asks("helps", "nope"))
    assert (found.looks.looks, found.document["look"]["taken"]) == ((), False)
    assert found.document["hypotheses"][0]["verdict"] == "undecided"


def test_one_seed_needs_a_second_one_first():
    scores = small_study({"none": 0.0, "mnli": 3.0}, seeds=(1,))
    found = only(scores, asks("helps", "mnli"), asks("scale", "mnli") | {"name": "other"})
    assert found["verdict"] == "undecided"
    assert "one seed, so that it is not known how much seeds vary" in found["why"]
    (option,) = found["advice"]["options"]
    assert option["text"].startswith("a second seed on every backbone")
    assert option["runs"] == 7 * 5  # a seed of a backbone: mnli, xnli and udpos with and without it


def test_families_at_large_are_a_sample(scores):
    these = only(scores, asks("helps", "mnli"))["numbers"][0]
    large = only(scores, asks("helps", "mnli"), families="at_large")
    assert large["numbers"][0]["df"] == pytest.approx(1, abs=0.5)
    assert large["numbers"][0]["high"] - large["numbers"][0]["low"] > these["high"] - these["low"]
    assert set(large["heterogeneity"]) == {"mnli"}


# Readings


def readings(found):
    return {one["reading"]: one for one in found["readings"]}


def test_other_scales_are_read_with_the_margin_at_the_mean_baseline(scores):
    told = readings(only(scores, asks("helps", "mnli")))
    assert told["on the scale 'headroom'"]["margin"] == pytest.approx(100 / 40, rel=0.01)
    assert told["on the scale 'logit'"]["margin"] == pytest.approx(100 / (60 * 40), rel=0.01)
    assert "at the mean baseline 60.0" in told["on the scale 'logit'"]["why"]
    assert told["on the scale 'logit'"]["verdict"] == "holds"
    back = readings(only(scores, asks("helps", "mnli"), scale="logit", margin=0.05))
    assert back["on the scale 'points'"]["margin"] == pytest.approx(0.05 * 60 * 40 / 100, rel=0.01)


def test_scales_that_disagree_are_told():
    """The same 4 points are 8 percent of what is left to win where the backbone is small, and 20 where it is large."""

    def base(family, size, cell):
        return 100 - 400 / (8 + 6 * (np.log10(size) - 8))

    scores = small_study(
        {"none": base, "mnli": lambda family, size, cell: base(family, size, cell) + 4},
        {"X": (1e8, 3e8, 1e9, 3e9, 1e10)},
        base=0.0,
    )
    found = only(scores, asks("scale", "mnli"), reference=1e8, target=1e10)
    assert found["verdict"] == "persists"
    assert readings(found)["on the scale 'headroom'"]["verdict"] == "grows"
    assert "on the scale 'headroom': grows, which contradicts 'persists' (the study's own reading)" in found["disagreements"]


def test_a_scale_that_is_refused_is_a_reading_that_is_not_given():
    scores = small_study({"none": 0.0, "mnli": 39.5})
    told = readings(only(scores, asks("helps", "mnli")))["on the scale 'logit'"]
    assert (told["verdict"], "whose logit is infinite" in told["why"]) == (None, True)


def failing(scores):
    """One seed of one backbone learnt nothing on xnli."""
    key = TrainingKey("mnli", name_of("X", 1e9), "xnli", 2)
    shift = {
        place: BootstrapEstimate(one.value - 50, one.samples - 50)
        for place, one in scores.estimates.items()
        if (place.arm, place.backbone, place.cell.task, place.seed) == key
    }
    assert len(shift) == 3
    return replace(scores, estimates={**scores.estimates, **shift}, degenerate=frozenset({key}))


def test_seeds_that_learnt_nothing_are_in_the_verdict_and_out_of_a_reading(scores):
    found = only(failing(scores), asks("helps", "mnli"))
    assert found["verdict"] == "undecided"
    assert readings(found)["without degenerate seeds"]["verdict"] == "holds"
    assert "without degenerate seeds: holds, where the study's own reading is undecided" in found["disagreements"]
    # A hypothesis that does not rest on them has no such reading.
    assert "without degenerate seeds" not in readings(only(failing(scores), asks("helps", "squad")))
    assert "without degenerate seeds" not in readings(only(failing(scores), asks("helps", "mnli", over={"target": "udpos"})))


def test_a_composite_rests_on_the_seeds_of_the_setting_that_it_chose(scores):
    chosen = {"best": ["ccg", "mnli"]}
    assert "without degenerate seeds" in readings(only(failing(scores), asks("helps", "best"), chosen=chosen))
    told = readings(only(failing(scores), asks("helps", "best"), chosen=chosen))["without degenerate seeds"]
    assert told["verdict"] == "holds"


def contaminated(scores, **doubts):
    members = tuple(replace(one, contamination=doubts[one.rung.family]) for one in scores.members)
    return replace(scores, members=members)


def test_families_that_may_have_seen_the_tasks_are_taken_out_of_readings():
    """X helps, M, whose pretraining is contaminated, does the more."""
    scores = small_study({"none": 0.0, "mnli": lambda family, size, cell: 0.0 if family == "X" else 3.0})
    told = only(contaminated(scores, X="none", M="known"), asks("helps", "mnli"))
    assert told["verdict"] == "holds"
    reading = readings(told)["without families whose pretraining is known to have seen the tasks"]
    assert reading["verdict"] == "refuted"
    assert any("refuted, which contradicts 'holds'" in line for line in told["disagreements"])
    assert "without families whose pretraining may have seen the tasks" not in readings(told)
    unknown = readings(only(contaminated(scores, X="unknown", M="known"), asks("helps", "mnli")))
    assert unknown["without families whose pretraining is known to have seen the tasks"]["verdict"] == "refuted"
    left = unknown["without families whose pretraining may have seen the tasks"]
    assert (left["verdict"], left["why"]) == (None, "no family is left")


def test_confounds_are_told(scores):
    members = list(scores.members)
    members[0] = replace(members[0], facts={"recipe": "other"}, covered=("en",))
    rate = ChosenRate(arm="mnli", backbone=name_of("X", 1e9), task="xnli", rate=1e-5, trials={1e-5: 60.0, 3e-5: 50.0})
    inside = ChosenRate(arm="mnli", backbone=name_of("M", 1e9), task="", rate=2e-5, trials={1e-5: 1.0, 2e-5: 2.0, 3e-5: 1.0})
    found = only(replace(scores, members=tuple(members), rates=(rate, inside)), asks("helps", "mnli"))["confounds"]
    assert any(line.startswith("X: recipe changes with size: other (X-1e+08); r (") for line in found)
    assert any(line.startswith("X: languages of its pretraining changes with size: 1 of 3 test languages") for line in found)
    assert found[-1] == "learning rate at the edge of its grid: X-1e+09, mnli, xnli: 1e-05 of 1e-05, 3e-05"
    assert not any("M-1e+09" in line for line in found[-1:])


# Looks


PERSISTS = [asks("scale", "mnli") | {"name": "persists"}, asks("helps", "noisy") | {"name": "helps"}]


@pytest.fixture(scope="module")
def noisy():
    """A setting whose seeds vary so much that nothing is decided."""
    rng = np.random.default_rng(1)
    return small_study(
        {"none": 0.0, "mnli": 3.0, "noisy": lambda family, size, cell: 0.8 + 6 * rng.standard_normal()}, available=3.0
    )


def test_the_level_of_a_look_is_what_it_may_spend(noisy):
    found = results(noisy, *PERSISTS, looks=LookLog(3))
    assert found.document["look"]["alpha"] == pytest.approx(0.0007, abs=5e-5)
    assert (found.document["look"]["number"], found.document["look"]["taken"]) == (1, True)
    assert [one["verdict"] for one in found.document["hypotheses"]] == ["persists", "undecided"]
    assert [look.verdicts for look in found.looks.looks] == [{"persists": "persists", "helps": "undecided"}]


def test_the_same_data_again_are_no_new_look(noisy):
    first = results(noisy, *PERSISTS, looks=LookLog(2))
    again = results(noisy, *PERSISTS, looks=first.looks)
    assert again == first
    assert len(again.looks.looks) == 1


def test_what_an_earlier_look_decided_stands(noisy):
    log = LookLog(2).looked("before", {"persists": "shrinks", "helps": "undecided"})
    found = results(noisy, *PERSISTS, looks=log)
    own = found.document["hypotheses"][0]
    assert (own["verdict"], own["kept"], own["now"]) == ("shrinks", {"look": 1, "verdict": "shrinks"}, "persists")
    assert found.looks.looks[1].verdicts["persists"] == "shrinks"
    assert found.document["look"]["number"] == 2


def test_behind_the_planned_looks_nothing_new_is_decided(noisy):
    log = LookLog(1).looked("before", {"persists": "persists", "helps": "undecided"})
    found = results(noisy, *PERSISTS, looks=log)
    first, second = found.document["hypotheses"]
    assert (first["verdict"], second["verdict"]) == ("persists", "undecided")
    assert "all of alpha is spent" in second["why"]
    assert (second["now"], second["p"]) == (None, None)
    assert second["numbers"]
    assert found.looks == log
    assert "following this cannot decide it any more" in second["advice"]["said"]


@pytest.mark.parametrize("look", [True, False])
def test_without_all_scores_no_look_is_spent_and_estimates_are_shown(noisy, look):
    partial = without(noisy, lambda key: key == next(iter(noisy.estimates)))
    found = results(partial, *PERSISTS, look=look)
    own = found.document["hypotheses"]
    assert [one["verdict"] for one in own] == ["not looked", "not looked"]
    assert own[0]["why"] == "1 score is missing, so that no look is spent"
    assert own[0]["numbers"][0]["value"] == pytest.approx(3, abs=0.3)
    assert "low_at_level" not in own[0]["numbers"][0]
    assert all(one["verdict"] is None for one in own[0]["families"])
    assert (own[0]["readings"], own[0]["advice"]) == ([], None)
    assert found.looks == LookLog(1)


def test_a_look_that_is_not_asked_for_is_not_taken_and_decisions_stay(noisy):
    found = results(noisy, *PERSISTS, look=False)
    assert found.document["look"]["why_not"] == "no look was asked for"
    assert found.document["hypotheses"][0]["verdict"] == "not looked"
    log = LookLog(2).looked("before", {"persists": "persists", "helps": "undecided"})
    kept = results(noisy, *PERSISTS, looks=log, look=False).document["hypotheses"]
    assert [one["verdict"] for one in kept] == ["persists", "not looked"]


def test_what_was_fixed_beforehand_has_a_digest_that_knows_when_it_changes(noisy):
    spec = study_spec(noisy, hypotheses=PERSISTS)
    assert registered(spec) == registered(study_spec(noisy, hypotheses=PERSISTS, alpha=0.05, margin=1, note="a note"))
    grown = spec.model_copy(update={"seeds": (1, 2, 3, 4), "description": "more"})
    assert registered(grown) == registered(spec)
    digests = {
        registered(study_spec(noisy, hypotheses=PERSISTS, margin=2.0)),
        registered(study_spec(noisy, hypotheses=PERSISTS[:1])),
        registered(study_spec(noisy, hypotheses=PERSISTS, chosen={"best": ["mnli"]})),
        registered(spec),
    }
    assert len(digests) == 4
    same = results(noisy, *PERSISTS, registered_before=registered(spec)).document["fixed"]
    other = results(noisy, *PERSISTS, registered_before=registered(spec), margin=2.0).document["fixed"]
    assert (same["changed_since_first_look"], other["changed_since_first_look"]) == (False, True)


def test_an_undecided_hypothesis_says_what_would_decide_it_and_what_it_costs(noisy):
    found = results(noisy, *PERSISTS, looks=LookLog(2)).document["hypotheses"][1]
    assert found["verdict"] == "undecided"
    assert found["advice"]["next_look"]["number"] == 2
    seeds = next(one for one in found["advice"]["options"] if one["what"] == "seeds")
    backbones = sum(map(len, LADDER.values()))
    # A seed of a backbone: the intermediate phase, and two targets with and without it.
    assert seeds["runs"] == seeds["amount"] * backbones * 5
    assert seeds["text"] == f"{seeds['amount']:g} more seeds on each of {backbones} backbones: {seeds['runs']} training runs"
    assert seeds["verdict"] in ("holds", "refuted")


def test_the_advice_is_for_what_the_next_look_may_spend(noisy):
    """The more looks are planned, the less the second may spend, and the more seeds it takes."""

    def advice(planned):
        own = results(noisy, *PERSISTS, looks=LookLog(planned)).document["hypotheses"][1]
        seeds = next(one["amount"] for one in own["advice"]["options"] if one["what"] == "seeds")
        # Of two hypotheses one is decided, so that all of the level is left to the other.
        assert own["advice"]["alpha"] == own["advice"]["next_look"]["alpha"]
        return seeds

    assert advice(3) > advice(2)


def test_a_name_stands_for_one_hypothesis(scores):
    with pytest.raises(UserError, match="two hypotheses are named 'claim'"):
        results(scores, asks("helps", "mnli"), asks("scale", "mnli"))


def test_same_task_cells_that_a_hypothesis_asks_for_are_told(scores):
    same = replace(scores, same_task=frozenset({("mnli", "xnli")}))
    told = "mnli trains on xnli's own data: no transfer between tasks"
    assert told in only(same, asks("helps", "mnli", over={"target": "xnli"}))["confounds"]
    assert told not in only(same, asks("helps", "mnli"))["confounds"]


def test_retrieval_without_training_costs_its_intermediate_phase_only():
    rng = np.random.default_rng(1)
    lifts = {"none": 0.0, "noisy": lambda family, size, cell: 0.8 + 6 * rng.standard_normal()}
    scores = small_study(lifts, untrained=("xnli", "udpos"))
    found = only(scores, asks("helps", "noisy"))
    seeds = next(one for one in found["advice"]["options"] if one["what"] == "seeds")
    assert seeds["runs"] == seeds["amount"] * 7


def test_more_examples_and_other_sizes_are_tried_where_there_are_some():
    """Four sizes of one family on few items: their noise is what is in the way."""
    scores = small_study({"none": 0.0, "mnli": 2.0}, {"X": (1e8, 3e8, 1e9, 3e9)}, lift_noise=0.8, available=50.0, num_draws=200)
    found = only(scores, asks("scale", "mnli"), candidates=[Rung("X-1e+10", "X", 1e10), Rung("Z", "Z", 1e9)])
    assert found["verdict"] == "undecided"
    kinds = {one["what"]: one for one in found["advice"]["options"]}
    assert kinds["examples"]["runs"] == 0
    assert 1 < kinds["examples"]["amount"] <= 50
    assert kinds["size"]["text"] == "X-1e+10 (1e+10 parameters) with 3 seeds: 15 training runs"
    assert not any(one["text"].startswith("Z") for one in found["advice"]["options"])


def test_a_bridge_is_in_no_hypothesis(scores):
    of = name_of("X", 1e9)
    more = {
        key._replace(backbone="lora"): BootstrapEstimate(one.value + 30, one.samples + 30)
        for key, one in scores.estimates.items()
        if key.backbone == of and key.arm != "none"
    }
    more |= {
        key._replace(backbone="lora"): one for key, one in scores.estimates.items() if key.backbone == of and key.arm == "none"
    }
    bridge = Member(rung=Rung("lora", "X", 1e9), model="lora", method="lora", bridges=of)
    bridged = replace(scores, estimates={**scores.estimates, **more}, members=(*scores.members, bridge))
    assert only(bridged, asks("helps", "mnli")) == only(scores, asks("helps", "mnli"))
