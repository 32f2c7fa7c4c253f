"""Overlap of generated texts with their references: F1 of the bags of words that white space separates.

    METRICS.load("token_f1").stats("the cat sat", ["the cat", "a dog"], lang="en")   # (0.8, 1.0)

Nothing is normalised.  In languages that put no space between words (zh, ja, th, my) a sentence is mostly one token: there it is
near exact match, and `chrf` says more.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.scoring.metrics._answers import overlap
from harness.scoring.metrics._ratio import ratio
from harness.scoring.metrics._references import generated, references

KEYS = ("f1",)
SIGNATURE = "token_f1|bags of white-space tokens, two empty ones are equal|max over references|mean over examples"


def stats(prediction: str | None, gold: Sequence[str] | Mapping[str, Any] | str, *, lang: str) -> tuple[float, float]:
    """Give (F1 with the reference nearest to the text, 1); (0, 1) for a missing prediction."""
    text, wanted = generated(prediction), references(gold, lang=lang)
    if text is None:
        return 0.0, 1.0
    return max(_f1(text.split(), reference.split()) for reference in wanted.texts), 1.0


def _f1(given: Sequence[str], wanted: Sequence[str]) -> float:
    """F1 (0-1) of two bags of tokens; 1 if both are empty, as SQuAD 2.0's script has it."""
    return overlap(given, wanted) if given or wanted else 1.0


def combine(totals: np.ndarray) -> dict[str, np.ndarray]:
    """Turn totals [..., 2] into the mean F1 [...] in percent."""
    return {"f1": ratio(100.0 * totals[..., 0], totals[..., 1])}


GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "one_word_more",
        "lang": "en",
        "predictions": ["the cat sat"],
        "golds": [["the cat"]],
        "scores": {"f1": 80.0},
    },
    {
        "name": "best_reference",
        "lang": "en",
        "predictions": ["the cat sat", "b"],
        "golds": [["a dog", "the cat", "the"], ["a b c d", "b"]],
        "scores": {"f1": 90.0},
    },
    {
        "name": "repeated_tokens",
        "lang": "en",
        "predictions": ["no no no"],
        "golds": [["no no yes"]],
        "scores": {"f1": 66.66666666666666},
    },
    {
        "name": "case_and_punctuation_count",
        "lang": "en",
        "predictions": ["The cat."],
        "golds": [["the cat"]],
        "scores": {"f1": 0.0},
    },
    {
        "name": "any_white_space_separates",
        "lang": "ru",
        "predictions": ["5\u00a0\u043c\u0430\u044f\n", " a\tb "],
        "golds": [["5 \u043c\u0430\u044f"], ["b a"]],
        "scores": {"f1": 100.0},
    },
    {
        "name": "chinese_is_one_token",
        "lang": "zh",
        "predictions": ["\u5929\u6c23\u5f88\u597d", "\u5929\u6c23\u597d"],
        "golds": [["\u5929\u6c23\u597d"], ["\u5929\u6c23\u597d"]],
        "scores": {"f1": 50.0},
    },
    {
        "name": "empty_texts",
        "lang": "en",
        "predictions": ["", " ", "a"],
        "golds": [["a"], ["", "a"], [""]],
        "scores": {"f1": 33.333333333333336},
    },
    {
        "name": "missing",
        "lang": "en",
        "predictions": [None, "two"],
        "golds": [["one"], ["two"]],
        "scores": {"f1": 50.0},
    },
    {
        "name": "gold_as_text_or_with_its_language",
        "lang": "zh",
        "predictions": ["yes sir", "no"],
        "golds": ["yes", {"lang": "en", "texts": ["no", "never"]}],
        "scores": {"f1": 83.33333333333333},
    },
)
