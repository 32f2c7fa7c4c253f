"""Claims, their p-values and families of them, against t tests and scipy's corrections."""

import numpy as np
import pytest
from scipy import stats

from harness.scoring.bootstrap import holm
from harness.study.statistics.hypotheses import (
    LEAST_ALPHA,
    MOST_ALPHA,
    JointClaim,
    NoBetterClaim,
    NoEffectClaim,
    RankingClaim,
    ScaleClaim,
    SignClaim,
    UnanswerableClaim,
    benjamini_hochberg,
    p_value_of,
    settle,
)
from harness.study.statistics.student import StudentEstimate


def estimate(value, error=1.0, df=9.0):
    return StudentEstimate(value=value, variance=error**2, df=df)


def sign(value, error=1.0, margin=1e-6):
    return SignClaim(estimate=estimate(value, error), margin=margin)


def two_sided(value, error=1.0, df=9):
    return 2 * stats.t.sf(abs(value) / error, df)


@pytest.mark.parametrize(("value", "verdict"), [(2.5, "holds"), (-2.5, "refuted"), (1.0, "undecided")])
def test_a_claim_that_a_lift_is_above_0(value, verdict):
    claim = sign(value)
    assert claim.decide(0.05).verdict == verdict
    assert p_value_of(claim) == pytest.approx(two_sided(value), rel=1e-6)


def test_a_lift_within_the_margin_refutes_the_claim_by_two_one_sided_tests():
    claim = SignClaim(estimate=estimate(0.2, error=0.5), margin=1.5)
    assert claim.decide(0.05) == ("refuted", "within ±1.5")
    told = max(stats.t.sf((1.5 - 0.2) / 0.5, 9), stats.t.sf((1.5 + 0.2) / 0.5, 9))
    assert p_value_of(claim) == pytest.approx(told, rel=1e-6)


def test_the_p_value_of_a_verdict_of_scale_is_that_of_its_weakest_part():
    claim = ScaleClaim(reference=estimate(4.0), target=estimate(3.0), change=estimate(0.1, 0.4), margin=1.0)
    weakest = max(two_sided(4.0), two_sided(3.0), stats.t.sf(0.9 / 0.4, 9))
    assert p_value_of(claim) == pytest.approx(weakest, rel=1e-6)
    assert claim.decide(weakest * 1.001).verdict == "persists"
    assert claim.decide(weakest * 0.999).verdict == "undecided"


def test_p_values_have_ends():
    assert p_value_of(sign(1e-9)) == 1.0
    assert p_value_of(SignClaim(estimate=StudentEstimate(value=2.0, variance=0.0, df=np.inf), margin=1.0)) == LEAST_ALPHA
    assert not sign(1e-9).decide(MOST_ALPHA).decided


def test_a_ranking_holds_if_every_step_does_and_is_refuted_by_one():
    assert RankingClaim(steps=(estimate(4.0), estimate(3.0)), margin=0.1).decide(0.05).verdict == "holds"
    found = RankingClaim(steps=(estimate(4.0), estimate(1.0)), margin=0.1).decide(0.05)
    assert found == ("undecided", "above 0: step 1 of 2")
    assert RankingClaim(steps=(estimate(4.0), estimate(-4.0)), margin=0.1).decide(0.05) == ("refuted", "step 2 is below 0")
    # One of two steps is enough to refute, so that each has half the level.
    claim = RankingClaim(steps=(estimate(0.0), estimate(-3.0)), margin=1e-9)
    assert p_value_of(claim) == pytest.approx(2 * two_sided(-3.0), rel=1e-6)


def test_holm_decides_step_by_step_and_reports_at_the_level_that_is_left():
    values = {"a": 6.0, "b": 3.4, "c": 2.6, "d": 1.0}
    found = settle({name: sign(value) for name, value in values.items()}, alpha=0.05, correction="holm")
    p = {name: two_sided(value) for name, value in values.items()}
    assert [found[name].p for name in values] == pytest.approx(list(p.values()), rel=1e-6)
    assert [found[name].adjusted_p for name in values] == pytest.approx(holm(list(p.values())), rel=1e-6)
    assert {name: one.decision.verdict for name, one in found.items()} == {
        "a": "holds",
        "b": "holds",
        "c": "undecided",
        "d": "undecided",
    }
    assert [found[name].alpha for name in values] == pytest.approx([0.05 / 4, 0.05 / 3, 0.05 / 2, 0.05 / 2])
    assert list(found) == list(values)


def test_what_stands_behind_a_claim_that_fails_is_not_decided_by_itself():
    """p of 0.03, 0.031, 0.032: the first fails at 0.05 / 3, though the last would pass at 0.05."""
    values = [float(stats.t.isf(p / 2, 9)) for p in (0.03, 0.031, 0.032)]
    found = settle({str(value): sign(value) for value in values}, alpha=0.05, correction="holm")
    assert {one.decision.verdict for one in found.values()} == {"undecided"}
    assert {one.alpha for one in found.values()} == {0.05 / 3}
    fdr = settle({str(value): sign(value) for value in values}, alpha=0.05, correction="fdr")
    assert {one.decision.verdict for one in fdr.values()} == {"holds"}
    alone = settle({str(value): sign(value) for value in values}, alpha=0.05, correction="none")
    assert {(one.decision.verdict, one.alpha) for one in alone.values()} == {("holds", 0.05)}


def test_the_false_discovery_rate_is_scipy_s():
    rng = np.random.default_rng(0)
    for _ in range(20):
        p = (rng.random(9) ** 3).tolist()
        assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))
    values = {"a": 6.0, "b": 2.9, "c": 2.6, "d": 0.5}
    found = settle({name: sign(value) for name, value in values.items()}, alpha=0.05, correction="fdr")
    assert [one.decision.decided for one in found.values()] == [True, True, True, False]
    assert {one.alpha for one in found.values()} == {0.05 * 3 / 4}


@pytest.mark.parametrize("correction", ["holm", "fdr"])
def test_a_claim_is_decided_exactly_where_its_adjusted_p_value_says_so(correction):
    rng = np.random.default_rng(1)
    decided = 0
    for _ in range(30):
        claims = {str(number): sign(float(value)) for number, value in enumerate(rng.normal(3.0, 1.5, 5))}
        for one in settle(claims, alpha=0.05, correction=correction).values():
            assert one.decision.decided == (one.adjusted_p <= 0.05)
            decided += one.decision.decided
    assert 20 < decided < 130


def whole(value, error=0.1, margin=1.0):
    return {"estimate": estimate(value, error), "margin": margin}


@pytest.mark.parametrize(
    ("value", "error", "told"),
    [
        (0.0, 0.1, ("holds", "within ±1")),
        (0.5, 0.1, ("holds", "within ±1")),  # above 0, and too little to matter
        (3.0, 0.1, ("refuted", "above 0")),
        (-3.0, 0.1, ("refuted", "below 0")),
        (0.0, 3.0, ("undecided", "")),
    ],
)
def test_no_effect_is_shown_by_equivalence_and_refuted_by_a_difference(value, error, told):
    claim = NoEffectClaim(**whole(value, error))
    assert claim.decide(0.05) == told
    # The p-value is that of the first of both tests to decide.
    if told[0] == "holds" and value == 0.0:
        assert p_value_of(claim) == pytest.approx(stats.t.sf(10, 9), rel=1e-6)


@pytest.mark.parametrize(
    ("value", "error", "told"),
    [
        (0.2, 0.1, ("holds", "below 1")),
        (-5.0, 0.1, ("holds", "below 1")),
        (3.0, 0.1, ("refuted", "above 0")),
        (0.9, 0.2, ("refuted", "above 0")),
        (0.5, 1.0, ("undecided", "")),
    ],
)
def test_no_better_is_shown_by_one_one_sided_test(value, error, told):
    assert NoBetterClaim(**whole(value, error)).decide(0.05) == told


def test_no_better_holds_at_the_one_sided_level():
    claim = NoBetterClaim(**whole(-0.5, 1.0))
    assert p_value_of(claim) == pytest.approx(stats.t.sf(1.5, 9), rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        (SignClaim, (3.0, 4.0), "holds"),
        (SignClaim, (3.0, -4.0), "refuted"),
        (SignClaim, (3.0, 0.0), "refuted"),  # equivalent to 0
        (NoEffectClaim, (0.0, 0.1), "holds"),
        (NoEffectClaim, (0.0, 3.0), "refuted"),
        (NoBetterClaim, (0.0, -7.0), "holds"),
        (NoBetterClaim, (0.0, 3.0), "refuted"),
    ],
)
def test_a_joint_claim_holds_if_all_parts_do_and_is_refuted_by_one(kind, values, told):
    parts = {f"part {number}": kind(**whole(value)) for number, value in enumerate(values, start=1)}
    found = JointClaim(parts=parts).decide(0.05)
    assert found.verdict == told
    assert found.settled.startswith("part 2: " if told == "refuted" else "part 1: ")


def test_a_joint_claim_that_is_shown_in_part_is_undecided_and_says_which():
    parts = {"mnli": SignClaim(**whole(3.0)), "squad": SignClaim(**whole(1.0, error=1.0))}
    assert JointClaim(parts=parts).decide(0.05) == ("undecided", "mnli: above 0")
    assert p_value_of(JointClaim(parts=parts)) == pytest.approx(two_sided(1.0), rel=1e-6)


def test_one_part_refutes_at_its_share_of_the_level():
    parts = {"a": SignClaim(**whole(3.0, margin=1e-9)), "b": SignClaim(**whole(-2.5, error=1.0, margin=1e-9))}
    assert p_value_of(JointClaim(parts=parts)) == pytest.approx(2 * two_sided(-2.5), rel=1e-6)


@pytest.mark.slow
def test_what_a_claim_decides_at_one_level_it_decides_at_every_higher_one():
    """Of parts that are above 0 and within the margin at once, as of all others."""
    rng = np.random.default_rng(0)
    levels = np.geomspace(1e-6, 0.49, 60)
    decided = 0
    for _ in range(300):
        estimates = [estimate(rng.normal(0, 1.5), rng.choice([0.05, 0.3, 1.0])) for _ in range(3)]
        joint = [
            JointClaim(parts={str(number): kind(estimate=one, margin=1.0) for number, one in enumerate(estimates)})
            for kind in (SignClaim, NoEffectClaim, NoBetterClaim)
        ]
        single = [kind(estimate=estimates[0], margin=1.0) for kind in (SignClaim, NoEffectClaim, NoBetterClaim)]
        for claim in (*joint, *single, RankingClaim(steps=tuple(estimates), margin=1.0)):
            found = [claim.decide(level).decided for level in levels]
            assert found == sorted(found)
            decided += found[-1]
    assert decided > 1000


def test_a_claim_without_estimates_stays_undecided_and_counts_among_those_tested():
    found = settle({"a": sign(6.0), "b": UnanswerableClaim()}, alpha=0.05, correction="holm")
    assert found["a"].adjusted_p == pytest.approx(2 * two_sided(6.0), rel=1e-6)
    assert (found["b"].decision.verdict, found["b"].p) == ("undecided", 1.0)
