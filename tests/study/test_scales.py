"""The three scales of a lift, and where each is refused."""

import numpy as np
import pytest

from harness.api.errors import UserError
from harness.study.statistics.scales import SCALES, obstacle, on_scale


def test_lifts_on_the_three_scales():
    treated, baseline = np.array([80.0, 75.0]), np.array([60.0, 50.0])
    assert on_scale("points", treated, baseline) == pytest.approx([20, 25])
    assert on_scale("headroom", treated, baseline) == pytest.approx([50, 50])
    assert on_scale("logit", treated, baseline) == pytest.approx([np.log(4 / 1.5), np.log(3)])


@pytest.mark.parametrize("chance", [25.0, 50.0])
def test_the_share_of_headroom_is_the_same_when_chance_is_taken_off(chance):
    treated, baseline = np.array([88.0, 52.0]), np.array([70.0, 60.0])
    corrected = [100 * (score - chance) / (100 - chance) for score in (treated, baseline)]
    assert on_scale("headroom", *corrected) == pytest.approx(on_scale("headroom", treated, baseline))
    assert on_scale("points", *corrected) != pytest.approx(on_scale("points", treated, baseline))


@pytest.mark.parametrize(
    ("scale", "treated", "baseline", "why"),
    [
        ("headroom", 100.0, 100.0, "the baseline is at 100: there is no headroom"),
        ("logit", 100.0, 60.0, "the treated score is at 100, whose logit is infinite"),
        ("logit", 60.0, 0.0, "the baseline score is at 0, whose logit is infinite"),
    ],
)
def test_a_scale_that_has_no_place_for_a_score_says_why(scale, treated, baseline, why):
    scores = np.array([treated, 50.0]), np.array([baseline, 50.0])
    assert obstacle(scale, *scores) == why
    lifts = on_scale(scale, *scores)
    assert np.isnan(lifts[0])
    assert np.isfinite(lifts[1])


def test_scores_that_have_a_place_and_those_that_are_missing_are_no_obstacle():
    for scale in SCALES:
        assert obstacle(scale, np.array([80.0, np.nan]), np.array([0.5, np.nan])) == ""
    assert obstacle("headroom", np.array([100.0]), np.array([99.0])) == ""


def test_an_unknown_scale_is_refused():
    with pytest.raises(UserError, match="did you mean 'points'"):
        on_scale("point", np.zeros(1), np.zeros(1))
