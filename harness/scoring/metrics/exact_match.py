r"""Share of generated texts that equal one of their references.

    METRICS.load("exact_match").stats(" Paris\n", ["Paris", "paris"], lang="fr")   # (1.0, 1.0)

White space around both is no part of them; nothing else is normalised.  Where case, punctuation and articles are not to count,
take `squad` or `mlqa`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.scoring.metrics._ratio import ratio
from harness.scoring.metrics._references import generated, references

KEYS = ("exact_match",)
SIGNATURE = "exact_match|equal texts, white space around them stripped|max over references"


def stats(prediction: str | None, gold: Sequence[str] | Mapping[str, Any] | str, *, lang: str) -> tuple[float, float]:
    """Give (1 if the text is one of the references, 1); (0, 1) for a missing prediction."""
    given, wanted = generated(prediction), references(gold, lang=lang)
    return float(given is not None and given.strip() in [text.strip() for text in wanted.texts]), 1.0


def combine(totals: np.ndarray) -> dict[str, np.ndarray]:
    """Turn totals [..., 2] into the percentage [...] of texts that match."""
    return {"exact_match": ratio(100.0 * totals[..., 0], totals[..., 1])}


GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "half",
        "lang": "en",
        "predictions": ["Paris", "in Paris"],
        "golds": [["Paris"], ["Paris"]],
        "scores": {"exact_match": 50.0},
    },
    {
        "name": "blanks_around",
        "lang": "en",
        "predictions": [" Paris\n", "\u00a0two\u2003", "two  words"],
        "golds": [["Paris "], ["two"], ["two words"]],
        "scores": {"exact_match": 66.66666666666667},
    },
    {
        "name": "several_references",
        "lang": "de",
        "predictions": ["der Hund", "Hund", "Hunde"],
        "golds": [["Hund", "der Hund"], ["Hund", "der Hund"], ["Hund", "der Hund"]],
        "scores": {"exact_match": 66.66666666666667},
    },
    {
        "name": "case_and_punctuation_count",
        "lang": "en",
        "predictions": ["paris", "Paris."],
        "golds": [["Paris"], ["Paris"]],
        "scores": {"exact_match": 0.0},
    },
    {
        "name": "composed_and_decomposed_differ",
        "lang": "fr",
        "predictions": ["e\u0301te\u0301", "\u00e9t\u00e9"],
        "golds": [["\u00e9t\u00e9"], ["\u00e9t\u00e9"]],
        "scores": {"exact_match": 50.0},
    },
    {
        "name": "missing",
        "lang": "en",
        "predictions": [None, "two"],
        "golds": [["one"], ["two"]],
        "scores": {"exact_match": 50.0},
    },
    {
        "name": "empty_text",
        "lang": "en",
        "predictions": ["", " ", "a"],
        "golds": [["a"], [""], [""]],
        "scores": {"exact_match": 33.333333333333336},
    },
    {
        "name": "gold_as_text_or_with_its_language",
        "lang": "zh",
        "predictions": ["yes", "no"],
        "golds": ["yes", {"lang": "en", "texts": ["no", "never"]}],
        "scores": {"exact_match": 100.0},
    },
)
