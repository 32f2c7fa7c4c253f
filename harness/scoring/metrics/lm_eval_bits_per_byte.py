"""Bits that a byte of the texts of a task of lm-evaluation-harness takes: its `bits_per_byte`.

    METRICS.load("lm_eval_bits_per_byte:bits_per_byte").stats({"values": {"bits_per_byte": [-120.5, 215]}}, "", lang="de")

A value is the pair of the log-likelihood of a text and its bytes.  Lower is better; the least is 0.
"""

import math
from typing import Any

import numpy as np

from harness.scoring.metrics._ratio import ratio
from harness.scoring.metrics._task_values import DEFAULT, family, number

KEYS = ("bits_per_byte",)
SIGNATURE = "lm_eval_bits_per_byte|minus log-likelihood by bytes|base 2|over the corpus"


def _count(value: Any, name: str) -> tuple[float, float]:
    """The log-likelihood and its weight; a number alone weighs 1."""
    likelihood, weight = value if isinstance(value, list | tuple) and len(value) == 2 else (value, 1)
    return number(likelihood, name), number(weight, name)


def _total(totals: np.ndarray) -> dict[str, np.ndarray]:
    return {"bits_per_byte": -ratio(totals[..., 0], totals[..., 1]) / math.log(2)}


named = family("lm_eval_bits_per_byte", keys=KEYS, signature=SIGNATURE, count=_count, num_stats=2, total=_total)
prepare = named(DEFAULT).prepare
stats = named(DEFAULT).stats
combine = named(DEFAULT).combine

GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "texts",
        "lang": "en",
        "predictions": [{"values": {"value": [-120.5, 40]}}, {"values": {"value": [-33.25, 9]}}],
        "golds": ["", ""],
        "scores": {"bits_per_byte": 4.526823725238329},
    },
    {
        "name": "one_text",
        "lang": "de",
        "predictions": [{"values": {"value": [-10.0, 4]}}],
        "golds": [""],
        "scores": {"bits_per_byte": 3.6067376022224087},
    },
    {
        "name": "longer_texts_weigh_more",
        "lang": "ar",
        "predictions": [{"values": {"value": [-900.0, 100]}}, {"values": {"value": [-1.0, 1]}}],
        "golds": ["", ""],
        "scores": {"bits_per_byte": 12.869982493474813},
    },
    {
        "name": "sure",
        "lang": "sw",
        "predictions": [{"values": {"value": [0.0, 7]}}],
        "golds": [""],
        "scores": {"bits_per_byte": -0.0},
    },
    {
        "name": "one_bit",
        "lang": "en",
        "predictions": [{"values": {"value": [-0.6931471805599453, 1]}}],
        "golds": [""],
        "scores": {"bits_per_byte": 1.0},
    },
    {
        "name": "three",
        "lang": "zh",
        "predictions": [{"values": {"value": [-55.5, 31]}}, {"values": {"value": [-2.5, 3]}}, {"values": {"value": [-8.25, 12]}}],
        "golds": ["", "", ""],
        "scores": {"bits_per_byte": 2.0777944882368224},
    },
)
