"""Logits of a head as log-probabilities of the labels, as predictions.jsonl keeps them.

They are rounded, so that lines stay short.

log_probabilities([2.0, 0.0])          # (-0.12693, -2.12693)
"""

import math
from collections.abc import Sequence

import numpy as np

DIGITS = 5


def log_probabilities(logits: Sequence[float] | np.ndarray) -> tuple[float, ...] | None:
    """Log-softmax over the labels; None where a logit is not finite."""
    values = np.asarray(logits, dtype=np.float64)
    largest = values.max()
    if not math.isfinite(largest):  # nan is the largest of all
        return None
    values = values - largest
    found = (values - np.log(np.exp(values).sum())).tolist()
    return None if -math.inf in found else tuple(round(value, DIGITS) for value in found)
