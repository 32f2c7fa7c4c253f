"""Logits of a head as log-probabilities of the labels, as predictions.jsonl keeps them.

They are rounded, so that lines stay short.

log_probabilities([2.0, 0.0])          # (-0.12693, -2.12693)
log_probabilities_of(logits_BC)        # a list of B of them
"""

from collections.abc import Sequence

import numpy as np

DIGITS = 5


def log_probabilities(logits: Sequence[float] | np.ndarray) -> tuple[float, ...] | None:
    """Log-softmax over the labels; None where a logit is not finite."""
    return log_probabilities_of(np.asarray(logits, dtype=np.float64)[None])[0]


def log_probabilities_of(logits_BC: np.ndarray) -> list[tuple[float, ...] | None]:
    """The same of each row."""
    values = np.asarray(logits_BC, dtype=np.float64)
    is_finite = np.asarray(np.isfinite(values).all(axis=1))
    values = np.where(is_finite[:, None], values, 0.0)
    values = values - values.max(axis=1, keepdims=True)
    found = (values - np.log(np.exp(values).sum(axis=1, keepdims=True))).tolist()
    return [
        tuple(round(value, DIGITS) for value in row) if finite else None
        for row, finite in zip(found, is_finite.tolist(), strict=True)
    ]
