"""Logits of a head as log-probabilities of the labels, as predictions.jsonl keeps them.

They are rounded, so that lines stay short.

log_probabilities([2.0, 0.0])          # (-0.12693, -2.12693)
"""

from collections.abc import Sequence

import numpy as np

DIGITS = 5


def log_probabilities(logits: Sequence[float] | np.ndarray) -> tuple[float, ...] | None:
    """Log-softmax over the labels; None where a logit is not finite."""
    values = np.asarray(logits, dtype=np.float64)
    if not np.isfinite(values).all():
        return None
    values = values - values.max()
    return tuple(round(float(value), DIGITS) for value in values - np.log(np.exp(values).sum()))
