"""Perplexity of the texts of a task of lm-evaluation-harness, of all of them at once: its `perplexity` and `weighted_perplexity`.

    METRICS.load("lm_eval_perplexity:word_perplexity").stats({"values": {"word_perplexity": [-120.5, 40]}}, "", lang="de")

A value is the log-likelihood of a text, or the pair of it and the text's weight: its words, or its bytes.  Lower is better; the
least is 1, and there is no largest one.
"""

import math
from typing import Any

import numpy as np

from harness.scoring.metrics._ratio import ratio
from harness.scoring.metrics._task_values import DEFAULT, family, number

KEYS = ("perplexity",)
SIGNATURE = "lm_eval_perplexity|exp of minus the mean log-likelihood|over the corpus"
LARGEST = 700.0
"Exponent beyond which there are no floating-point numbers."
_EXP = np.vectorize(math.exp, otypes=[np.float64])
"As lm-eval raises e, to the last digit; numpy's own differs there."


def _count(value: Any, name: str) -> tuple[float, float]:
    """The log-likelihood and its weight; a number alone weighs 1."""
    likelihood, weight = value if isinstance(value, list | tuple) and len(value) == 2 else (value, 1)
    return number(likelihood, name), number(weight, name)


def _total(totals: np.ndarray) -> dict[str, np.ndarray]:
    likelihood, weight = totals[..., 0], totals[..., 1]
    return {"perplexity": np.where(weight > 0, _EXP(np.minimum(-ratio(likelihood, weight), LARGEST)), 0.0)}


named = family("lm_eval_perplexity", keys=KEYS, signature=SIGNATURE, count=_count, num_stats=2, total=_total)
prepare = named(DEFAULT).prepare
stats = named(DEFAULT).stats
combine = named(DEFAULT).combine

GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "one",
        "lang": "en",
        "predictions": [{"values": {"value": -1.0}}],
        "golds": [""],
        "scores": {"perplexity": 2.718281828459045},
    },
    {
        "name": "several",
        "lang": "de",
        "predictions": [{"values": {"value": -0.5}}, {"values": {"value": -2.25}}, {"values": {"value": -7.125}}],
        "golds": ["", "", ""],
        "scores": {"perplexity": 26.88763906446752},
    },
    {
        "name": "sure",
        "lang": "sw",
        "predictions": [{"values": {"value": 0.0}}, {"values": {"value": 0.0}}],
        "golds": ["", ""],
        "scores": {"perplexity": 1.0},
    },
    {
        "name": "far",
        "lang": "zh",
        "predictions": [{"values": {"value": -40.5}}, {"values": {"value": -3.5}}],
        "golds": ["", ""],
        "scores": {"perplexity": 3584912846.131592},
    },
    {
        "name": "whole_number",
        "lang": "en",
        "predictions": [{"values": {"value": -2}}],
        "golds": [""],
        "scores": {"perplexity": 7.38905609893065},
    },
    {
        "name": "texts",
        "lang": "en",
        "predictions": [{"values": {"value": [-120.5, 40]}}, {"values": {"value": [-33.25, 9]}}],
        "golds": ["", ""],
        "scores": {"perplexity": 23.052059208363413},
    },
    {
        "name": "one_text",
        "lang": "de",
        "predictions": [{"values": {"value": [-10.0, 4]}}],
        "golds": [""],
        "scores": {"perplexity": 12.182493960703473},
    },
    {
        "name": "longer_texts_weigh_more",
        "lang": "ar",
        "predictions": [{"values": {"value": [-900.0, 100]}}, {"values": {"value": [-1.0, 1]}}],
        "golds": ["", ""],
        "scores": {"perplexity": 7486.016399924153},
    },
)
