"""F1 over all examples together of a task of lm-evaluation-harness with one class each: sklearn's `micro`, here accuracy.

    METRICS.load("lm_eval_micro_f1:f1").stats({"values": {"f1": [2, 0]}}, 2, lang="de")        # (0.0, 1.0)

A value is the pair of the right class and the predicted one: numbers or texts.
"""

from typing import Any

import numpy as np

from harness.scoring.metrics._class_pairs import class_pair
from harness.scoring.metrics._ratio import ratio
from harness.scoring.metrics._task_values import DEFAULT, family

KEYS = ("f1",)
SIGNATURE = "lm_eval_micro_f1|one class an example|over the corpus"


def _count(value: Any, name: str) -> tuple[float, float]:
    """Whether the classes are equal, and one example."""
    right, given = class_pair(value, name)
    return float(right == given), 1.0


def _total(totals: np.ndarray) -> dict[str, np.ndarray]:
    return {"f1": 100.0 * ratio(totals[..., 0], totals[..., 1])}


named = family("lm_eval_micro_f1", keys=KEYS, signature=SIGNATURE, count=_count, num_stats=2, total=_total)
prepare = named(DEFAULT).prepare
stats = named(DEFAULT).stats
combine = named(DEFAULT).combine

GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "three_classes",
        "lang": "en",
        "predictions": [
            {"values": {"value": [0, 0]}},
            {"values": {"value": [0, 1]}},
            {"values": {"value": [1, 1]}},
            {"values": {"value": [2, 1]}},
            {"values": {"value": [2, 2]}},
            {"values": {"value": [2, 2]}},
        ],
        "golds": [0, 0, 1, 2, 2, 2],
        "scores": {"f1": 66.66666666666666},
    },
    {
        "name": "all_right",
        "lang": "de",
        "predictions": [{"values": {"value": [0, 0]}}, {"values": {"value": [1, 1]}}],
        "golds": [0, 1],
        "scores": {"f1": 100.0},
    },
    {
        "name": "all_wrong",
        "lang": "sw",
        "predictions": [{"values": {"value": [0, 1]}}, {"values": {"value": [1, 0]}}],
        "golds": [0, 1],
        "scores": {"f1": 0.0},
    },
    {
        "name": "predicted_only",
        "lang": "en",
        "predictions": [{"values": {"value": [0, 3]}}, {"values": {"value": [0, 0]}}, {"values": {"value": [1, 1]}}],
        "golds": [0, 0, 1],
        "scores": {"f1": 66.66666666666666},
    },
    {
        "name": "one_class_predicted",
        "lang": "de",
        "predictions": [
            {"values": {"value": [0, 1]}},
            {"values": {"value": [1, 1]}},
            {"values": {"value": [2, 1]}},
            {"values": {"value": [1, 1]}},
        ],
        "golds": [0, 1, 2, 1],
        "scores": {"f1": 50.0},
    },
    {
        "name": "none_of_the_choices",
        "lang": "sw",
        "predictions": [{"values": {"value": [-100, 0]}}, {"values": {"value": [1, 1]}}, {"values": {"value": [0, 0]}}],
        "golds": [-100, 1, 0],
        "scores": {"f1": 66.66666666666666},
    },
    {
        "name": "texts",
        "lang": "en",
        "predictions": [
            {"values": {"value": ["yes", "yes"]}},
            {"values": {"value": ["no", "Yes"]}},
            {"values": {"value": ["no", "no"]}},
        ],
        "golds": ["yes", "no", "no"],
        "scores": {"f1": 66.66666666666666},
    },
    {
        "name": "nine_classes",
        "lang": "de",
        "predictions": [
            {"values": {"value": [0, 0]}},
            {"values": {"value": [1, 1]}},
            {"values": {"value": [2, 0]}},
            {"values": {"value": [3, 3]}},
            {"values": {"value": [4, 0]}},
            {"values": {"value": [5, 5]}},
            {"values": {"value": [6, 0]}},
            {"values": {"value": [7, 7]}},
            {"values": {"value": [8, 0]}},
        ],
        "golds": [0, 1, 2, 3, 4, 5, 6, 7, 8],
        "scores": {"f1": 55.55555555555556},
    },
)
