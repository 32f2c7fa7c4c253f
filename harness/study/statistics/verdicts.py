"""What becomes of a lift with scale: one of seven verdicts, from intervals of the lift at two sizes and of its change.

    found = scale_verdict(reference, target, change, margin=1.0, alpha=0.05)      # StudentEstimates of one study
    found.verdict, found.settled
    verdict_codes(reference, target, change, margin=1.0, alpha=0.05)              # places in VERDICTS, for many studies at once

A lift is `none` if equivalence is shown (the interval of level 1 - 2 alpha lies within +-margin: two one-sided tests, Schuirmann
1987), else `+` or `-` if the interval of level 1 - alpha excludes 0, else `?`; never `none` because nothing was shown.

| reference | target | verdict |
|---|---|---|
| + | + | by the change: equivalent to 0: persists; else above 0: grows; below 0: shrinks; else undecided |
| + | none | vanishes |
| + | - | reverses |
| - | + | reverses |
| none | + | grows |
| none, - | none, - | never there |
| ? | any | undecided, as is any, ? |

As intervals shrink a state leaves `?` and never comes back to it, so that what is decided at one level is decided at all above.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from harness.study.statistics.student import Ends, StudentEstimate

Verdict: TypeAlias = Literal["persists", "grows", "shrinks", "vanishes", "reverses", "never there", "undecided"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
State: TypeAlias = Literal["+", "none", "-", "?"]
STATES: tuple[State, ...] = get_args(State)
_PLUS, _NONE, _MINUS, _OPEN = range(4)


def states(sign: Ends, equivalence: Ends, *, margin: float) -> np.ndarray:
    """Places in STATES of lifts, from their intervals of level 1 - alpha and 1 - 2 alpha (which lie within the former)."""
    none = (equivalence.low > -margin) & (equivalence.high < margin)
    return np.select([none, sign.low > 0, sign.high < 0], [_NONE, _PLUS, _MINUS], _OPEN)


def states_of(estimate: StudentEstimate, *, margin: float, alpha: float | np.ndarray) -> np.ndarray:
    """Places in STATES of estimates at an error level below 0.5."""
    alpha = np.asarray(alpha, dtype=np.float64)
    return states(estimate.ends(1 - alpha), estimate.ends(1 - 2 * alpha), margin=margin)


def combine_states(reference: np.ndarray, target: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Places in VERDICTS, from places in STATES."""
    open_ = (reference == _OPEN) | (target == _OPEN)
    rows: list[tuple[np.ndarray, Verdict]] = [
        (open_, "undecided"),
        ((reference == _PLUS) & (target == _NONE), "vanishes"),
        ((reference == _PLUS) & (target == _MINUS), "reverses"),
        ((reference == _MINUS) & (target == _PLUS), "reverses"),
        ((reference == _NONE) & (target == _PLUS), "grows"),
        ((reference != _PLUS) & (target != _PLUS), "never there"),
        (change == _NONE, "persists"),  # from here on both are +
        (change == _PLUS, "grows"),
        (change == _MINUS, "shrinks"),
    ]
    return np.select([where for where, _ in rows], [VERDICTS.index(name) for _, name in rows], VERDICTS.index("undecided"))


def verdict_codes(
    reference: StudentEstimate,
    target: StudentEstimate,
    change: StudentEstimate,
    *,
    margin: float,
    alpha: float | np.ndarray,
) -> np.ndarray:
    """Places in VERDICTS at an error level below 0.5."""
    return combine_states(*(states_of(one, margin=margin, alpha=alpha) for one in (reference, target, change)))


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleVerdict:
    """The verdict of one study on one hypothesis of scale."""

    verdict: Verdict
    reference: State
    target: State
    change: State
    settled: str
    "What is shown where the verdict is undecided; empty where nothing is, or all is."


def scale_verdict(
    reference: StudentEstimate, target: StudentEstimate, change: StudentEstimate, *, margin: float, alpha: float
) -> ScaleVerdict:
    """The verdict of one study at an error level below 0.5."""
    codes = [states_of(one, margin=margin, alpha=alpha) for one in (reference, target, change)]
    verdict = VERDICTS[int(combine_states(*codes))]
    first, last, moved = (STATES[int(code)] for code in codes)
    settled = _settled(first, last, moved) if verdict == "undecided" else ""
    return ScaleVerdict(verdict=verdict, reference=first, target=last, change=moved, settled=settled)


_LEVELS = {"+": "helps", "none": "makes no difference", "-": "harms"}
_CHANGES = {"+": "the lift grows", "none": "the lift does not change", "-": "the lift falls"}


def _settled(reference: State, target: State, change: State) -> str:
    parts = [
        f"{_LEVELS[state]} at the {name} size" for name, state in (("reference", reference), ("target", target)) if state != "?"
    ]
    parts += [_CHANGES[change]] if change != "?" else []
    return "; ".join(parts)
