"""Matthews' correlation of two classes over all examples of a task of lm-evaluation-harness, x100: its aggregation of `mcc`.

    METRICS.load("lm_eval_mcc:mcc").stats({"values": {"mcc": [1, 0]}}, 1, lang="de")        # (0.0, 0.0, 1.0, 0.0): a miss

A value is the pair of the right class and the predicted one.  The number is from -100 to 100; guessing gives 0, and so does a
class that is always right or always predicted, as in sklearn.
"""

from typing import Any

import numpy as np

from harness.scoring.metrics._class_pairs import two_class_pair
from harness.scoring.metrics._ratio import ratio
from harness.scoring.metrics._task_values import DEFAULT, family

KEYS = ("mcc",)
SIGNATURE = "lm_eval_mcc|two classes|over the corpus|x100"


def _count(value: Any, name: str) -> tuple[float, float, float, float]:
    """Right positives, wrong positives, misses and right negatives of one pair."""
    gold, given = two_class_pair(value, name)
    return float(gold == given == 1), float(gold == 0 and given == 1), float(gold == 1 and given == 0), float(gold == given == 0)


def _total(totals: np.ndarray) -> dict[str, np.ndarray]:
    """Covariance of the right and the predicted class over the root of their variances, all times the square of the examples."""
    hits, wrong, missed, others = (totals[..., place] for place in range(4))
    number = hits + wrong + missed + others
    right, given = (hits + missed, wrong + others), (hits + wrong, missed + others)
    both = (hits + others) * number - (right[0] * given[0] + right[1] * given[1])
    spread = [number * number - (one * one + other * other) for one, other in (right, given)]
    return {"mcc": 100.0 * ratio(both, np.sqrt(spread[0] * spread[1]))}


named = family("lm_eval_mcc", keys=KEYS, signature=SIGNATURE, count=_count, num_stats=4, total=_total)
prepare = named(DEFAULT).prepare
stats = named(DEFAULT).stats
combine = named(DEFAULT).combine

GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "half",
        "lang": "en",
        "predictions": [
            {"values": {"value": [1, 1]}},
            {"values": {"value": [1, 0]}},
            {"values": {"value": [0, 0]}},
            {"values": {"value": [0, 1]}},
        ],
        "golds": [1, 1, 0, 0],
        "scores": {"mcc": 0.0},
    },
    {
        "name": "all_right",
        "lang": "de",
        "predictions": [{"values": {"value": [1, 1]}}, {"values": {"value": [0, 0]}}],
        "golds": [1, 0],
        "scores": {"mcc": 100.0},
    },
    {
        "name": "all_wrong",
        "lang": "sw",
        "predictions": [{"values": {"value": [1, 0]}}, {"values": {"value": [0, 1]}}],
        "golds": [1, 0],
        "scores": {"mcc": -100.0},
    },
    {
        "name": "one_class_predicted",
        "lang": "en",
        "predictions": [{"values": {"value": [1, 1]}}, {"values": {"value": [0, 1]}}],
        "golds": [1, 0],
        "scores": {"mcc": 0.0},
    },
    {
        "name": "some",
        "lang": "de",
        "predictions": [
            {"values": {"value": [1, 1]}},
            {"values": {"value": [1, 1]}},
            {"values": {"value": [0, 0]}},
            {"values": {"value": [0, 1]}},
            {"values": {"value": [1, 0]}},
            {"values": {"value": [0, 0]}},
            {"values": {"value": [0, 0]}},
        ],
        "golds": [1, 1, 0, 0, 1, 0, 0],
        "scores": {"mcc": 41.66666666666667},
    },
    {
        "name": "one_class_right",
        "lang": "sw",
        "predictions": [{"values": {"value": [1, 1]}}, {"values": {"value": [1, 1]}}],
        "golds": [1, 1],
        "scores": {"mcc": 0.0},
    },
    {
        "name": "skewed",
        "lang": "en",
        "predictions": [
            {"values": {"value": [0, 0]}},
            {"values": {"value": [0, 0]}},
            {"values": {"value": [0, 0]}},
            {"values": {"value": [1, 0]}},
            {"values": {"value": [1, 1]}},
        ],
        "golds": [0, 0, 0, 1, 1],
        "scores": {"mcc": 61.237243569579455},
    },
)
