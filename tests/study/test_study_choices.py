"""Composites: which setting each target takes, by English development scores."""

from dataclasses import replace

import pytest
from small_studies import development_of, name_of, small_study, study_spec

from harness.api.errors import UserError
from harness.study.results.choices import choose
from harness.study.results.study_scores import TrainingKey

BACKBONE = name_of("X", 1e9)
SETTINGS = ("mnli", "squad")


def chosen(values, *, settings=SETTINGS, extra=None, **fields):
    """Target -> (setting, by) on one backbone."""
    scores = small_study({"none": 0.0, "mnli": 1.0, "squad": 1.0}, tasks=("xnli", "udpos", "tatoeba"), **fields)
    scores = replace(scores, development={**development_of(scores, values), **(extra or {})})
    composite = choose(study_spec(scores, chosen={"best": list(settings)}), scores)["best"]
    told = {target: (one.setting, one.by) for (backbone, target), one in composite.choices.items() if backbone == BACKBONE}
    return told, composite


def test_each_target_takes_the_best_of_its_own_development_scores():
    values = {("mnli", "xnli"): 80.0, ("squad", "xnli"): 79.0, ("mnli", "udpos"): 50.0, ("squad", "udpos"): 51.0}
    told, composite = chosen(values)
    assert told["xnli"] == ("mnli", "development")
    assert told["udpos"] == ("squad", "development")
    assert composite.choices[BACKBONE, "xnli"].scores == {"mnli": 80.0, "squad": 79.0}


def test_what_is_compared_is_the_mean_over_seeds():
    one = TrainingKey("squad", BACKBONE, "xnli", 1)
    told, _ = chosen({("mnli", "xnli"): 80.0, ("squad", "xnli"): 79.0}, extra={one: 95.0})
    assert told["xnli"] == ("squad", "development")  # (95 + 79 + 79) / 3


@pytest.mark.parametrize("settings", [("mnli", "squad"), ("squad", "mnli")])
def test_ties_go_to_the_first_of_the_file(settings):
    told, _ = chosen({("mnli", "xnli"): 80.0, ("squad", "xnli"): 80.0}, settings=settings)
    assert told["xnli"][0] == settings[0]


def test_a_target_without_development_scores_takes_the_best_on_average():
    values = {("mnli", "xnli"): 80.0, ("squad", "xnli"): 79.0, ("mnli", "udpos"): 50.0, ("squad", "udpos"): 53.0}
    told, composite = chosen(values)
    assert told["tatoeba"] == ("squad", "average")
    assert composite.choices[BACKBONE, "tatoeba"].scores == {"mnli": 65.0, "squad": 66.0}


def test_the_average_is_over_targets_that_all_settings_are_scored_on():
    told, composite = chosen({("mnli", "xnli"): 80.0, ("squad", "xnli"): 79.0, ("squad", "udpos"): 99.0})
    assert composite.choices[BACKBONE, "tatoeba"].scores == {"mnli": 80.0, "squad": 79.0}
    assert told["tatoeba"] == ("mnli", "average")


def test_a_setting_that_trains_on_the_target_itself_is_no_candidate_for_it():
    values = {("mnli", "xnli"): 80.0, ("squad", "xnli"): 79.0, ("mnli", "udpos"): 50.0, ("squad", "udpos"): 49.0}
    told, composite = chosen(values, same_task=frozenset({("mnli", "xnli")}))
    assert told["xnli"] == ("squad", "development")
    # Nor does its score there count where settings are compared on average.
    assert composite.choices[BACKBONE, "tatoeba"].scores == {"mnli": 50.0, "squad": 49.0}


def test_without_any_development_score_it_is_said_and_nothing_is_chosen():
    told, composite = chosen({})
    assert told == {}
    assert composite.without[BACKBONE, "xnli"] == (
        f"nothing to choose by: no target has English development scores of mnli, squad on {BACKBONE}"
    )


def test_a_choice_that_is_named_like_a_setting_is_refused():
    scores = small_study({"none": 0.0, "mnli": 1.0})
    with pytest.raises(UserError, match="'mnli' names a setting and a choice"):
        choose(study_spec(scores, chosen={"mnli": ["mnli"]}), scores)
