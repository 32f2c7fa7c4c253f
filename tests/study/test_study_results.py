"""study.json from hand-made tables: lifts by group, scale and size, what is missing, bridges, curves; schema and bytes."""

import json
from dataclasses import replace

import numpy as np
import pytest
from small_studies import LADDER, development_of, name_of, small_study, study_spec, without

from harness.api.errors import UserError
from harness.scoring.bootstrap import BootstrapEstimate
from harness.study.results.document import build_results, check_results
from harness.study.results.estimate_entries import estimate_entry, rounded
from harness.study.results.score_entries import ReferenceScore
from harness.study.results.study_scores import Member
from harness.study.statistics.effects import ScoreKey
from harness.study.statistics.evidence import Rung
from harness.study.statistics.looks import LookLog
from harness.study.statistics.outcome_groups import StudyCell
from harness.study.statistics.student import StudentEstimate

LIFTS = {"none": 0.0, "mnli": lambda family, size, cell: 3.0 if cell.lang != "en" else 9.0}


def document(scores, *, look=True, looks=1, **options):
    spec_options = {key: options.pop(key) for key in ("hypotheses", "chosen", "scale", "note") if key in options}
    spec = study_spec(scores, looks=looks, **spec_options)
    return build_results(spec, scores, looks=LookLog(looks), look=look, **options).document


def entry(found, kind, group="all targets", setting="mnli"):
    (one,) = [one for one in found["lifts"] if (one["setting"], one["kind"], one["group"]) == (setting, kind, group)]
    return one


def lift(found, backbone, kind, group="all targets", setting="mnli", scale="points"):
    (one,) = [one for one in entry(found, kind, group, setting)["scales"][scale]["backbones"] if one["backbone"] == backbone]
    return one


@pytest.fixture(scope="module")
def scores():
    return small_study(LIFTS)


@pytest.fixture(scope="module")
def found(scores):
    return document(scores, hypotheses=[{"name": "persists", "asks": "scale", "settings": "mnli"}])


def test_the_same_input_gives_the_same_bytes_which_fit_the_schema(scores, found):
    again = document(small_study(LIFTS), hypotheses=[{"name": "persists", "asks": "scale", "settings": "mnli"}])
    assert json.dumps(again, allow_nan=False) == json.dumps(found, allow_nan=False)
    check_results(json.loads(json.dumps(found)))


def test_a_document_that_does_not_fit_the_schema_is_refused(found):
    wrong = {**found, "look": {**found["look"], "number": "first"}}
    with pytest.raises(UserError, match=r"look\.number"):
        check_results(wrong)


def test_a_lift_is_the_mean_over_languages_then_targets_of_each_seed(scores, found):
    name = name_of("X", 1e9)
    own = lift(found, name, "zero_shot")
    for seed, told in zip(scores.seeds, own["seeds"], strict=True):
        by_target = []
        for task in ("xnli", "udpos"):
            pairs = [
                scores.estimates[ScoreKey("mnli", name, StudyCell(task, lang), seed)].value
                - scores.estimates[ScoreKey("none", name, StudyCell(task, lang), seed)].value
                for lang in ("de", "sw")
            ]
            by_target.append(np.mean(pairs))
        assert told == pytest.approx(np.mean(by_target), rel=1e-5)
    assert own["lift"]["value"] == pytest.approx(np.mean(own["seeds"]), rel=1e-5)
    assert own["lift"]["low"] < own["lift"]["value"] < own["lift"]["high"]
    assert own["num_seeds"] == 3


def test_english_is_shown_and_in_no_zero_shot_lift(found):
    name = name_of("X", 1e9)
    assert lift(found, name, "zero_shot")["lift"]["value"] == pytest.approx(3, abs=0.3)
    assert lift(found, name, "english")["lift"]["value"] == pytest.approx(9, abs=0.3)
    assert lift(found, name, "english", "xnli")["lift"]["value"] == pytest.approx(9, abs=0.3)
    assert lift(found, name, "xtreme")["lift"]["value"] == pytest.approx(5, abs=0.3)
    assert lift(found, name, "target", "xnli")["lift"]["value"] == pytest.approx(3, abs=0.3)


def test_every_kind_of_group_is_there_on_three_scales(found):
    kinds = {one["kind"] for one in found["lifts"]}
    assert kinds == {"zero_shot", "english", "xtreme", "target", "category", "family", "script", "covered"}
    headroom = lift(found, name_of("X", 1e9), "zero_shot", scale="headroom")["lift"]["value"]
    assert headroom == pytest.approx(100 * 3 / 40, abs=0.5)
    logit = lift(found, name_of("X", 1e9), "zero_shot", scale="logit")["lift"]["value"]
    assert logit == pytest.approx(np.log(63 / 37) - np.log(60 / 40), abs=0.02)


def test_families_have_lines_of_three_sizes_and_a_mean(found):
    own = entry(found, "zero_shot")["scales"]["points"]
    lines = {one["family"]: one["line"] for one in own["families"]}
    assert set(lines) == {"X", "M"}
    assert lines["X"]["reference"]["value"] == pytest.approx(3, abs=0.3)
    assert lines["X"]["slope"]["low"] < 0 < lines["X"]["slope"]["high"]
    pooled = {one["number"]: one for one in own["pooled"]}
    assert set(pooled) == {"slope", "reference", "target", "change"}
    means = np.mean([lines[name]["target"]["value"] for name in ("X", "M")])
    assert pooled["target"]["mean"]["value"] == pytest.approx(means, rel=1e-4)
    assert [one["family"] for one in pooled["target"]["at_large"]["families"]] == ["X", "M"]


def test_a_family_of_two_sizes_has_no_line_and_a_far_size_no_level():
    scores = small_study(LIFTS, {"X": (1e8, 1e9), "Y": (1e6, 3e6, 1e7)})
    own = entry(document(scores), "zero_shot")["scales"]["points"]
    told = {one["family"]: one for one in own["families"]}
    assert (told["X"]["line"], told["X"]["why"]) == (None, "X: no slope of 2 sizes")
    assert told["Y"]["line"]["slope"] is not None
    assert (told["Y"]["line"]["reference"], told["Y"]["line"]["change"]) == (None, None)
    assert "decades beyond its ladder" in told["Y"]["line"]["beyond"][0]
    assert [one["number"] for one in own["pooled"]] == ["slope"]


def test_what_pretraining_covered_is_asked_of_each_family(scores):
    members = tuple(replace(one, covered={"X": ("en", "sw"), "M": None}[one.rung.family]) for one in scores.members)
    lifts = {"none": 0.0, "mnli": lambda family, size, cell: {"de": 1.0, "sw": 5.0, "en": 0.0}[cell.lang]}
    told = document(small_study(lifts, members=members))
    assert lift(told, name_of("X", 1e9), "covered", "covered")["lift"]["value"] == pytest.approx(5, abs=0.3)
    assert lift(told, name_of("X", 1e9), "covered", "not covered")["lift"]["value"] == pytest.approx(1, abs=0.3)
    own = {one["backbone"]: one for one in entry(told, "covered", "covered")["backbones"]}
    assert own[name_of("M", 1e9)]["why"] == "the languages of its pretraining are not recorded"
    assert own[name_of("X", 1e9)]["cells"] == 2


def test_languages_that_differ_in_coverage_are_joined_over_families(scores):
    """German is covered for X, Swahili for M: each family's lift is of its own languages."""
    members = tuple(replace(one, covered={"X": ("de",), "M": ("sw",)}[one.rung.family]) for one in scores.members)
    lifts = {"none": 0.0, "mnli": lambda family, size, cell: {"de": 1.0, "sw": 5.0, "en": 0.0}[cell.lang]}
    told = document(small_study(lifts, members=members))
    values = [lift(told, name_of(family, 1e9), "covered", "covered")["lift"]["value"] for family in ("X", "M")]
    assert values == pytest.approx([1, 5], abs=0.3)


def test_same_task_cells_stand_apart():
    scores = small_study(
        {"none": 0.0, "mnli": lambda family, size, cell: 8.0 if cell.task == "xnli" else 2.0},
        same_task=frozenset({("mnli", "xnli")}),
    )
    told = document(scores)
    name = name_of("X", 1e9)
    assert lift(told, name, "zero_shot")["lift"]["value"] == pytest.approx(2, abs=0.3)
    assert lift(told, name, "same_task")["lift"]["value"] == pytest.approx(8, abs=0.3)
    assert entry(told, "target", "xnli")["same_task"]
    assert not entry(told, "target", "udpos")["same_task"]
    # XTREME's mean is the benchmark's, with all of its targets.
    assert lift(told, name, "xtreme")["lift"]["value"] == pytest.approx(5, abs=0.3)


def test_a_scale_that_has_no_place_for_a_score_is_refused_and_said_so():
    told = document(
        small_study({"none": 0.0, "mnli": lambda family, size, cell: 40.0 if cell.task == "xnli" else 3.0}, seed_noise=0)
    )
    own = entry(told, "target", "xnli")
    assert own["scales"]["logit"] is None
    assert "at 100" in own["refused"]["logit"]
    assert own["scales"]["points"] is not None
    assert entry(told, "target", "udpos")["scales"]["logit"] is not None


def test_a_backbone_without_a_lift_is_listed_with_what_is_missing(scores):
    name = name_of("X", 1e9)
    partial = without(scores, lambda key: key.arm == "mnli" and key.backbone == name and key.cell == ("xnli", "sw"))
    told = document(partial)
    own = {one["backbone"]: one for one in entry(told, "zero_shot")["backbones"]}
    assert own[name]["why"] == (
        "3 of 24 scores are missing: mnli, xnli/sw, seed 1 (the run failed), mnli, xnli/sw, seed 2 (the run failed), "
        "mnli, xnli/sw, seed 3 (the run failed)"
    )
    assert name not in [one["backbone"] for one in entry(told, "zero_shot")["scales"]["points"]["backbones"]]
    assert own[name_of("X", 1e8)]["why"] is None
    # A target that is whole keeps its lift.
    assert lift(told, name, "target", "udpos")["lift"]["value"] == pytest.approx(3, abs=0.3)
    assert told["missing"] == {
        "count": 3,
        "scores": [
            {
                "setting": "mnli",
                "backbone": name,
                "target": "xnli",
                "why": "the run failed",
                "count": 3,
                "languages": ["sw"],
                "seeds": [1, 2, 3],
            }
        ],
    }


def test_a_seed_that_lacks_a_cell_is_no_seed_of_the_lift(scores):
    name = name_of("X", 1e9)
    told = document(without(scores, lambda key: key == ScoreKey("none", name, StudyCell("xnli", "sw"), 2)))
    own = lift(told, name, "zero_shot")
    assert own["num_seeds"] == 2
    assert own["seeds"][1] is None
    assert own["seeds"][0] is not None


def test_one_seed_gives_values_without_intervals():
    told = document(small_study(LIFTS, seeds=(1,)))
    own = lift(told, name_of("X", 1e9), "zero_shot")
    assert own["lift"]["low"] is None
    assert own["lift"]["why_no_interval"] == "one seed: how much seeds vary is not known"
    assert entry(told, "zero_shot")["scales"]["points"]["mean"] is None
    assert "one seed" in entry(told, "zero_shot")["scales"]["points"]["why_no_mean"]
    # Lines say it by their residuals.
    assert entry(told, "zero_shot")["scales"]["points"]["families"][0]["line"]["slope"] is not None


def test_one_seed_of_one_target_takes_no_interval_from_the_others(scores):
    gone = without(scores, lambda key: key.backbone.startswith("X") and key.cell.task == "udpos" and key.seed != 1)
    told = document(gone)
    name = name_of("X", 1e9)
    assert lift(told, name, "target", "udpos")["lift"]["low"] is None
    assert lift(told, name, "target", "xnli")["lift"]["low"] is not None
    assert lift(told, name_of("M", 1e9), "target", "udpos")["lift"]["low"] is not None


def test_targets_that_are_not_trained_serve_every_seed():
    told = document(small_study(LIFTS, untrained=("udpos",)))
    assert told["missing"]["count"] == 0
    assert lift(told, name_of("X", 1e9), "target", "udpos")["num_seeds"] == 3
    (curve,) = [
        one for one in told["scores"] if (one["setting"], one["backbone"], one["target"]) == ("none", name_of("X", 1e9), "udpos")
    ]
    assert curve["means"]["all"]["num_seeds"] is None
    assert curve["means"]["all"]["low"] < curve["means"]["all"]["value"]


def with_bridge(scores, *, gain):
    """X-1e+09 trained by LoRA, too, where the lift is higher by `gain`."""
    of, gains = name_of("X", 1e9), {"none": 0.0, "mnli": gain}
    more = {
        key._replace(backbone="lora"): BootstrapEstimate(one.value + gains[key.arm], one.samples + gains[key.arm])
        for key, one in scores.estimates.items()
        if key.backbone == of
    }
    bridge = Member(rung=Rung("lora", "X", 1e9), model="lora", method="lora", bridges=of)
    return replace(scores, estimates={**scores.estimates, **more}, members=(*scores.members, bridge))


def test_a_bridge_compares_two_methods_and_is_in_no_line(scores, found):
    told = document(with_bridge(scores, gain=2.0))
    (own,) = [one for one in told["bridges"] if one["kind"] == "zero_shot"]
    assert (own["backbone"], own["bridge"], own["methods"]) == (name_of("X", 1e9), "lora", ["full", "lora"])
    assert [one["value"] for one in own["lifts"]] == pytest.approx([3, 5], abs=0.3)
    assert own["difference"]["value"] == pytest.approx(2, abs=1e-4)
    # The same seeds and items on both sides: what they vary by goes away.
    assert own["difference"]["high"] - own["difference"]["low"] < 1e-3
    assert entry(told, "zero_shot")["scales"] == entry(found, "zero_shot")["scales"]
    assert "lora" in {one["backbone"] for one in told["scores"]}


def test_a_bridge_that_is_missing_says_so(scores):
    bridged = without(with_bridge(scores, gain=0.0), lambda key: key.backbone == "lora" and key.arm == "mnli")
    (own,) = [one for one in document(bridged)["bridges"] if one["kind"] == "zero_shot"]
    assert own["difference"] is None
    assert own["why"].startswith("lora: 12 of 24 scores are missing")


def test_score_curves_have_all_languages_english_and_the_rest(scores, found):
    (own,) = [
        one["means"]
        for one in found["scores"]
        if (one["setting"], one["backbone"], one["target"]) == ("mnli", name_of("X", 1e9), "xnli")
    ]
    assert [own[kind]["value"] for kind in ("all", "english", "zero_shot")] == pytest.approx([65, 69, 63], abs=0.3)
    assert len(own["all"]["seeds"]) == own["all"]["num_seeds"] == 3
    assert own["all"]["low"] < own["all"]["value"] < own["all"]["high"]
    assert len(found["scores"]) == 2 * sum(map(len, LADDER.values())) * 2


def test_references_stand_beside_the_curves_and_change_no_number(scores, found):
    published = ReferenceScore("paper", "XLM-R", "none", "test", "xnli", "accuracy", 79.2, None)
    told = document(scores, references=[published], hypotheses=[{"name": "persists", "asks": "scale", "settings": "mnli"}])
    assert told.pop("references") == [published._asdict()]
    assert told == {key: value for key, value in found.items() if key != "references"}


def test_a_study_without_any_score_or_draws_is_refused(scores):
    with pytest.raises(UserError, match="no scores of this study"):
        document(replace(scores, estimates={}))
    single = {key: BootstrapEstimate(one.value, one.samples[:1]) for key, one in scores.estimates.items()}
    with pytest.raises(UserError, match="no intervals without draws"):
        document(replace(scores, estimates=single))


def test_composites_are_settings_chosen_by_target():
    lifts = {"none": 0.0, "mnli": 2.0, "squad": lambda family, size, cell: 5.0 if cell.task == "udpos" else 0.0}
    scores = small_study(lifts)
    dev = development_of(
        scores, {("mnli", "xnli"): 80.0, ("squad", "xnli"): 70.0, ("mnli", "udpos"): 60.0, ("squad", "udpos"): 65.0}
    )
    told = document(replace(scores, development=dev), chosen={"best": ["mnli", "squad"]})
    (composite,) = told["composites"]
    chosen = {(one["backbone"], one["target"]): one["setting"] for one in composite["choices"]}
    assert chosen[name_of("X", 1e9), "xnli"] == "mnli"
    assert chosen[name_of("X", 1e9), "udpos"] == "squad"
    assert lift(told, name_of("X", 1e9), "zero_shot", setting="best")["lift"]["value"] == pytest.approx(3.5, abs=0.3)


def test_what_is_zero_but_for_rounding_is_zero():
    entry = estimate_entry(StudentEstimate(value=-2e-15, variance=1e-30, df=4.0), alpha=1e-11)
    assert [entry[name] for name in ("value", "low", "high", "low_at_level")] == [0.0] * 4
    assert entry["level"] == 1.0  # six digits; a p-value of 1e-11 is not taken for zero
    assert rounded(1e-11) == 1e-11
