"""Seven verdicts: mutually exclusive, exhaustive, and never undecided for knowing more."""

import itertools

import numpy as np
import pytest

from harness.study.statistics.student import Ends, StudentEstimate
from harness.study.statistics.verdicts import STATES, VERDICTS, combine_states, scale_verdict, states, verdict_codes

MARGIN = 1.0
CUTS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
"Ends of intervals: beyond, on and between all places that a rule speaks of."
NESTED = [
    (low, high, inner_low, inner_high)
    for low, inner_low, inner_high, high in itertools.product(CUTS, repeat=4)
    if low <= inner_low <= inner_high <= high
]
"All intervals of level 1 - alpha with all of level 1 - 2 alpha within them."
TRUE_OF = {
    "none": lambda low, high, inner_low, inner_high: inner_low > -MARGIN and inner_high < MARGIN,
    "+": lambda low, high, inner_low, inner_high: low > 0,
    "-": lambda low, high, inner_low, inner_high: high < 0,
}


def state_of(position):
    """The state by the words of the rule: equivalence first."""
    return next((name for name in ("none", "+", "-") if TRUE_OF[name](*position)), "?")


def told_state(position):
    low, high, inner_low, inner_high = (np.array(end) for end in position)
    return STATES[int(states(Ends(low, high), Ends(inner_low, inner_high), margin=MARGIN))]


RULES = {
    "undecided": lambda r, t, c: "?" in (r, t) or (r == t == "+" and c == "?"),
    "vanishes": lambda r, t, c: (r, t) == ("+", "none"),
    "reverses": lambda r, t, c: {r, t} == {"+", "-"},
    "never there": lambda r, t, c: {r, t} <= {"none", "-"},
    "persists": lambda r, t, c: (r, t, c) == ("+", "+", "none"),
    "grows": lambda r, t, c: (r, t, c) == ("+", "+", "+") or (r, t) == ("none", "+"),
    "shrinks": lambda r, t, c: (r, t, c) == ("+", "+", "-"),
}
"Each verdict by itself, as the documentation states it."


def test_every_position_of_an_interval_has_the_state_that_the_rule_says():
    assert len(NESTED) == 210
    assert {told_state(position) for position in NESTED} == set(STATES)
    for position in NESTED:
        assert told_state(position) == state_of(position), position


def test_exactly_one_verdict_is_true_of_all_positions_of_the_three_intervals():
    """Over all 210^3 positions at once, by the states that they have."""
    of = np.array([STATES.index(state_of(position)) for position in NESTED])
    reference, target, change = np.meshgrid(of, of, of, indexing="ij", sparse=True)
    shape = (len(of),) * 3
    codes = combine_states(*(np.broadcast_to(one, shape) for one in (reference, target, change)))
    assert codes.shape == (210, 210, 210)
    seen = set()
    for r, t, c in itertools.product(range(len(STATES)), repeat=3):
        where = np.ix_(of == r, of == t, of == c)
        true = [name for name, rule in RULES.items() if rule(STATES[r], STATES[t], STATES[c])]
        assert len(true) == 1, (STATES[r], STATES[t], STATES[c], true)
        assert (codes[where] == VERDICTS.index(true[0])).all()
        assert codes[where].size > 0
        seen |= set(true)
    assert seen == set(VERDICTS)


def test_an_interval_within_another_is_never_less_decided():
    """Over all pairs of nested positions: `?` is left and never come back to."""
    pairs = 0
    for wide, narrow in itertools.product(NESTED, repeat=2):
        if wide[0] <= narrow[0] and narrow[1] <= wide[1] and wide[2] <= narrow[2] and narrow[3] <= wide[3]:
            pairs += 1
            before, after = told_state(wide), told_state(narrow)
            assert before in ("?", after) or (before in "+-" and after == "none"), (wide, narrow)
    assert pairs > 1000
    moves = {"?": set(STATES), "+": {"+", "none"}, "-": {"-", "none"}, "none": {"none"}}
    for before in itertools.product(STATES, repeat=3):
        decided = not RULES["undecided"](*before)
        for after in itertools.product(*(moves[state] for state in before)):
            assert not (decided and RULES["undecided"](*after)), (before, after)


def estimate(value, error, df=6.0):
    return StudentEstimate(value=np.asarray(value), variance=np.asarray(error) ** 2, df=df)


def test_what_is_decided_at_one_level_is_decided_at_every_higher_one():
    rng = np.random.default_rng(0)
    three = [estimate(rng.normal(1, 2, 500), rng.uniform(0.05, 1.5, 500), df=rng.uniform(1, 30, 500)) for _ in range(3)]
    undecided = VERDICTS.index("undecided")
    levels = np.geomspace(1e-6, 0.49, 40)
    table = np.array([verdict_codes(*three, margin=MARGIN, alpha=alpha) != undecided for alpha in levels])
    assert (table[1:] >= table[:-1]).all()
    assert 0 < table[0].sum() < table[-1].sum() < 500


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((4, 4, 0), "persists"),
        ((4, 9, 5), "grows"),
        ((0, 4, 4), "grows"),
        ((6, 2, -4), "shrinks"),
        ((4, 0.1, -3.9), "vanishes"),
        ((4, -4, -8), "reverses"),
        ((-4, 4, 8), "reverses"),
        ((0, 0.1, 0.1), "never there"),
        ((-4, 0, 4), "never there"),
        ((-4, -9, -5), "never there"),
    ],
)
def test_the_verdicts_of_precise_estimates(values, verdict):
    found = scale_verdict(*(estimate(value, 0.1) for value in values), margin=MARGIN, alpha=0.05)
    assert found.verdict == verdict
    assert found.settled == ""


def test_nothing_is_equivalent_for_not_being_significant():
    found = scale_verdict(estimate(0.2, 2.0), estimate(0.1, 2.0), estimate(-0.1, 2.0), margin=MARGIN, alpha=0.05)
    assert (found.verdict, found.reference, found.settled) == ("undecided", "?", "")


def test_what_is_settled_short_of_a_verdict_is_said():
    found = scale_verdict(estimate(4, 0.2), estimate(3, 2.0), estimate(-1, 2.0), margin=MARGIN, alpha=0.05)
    assert found.settled == "helps at the reference size"
    found = scale_verdict(estimate(0, 0.2), estimate(1, 2.0), estimate(5, 1.0), margin=MARGIN, alpha=0.05)
    assert found.settled == "makes no difference at the reference size; the lift grows"


def test_equivalence_uses_two_one_sided_tests_at_alpha_each():
    """The edge: the interval of 90 % just within the margin decides at 5 %, that of 95 % reaching beyond it."""
    edge = estimate(0.0, (1.0 - 1e-6) / 1.9431802805153022)  # t quantile 0.95, 6 degrees of freedom
    wide = estimate(0.0, (1.0 + 1e-6) / 1.9431802805153022)
    far = estimate(4.0, 0.1)
    assert scale_verdict(far, edge, far, margin=MARGIN, alpha=0.05).target == "none"
    assert scale_verdict(far, wide, far, margin=MARGIN, alpha=0.05).target == "?"
