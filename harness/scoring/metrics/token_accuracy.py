"""Accuracy over all tokens of all sentences (CCG): every token weighs the same.

METRICS.load("token_accuracy").stats(["N", "V"], ["N", "N"], lang="en")   # (1, 2)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.scoring.metrics._chunks import check_tags
from harness.scoring.metrics._ratio import ratio

KEYS = ("accuracy",)
SIGNATURE = "token_accuracy|micro over tokens|seqeval:0.0.12 accuracy_score"


def stats(prediction: Sequence[str] | None, gold: Sequence[str], *, lang: str) -> tuple[int, int]:
    """Count (correct tokens, tokens) of one sentence; all are wrong if the prediction is missing."""
    check_tags(gold if prediction is None else prediction, gold)
    if prediction is None:
        return 0, len(gold)
    return sum(given == wanted for given, wanted in zip(prediction, gold)), len(gold)


def combine(totals: np.ndarray) -> dict[str, np.ndarray]:
    """Turn totals [..., 2] into the percentage [...] of correct tokens."""
    return {"accuracy": ratio(totals[..., 0], totals[..., 1]) * 100}


GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "perfect",
        "lang": "en",
        "predictions": [["N", "V", "N"]],
        "golds": [["N", "V", "N"]],
        "scores": {"accuracy": 100.0},
    },
    {
        "name": "two_lengths",
        "lang": "en",
        "predictions": [["N", "V"], ["N", "N", "V", "N", "N"]],
        "golds": [["N", "N"], ["N", "V", "V", "N", "N"]],
        "scores": {"accuracy": 71.42857142857143},
    },
    {"name": "all_wrong", "lang": "en", "predictions": [["N", "N"]], "golds": [["V", "V"]], "scores": {"accuracy": 0.0}},
    {
        "name": "one_class",
        "lang": "en",
        "predictions": [["N", "N", "N"], ["N"]],
        "golds": [["N", "V", "N"], ["V"]],
        "scores": {"accuracy": 50.0},
    },
    {
        "name": "slashes",
        "lang": "en",
        "predictions": [["(S\\NP)/NP", "NP/N"]],
        "golds": [["(S\\NP)/NP", "NP"]],
        "scores": {"accuracy": 50.0},
    },
    {
        "name": "missing",
        "lang": "en",
        "predictions": [None, ["N", "V", "N"]],
        "golds": [["N", "V"], ["N", "V", "V"]],
        "scores": {"accuracy": 40.0},
    },
)
