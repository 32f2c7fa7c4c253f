"""Accuracy of one label per example (XNLI, PAWS-X), or of the sentence that was retrieved (Tatoeba): text compared after strip.

METRICS.load("accuracy").stats("neutral", "neutral", lang="de")   # (1, 1)
"""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from harness.api.errors import UserError
from harness.scoring.metrics._ratio import ratio

KEYS = ("accuracy",)
SIGNATURE = "accuracy|stripped text|xtreme:838c13b"
_OTHERS = "take token_accuracy, entity_f1 or chunk_f1 for lists of tags, squad or exact_match for lists of answers"


def stats(prediction: str | int | None, gold: str | int, *, lang: str) -> tuple[int, int]:
    """Count (correct, examples) of one example; an index counts as its decimal text, as it would in a submission file."""
    for label in (gold, prediction):
        if label is not None and not isinstance(label, str | Integral):
            raise UserError("this is no label", expected="a text or a number", found=f"{label!r:.80}", todo=_OTHERS)
    return int(prediction is not None and str(prediction).strip() == str(gold).strip()), 1


def all_stats(predictions: Sequence[str | None], golds: Sequence[str], *, lang: str) -> np.ndarray:
    """The statistics of many examples, float64 [n, 2]; UserError unless all labels are texts."""
    if not ({*map(type, predictions)} <= {str, type(None)} and {*map(type, golds)} <= {str}):
        raise UserError("a label is no text")
    both = zip(predictions, golds, strict=True)
    equal = [prediction is not None and prediction.strip() == gold.strip() for prediction, gold in both]
    return np.stack([np.array(equal, dtype=np.float64), np.ones(len(equal))], axis=1)


def combine(totals: np.ndarray) -> dict[str, np.ndarray]:
    """Turn totals [..., 2] into the percentage [...] of correct examples."""
    return {"accuracy": ratio(totals[..., 0], totals[..., 1]) * 100}


GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "half",
        "lang": "en",
        "predictions": ["entailment", "neutral", "neutral", "contradiction"],
        "golds": ["entailment", "entailment", "neutral", "neutral"],
        "scores": {"accuracy": 50.0},
    },
    {
        "name": "blanks_around",
        "lang": "en",
        "predictions": [" 1", "0 \t", "1"],
        "golds": ["1", "0", "0"],
        "scores": {"accuracy": 66.66666666666666},
    },
    {
        "name": "inside_blank_and_case_count",
        "lang": "en",
        "predictions": ["not  duplicate", "Neutral"],
        "golds": ["not duplicate", "neutral"],
        "scores": {"accuracy": 0.0},
    },
    {"name": "all_wrong", "lang": "en", "predictions": ["0", "0"], "golds": ["1", "1"], "scores": {"accuracy": 0.0}},
    {
        "name": "one_class",
        "lang": "en",
        "predictions": ["0", "0", "0"],
        "golds": ["0", "1", "1"],
        "scores": {"accuracy": 33.33333333333333},
    },
    {
        "name": "indices",
        "lang": "en",
        "predictions": ["0", "7", "2"],
        "golds": ["0", "1", "2"],
        "scores": {"accuracy": 66.66666666666666},
    },
    {
        "name": "missing",
        "lang": "en",
        "predictions": [None, "1", "1"],
        "golds": ["0", "1", "0"],
        "scores": {"accuracy": 33.33333333333333},
    },
    {"name": "empty_text", "lang": "en", "predictions": ["", "a"], "golds": ["a", "a"], "scores": {"accuracy": 50.0}},
)
