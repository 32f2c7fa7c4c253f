"""F1 of class 1 over all examples of a task of lm-evaluation-harness with two classes: its aggregation `f1`, sklearn's default.

    METRICS.load("lm_eval_f1:f1").stats({"values": {"f1": [1, 0]}}, 1, lang="de")        # (0.0, 0.0, 1.0): a miss

A value is the pair of the right class and the predicted one.
"""

from typing import Any

import numpy as np

from harness.scoring.metrics._class_pairs import two_class_pair
from harness.scoring.metrics._ratio import ratio
from harness.scoring.metrics._task_values import DEFAULT, family

KEYS = ("f1",)
SIGNATURE = "lm_eval_f1|class 1 of two|over the corpus"


def _count(value: Any, name: str) -> tuple[float, float, float]:
    """Right positives, wrong positives and misses of one pair."""
    gold, given = two_class_pair(value, name)
    return float(gold == given == 1), float(gold == 0 and given == 1), float(gold == 1 and given == 0)


def _total(totals: np.ndarray) -> dict[str, np.ndarray]:
    hits, wrong, missed = totals[..., 0], totals[..., 1], totals[..., 2]
    return {"f1": ratio(200.0 * hits, 2.0 * hits + wrong + missed)}


named = family("lm_eval_f1", keys=KEYS, signature=SIGNATURE, count=_count, num_stats=3, total=_total)
prepare = named(DEFAULT).prepare
stats = named(DEFAULT).stats
combine = named(DEFAULT).combine

GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "half",
        "lang": "en",
        "predictions": [{"values": {"value": [1, 1]}}, {"values": {"value": [1, 0]}}, {"values": {"value": [0, 1]}}],
        "golds": [1, 1, 0],
        "scores": {"f1": 50.0},
    },
    {
        "name": "all_right",
        "lang": "en",
        "predictions": [{"values": {"value": [1, 1]}}, {"values": {"value": [0, 0]}}],
        "golds": [1, 0],
        "scores": {"f1": 100.0},
    },
    {
        "name": "all_wrong",
        "lang": "de",
        "predictions": [{"values": {"value": [1, 0]}}, {"values": {"value": [0, 1]}}],
        "golds": [1, 0],
        "scores": {"f1": 0.0},
    },
    {"name": "no_positive", "lang": "en", "predictions": [{"values": {"value": [0, 0]}}], "golds": [0], "scores": {"f1": 0.0}},
    {
        "name": "one_class_predicted",
        "lang": "en",
        "predictions": [{"values": {"value": [1, 1]}}, {"values": {"value": [0, 1]}}, {"values": {"value": [0, 1]}}],
        "golds": [1, 0, 0],
        "scores": {"f1": 50.0},
    },
    {
        "name": "two_thirds",
        "lang": "sw",
        "predictions": [{"values": {"value": [1, 1]}}, {"values": {"value": [1, 0]}}, {"values": {"value": [0, 0]}}],
        "golds": [1, 1, 0],
        "scores": {"f1": 66.66666666666667},
    },
)
