"""The three scales of a lift: points, share of headroom, difference of logits.

    on_scale("headroom", treated, baseline)      # arrays of scores in 0..100 -> arrays of lifts
    obstacle("logit", treated, baseline)         # "" or why the scale is refused

Points answer "how many more examples"; the share of headroom, (t - b) / (100 - b), "how much of what was left to win"; the
difference of logits treats 98 -> 99 as it treats 50 -> 67.  The share of headroom is the same with and without correction for
chance: (t - c) - (b - c) over (100 - c) - (b - c).
"""

from typing import Literal, TypeAlias, get_args

import numpy as np

from harness.api.errors import UserError, did_you_mean

Scale: TypeAlias = Literal["points", "headroom", "logit"]
SCALES: tuple[Scale, ...] = get_args(Scale)
UNITS = {"points": "points", "headroom": "% of headroom", "logit": "logits"}
_END = 1e-9  # scores closer than this to 0 or 100 are at the end


def on_scale(scale: Scale, treated: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Lifts of scores in 0..100: points, percent of headroom, or natural logits; not a number where the scale has none."""
    if scale == "points":
        return treated - baseline
    with np.errstate(divide="ignore", invalid="ignore"):
        if scale == "headroom":
            room = np.where(100 - baseline > _END, 100 - baseline, np.nan)
            return 100 * (treated - baseline) / room
        if scale == "logit":
            inside = [np.where((score > _END) & (score < 100 - _END), score, np.nan) for score in (treated, baseline)]
            return np.log(inside[0] / (100 - inside[0])) - np.log(inside[1] / (100 - inside[1]))
    raise UserError(f"unknown scale '{scale}'", todo=did_you_mean(scale, SCALES))


def obstacle(scale: Scale, treated: np.ndarray, baseline: np.ndarray) -> str:
    """Why these scores have no lift on a scale, in words; an empty text where they have."""
    if scale == "headroom" and (baseline > 100 - _END).any():
        return "the baseline is at 100: there is no headroom"
    if scale == "logit":
        for name, scores in (("treated", treated), ("baseline", baseline)):
            if (scores > 100 - _END).any():
                return f"the {name} score is at 100, whose logit is infinite"
            if (scores < _END).any():
                return f"the {name} score is at 0, whose logit is infinite"
    return ""
