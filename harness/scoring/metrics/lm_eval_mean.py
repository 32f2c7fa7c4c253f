"""Mean of a value that a task of lm-evaluation-harness computes for each example (acc, acc_norm, exact_match, its own f1, ...).

    METRICS.load("lm_eval_mean:acc").stats({"values": {"acc": 1.0}}, 2, lang="de")       # (1.0, 1.0)

Values of 0 to 1 are given in percent, as all scores here are; those of scores that have a scale of their own stay as they are.
An example without the value, or with NaN, does not count.
"""

import math
from functools import cache
from typing import Any

import numpy as np

from harness.scoring.metrics._ratio import ratio
from harness.scoring.metrics._task_values import DEFAULT, CountedValueMetric, number

KEYS = ("mean",)
SIGNATURE = "lm_eval_mean|mean over examples|x100"
OWN_SCALE = ("bleu", "chrf", "ter", "rouge", "perplexity", "ppl", "loss", "distance", "bits", "length")
"Parts of the names of values that are not between 0 and 1."


@cache
def named(name: str) -> CountedValueMetric:
    """The metric of one value; the filter of lm-eval may stand behind a comma."""
    as_it_is = any(part in name.lower() for part in OWN_SCALE)
    scale = 1.0 if as_it_is else 100.0

    def count(value: Any, name: str) -> tuple[float, float]:
        found = number(value, name)
        return (0.0, 0.0) if math.isnan(found) else (found, 1.0)

    def total(totals: np.ndarray) -> dict[str, np.ndarray]:
        return {"mean": ratio(scale * totals[..., 0], totals[..., 1])}

    signature = SIGNATURE.replace("x100", "as it is") if as_it_is else SIGNATURE
    if name != DEFAULT:
        signature += f"|{name}"
    return CountedValueMetric(
        name=name, family="lm_eval_mean", KEYS=KEYS, SIGNATURE=signature, count=count, num_stats=2, total=total
    )


prepare = named(DEFAULT).prepare
stats = named(DEFAULT).stats
combine = named(DEFAULT).combine

GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "half",
        "lang": "en",
        "predictions": [{"values": {"value": 1.0}}, {"values": {"value": 0.0}}],
        "golds": [0, 1],
        "scores": {"mean": 50.0},
    },
    {
        "name": "fractions",
        "lang": "de",
        "predictions": [{"values": {"value": 0.25}}, {"values": {"value": 0.5}}, {"values": {"value": 0.75}}],
        "golds": [0, 1, 0],
        "scores": {"mean": 50.0},
    },
    {"name": "all_wrong", "lang": "en", "predictions": [{"values": {"value": 0}}], "golds": [1], "scores": {"mean": 0.0}},
    {
        "name": "all_right",
        "lang": "zh",
        "predictions": [{"values": {"value": 1}}, {"values": {"value": True}}],
        "golds": ["a", ["b"]],
        "scores": {"mean": 100.0},
    },
    {
        "name": "other_values_beside_it",
        "lang": "en",
        "predictions": [{"values": {"value": 1.0, "f1": 0.0}}, {"values": {"f1": 1.0, "value": 1.0}}],
        "golds": [0, 0],
        "scores": {"mean": 100.0},
    },
    {
        "name": "without_the_value_does_not_count",
        "lang": "en",
        "predictions": [{"values": {"value": 1.0}}, {"values": {"f1": 1.0}}],
        "golds": [0, 0],
        "scores": {"mean": 100.0},
    },
)
