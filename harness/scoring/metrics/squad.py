"""Exact match and F1 of SQuAD v1.1 (XQuAD, TyDiQA-GoldP, SQuAD): English normalisation for every language.

    METRICS.load("squad").stats("The cat!", ["cat", "a dog"], lang="en")   # (1.0, 1.0, 1.0)

There is no segmentation either, so a Chinese or Thai answer is mostly one token and its F1 is near its exact match; XTREME
means it so.
"""

import re
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.scoring.metrics._answers import KEYS as KEYS
from harness.scoring.metrics._answers import all_answer_stats, answer_stats
from harness.scoring.metrics._answers import combine as combine

SIGNATURE = "squad|v1.1|max over golds|xtreme:838c13b"
_PUNCTUATION = frozenset(string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalised(text: str) -> str:
    """Lower the text, drop ASCII punctuation, then English articles."""
    text = text.lower()
    for mark in _PUNCTUATION.intersection(text):  # text.translate looks up every letter, too
        text = text.replace(mark, "")
    return _ARTICLES.sub(" ", text)


def tokens(text: str) -> list[str]:
    """What is left of a text once it is normalised, split at whitespace."""
    return normalised(text).split()


def stats(prediction: str | None, gold: Sequence[str], *, lang: str) -> tuple[float, float, float]:
    """Compute (exact match, F1, 1) of one question, the best over its gold texts; a missing prediction scores 0."""
    return answer_stats(prediction, gold, tokens=tokens)


def all_stats(predictions: Sequence[str | None], golds: Sequence[Sequence[str]], *, lang: str) -> np.ndarray:
    """The statistics of many questions, float64 [n, 3]."""
    return all_answer_stats(predictions, golds, normalised=normalised)


GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "case_punctuation_article",
        "lang": "en",
        "predictions": ["The Tall Tower!", "an apple, a pear"],
        "golds": [["tall tower"], ["apple pear"]],
        "scores": {"exact_match": 100.0, "f1": 100.0},
    },
    {
        "name": "partial",
        "lang": "en",
        "predictions": ["in the green house"],
        "golds": [["green house by lake"]],
        "scores": {"exact_match": 0.0, "f1": 57.14285714285715},
    },
    {
        "name": "repeated_tokens",
        "lang": "en",
        "predictions": ["no no no"],
        "golds": [["no no yes"]],
        "scores": {"exact_match": 0.0, "f1": 66.66666666666666},
    },
    {
        "name": "several_golds",
        "lang": "en",
        "predictions": ["late summer", "June"],
        "golds": [["summer", "late in summer", "Late summer."], ["July", "in June", "June 3"]],
        "scores": {"exact_match": 50.0, "f1": 83.33333333333333},
    },
    {
        "name": "exact_and_f1_from_different_golds",
        "lang": "en",
        "predictions": ["the", "b c"],
        "golds": [["a", "x"], ["b c d", "b"]],
        "scores": {"exact_match": 50.0, "f1": 40.0},
    },
    {
        "name": "empty_prediction",
        "lang": "en",
        "predictions": ["", "..."],
        "golds": [["word"], ["word"]],
        "scores": {"exact_match": 0.0, "f1": 0.0},
    },
    {
        "name": "both_empty_after_normalising",
        "lang": "en",
        "predictions": ["the"],
        "golds": [["..."]],
        "scores": {"exact_match": 100.0, "f1": 0.0},
    },
    {
        "name": "missing_id",
        "lang": "en",
        "predictions": [None, "two"],
        "golds": [["one"], ["two"]],
        "scores": {"exact_match": 50.0, "f1": 50.0},
    },
    {
        "name": "all_wrong",
        "lang": "en",
        "predictions": ["left", "up"],
        "golds": [["right"], ["down"]],
        "scores": {"exact_match": 0.0, "f1": 0.0},
    },
    {
        "name": "article_inside_a_word_stays",
        "lang": "en",
        "predictions": ["theatre an"],
        "golds": [["atre"]],
        "scores": {"exact_match": 0.0, "f1": 0.0},
    },
    {
        "name": "hyphen_joins",
        "lang": "en",
        "predictions": ["well-known man"],
        "golds": [["well known man"]],
        "scores": {"exact_match": 0.0, "f1": 40.0},
    },
    {
        "name": "chinese_is_one_token",
        "lang": "zh",
        "predictions": ["北京大学（Peking University）", "天氣很好"],
        "golds": [["北京大学"], ["天氣好"]],
        "scores": {"exact_match": 0.0, "f1": 0.0},
    },
    {
        "name": "german_articles_stay",
        "lang": "de",
        "predictions": ["der Hund"],
        "golds": [["Hund"]],
        "scores": {"exact_match": 0.0, "f1": 66.66666666666666},
    },
    {
        "name": "arabic_article_stays",
        "lang": "ar",
        "predictions": ["الكتاب"],
        "golds": [["كتاب"]],
        "scores": {"exact_match": 0.0, "f1": 0.0},
    },
    {
        "name": "hindi_danda_stays",
        "lang": "hi",
        "predictions": ["भारत।"],
        "golds": [["भारत"]],
        "scores": {"exact_match": 0.0, "f1": 0.0},
    },
    {
        "name": "thai_is_one_token",
        "lang": "th",
        "predictions": ["กรุงเทพ มหานคร"],
        "golds": [["กรุงเทพมหานคร", "กรุงเทพ"]],
        "scores": {"exact_match": 0.0, "f1": 66.66666666666666},
    },
    {
        "name": "no_break_space_splits",
        "lang": "ru",
        "predictions": ["5\xa0мая"],
        "golds": [["5 мая", "мая"]],
        "scores": {"exact_match": 100.0, "f1": 100.0},
    },
)
