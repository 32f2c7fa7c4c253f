"""Exact match and F1 of MLQA (official script v1): punctuation and articles by language, Chinese compared by character.

    METRICS.load("mlqa").stats("der Hund", ["Hund"], lang="de")   # (1.0, 1.0, 1.0)

The Arabic rule deletes the letters of the article anywhere, inside words too.  That is a slip of the official script, kept
because published scores have it.
"""

import re
import string
import unicodedata
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from harness.api.errors import UserError
from harness.scoring.metrics._answers import KEYS as KEYS
from harness.scoring.metrics._answers import all_answer_stats, answer_stats
from harness.scoring.metrics._answers import combine as combine

SIGNATURE = "mlqa|v1|max over golds|xtreme:838c13b"


def _words(*words: str) -> re.Pattern[str]:
    """Match any of these words standing alone."""
    return re.compile(rf"\b(?:{'|'.join(words)})\b")


_ARTICLES: dict[str, re.Pattern[str] | None] = {
    "ar": re.compile("ال"),
    "de": _words("ein", "eine", "einen", "einem", "eines", "einer", "der", "die", "das", "den", "dem", "des"),
    "en": _words("a", "an", "the"),
    "es": _words("un", "una", "unos", "unas", "el", "la", "los", "las"),
    "hi": None,
    "vi": _words("của", "là", "cái", "chiếc", "những"),
    "zh": None,
}
_CHINESE = re.compile(r"([\u4e00-\u9fa5])")


@cache
def _is_punctuation(character: str) -> bool:
    """Tell punctuation: Unicode category P*, and the ASCII signs that Unicode counts as symbols ($, +, <, ...)."""
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def normalised(text: str, lang: str) -> str:
    """Lower the text, drop punctuation, then the language's articles; raises UserError for an unknown language."""
    if lang not in _ARTICLES:
        raise UserError("no answer normalisation for this language", expected=f"one of {', '.join(_ARTICLES)}", found=lang)
    text = text.lower()
    for mark in filter(_is_punctuation, set(text)):
        text = text.replace(mark, "")
    articles = _ARTICLES[lang]
    if articles is not None:
        text = articles.sub(" ", text)
    return _CHINESE.sub(r" \1 ", text) if lang == "zh" else text


def tokens(text: str, lang: str) -> list[str]:
    """What is left of a text once it is normalised, split at whitespace; in Chinese each character is a token."""
    return normalised(text, lang).split()


def stats(prediction: str | None, gold: Sequence[str], *, lang: str) -> tuple[float, float, float]:
    """Compute (exact match, F1, 1) of one question, the best over its gold texts; a missing prediction scores 0."""
    return answer_stats(prediction, gold, tokens=partial(tokens, lang=lang))


def all_stats(predictions: Sequence[str | None], golds: Sequence[Sequence[str]], *, lang: str) -> np.ndarray:
    """The statistics of many questions, float64 [n, 3]."""
    return all_answer_stats(predictions, golds, normalised=partial(normalised, lang=lang))


GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "en_articles",
        "lang": "en",
        "predictions": ["The Tall Tower!", "un perro"],
        "golds": [["a tall tower"], ["perro"]],
        "scores": {"exact_match": 50.0, "f1": 83.33333333333333},
    },
    {
        "name": "es_articles",
        "lang": "es",
        "predictions": ["la casa de los perros", "Unas ¿casas?", "the end"],
        "golds": [["casa de perros"], ["casas"], ["end"]],
        "scores": {"exact_match": 66.66666666666667, "f1": 88.88888888888887},
    },
    {
        "name": "de_articles",
        "lang": "de",
        "predictions": ["der Hund", "eines Tages im Mai", "keine Angst"],
        "golds": [["Hund"], ["Tages im Mai"], ["Angst"]],
        "scores": {"exact_match": 66.66666666666667, "f1": 88.88888888888887},
    },
    {
        "name": "vi_articles",
        "lang": "vi",
        "predictions": ["những cái nhà của tôi", "của tôi"],
        "golds": [["nhà tôi"], ["tôi"]],
        "scores": {"exact_match": 50.0, "f1": 83.33333333333333},
    },
    {
        "name": "ar_article_anywhere",
        "lang": "ar",
        "predictions": ["الكتاب", "سؤال", "مال كثير", "في البيت"],
        "golds": [["كتاب"], ["سؤ"], ["م كثير"], ["في بيت"]],
        "scores": {"exact_match": 100.0, "f1": 100.0},
    },
    {
        "name": "ar_question_mark",
        "lang": "ar",
        "predictions": ["لماذا؟ نعم،"],
        "golds": [["لماذا نعم"]],
        "scores": {"exact_match": 100.0, "f1": 100.0},
    },
    {
        "name": "hi_danda",
        "lang": "hi",
        "predictions": ["भारत।", "भारत देश"],
        "golds": [["भारत"], ["देश भारत में"]],
        "scores": {"exact_match": 50.0, "f1": 90.0},
    },
    {
        "name": "zh_by_character",
        "lang": "zh",
        "predictions": ["北京大学（Peking University）", "天氣很好"],
        "golds": [["北京大学"], ["天氣好"]],
        "scores": {"exact_match": 0.0, "f1": 82.85714285714285},
    },
    {
        "name": "zh_mixed",
        "lang": "zh",
        "predictions": ["1998年 5月", "NBA 球隊，", "「三 國」"],
        "golds": [["1998年5月"], ["nba球隊"], ["三國"]],
        "scores": {"exact_match": 100.0, "f1": 100.0},
    },
    {
        "name": "zh_rare_characters_are_words",
        "lang": "zh",
        "predictions": ["龦龦國", "カタカナ國"],
        "golds": [["龦國"], ["カタカナ"]],
        "scores": {"exact_match": 0.0, "f1": 58.33333333333333},
    },
    {
        "name": "several_golds",
        "lang": "de",
        "predictions": ["am Abend", "drei"],
        "golds": [["Abend", "am Abend", "abends"], ["vier", "drei oder vier"]],
        "scores": {"exact_match": 50.0, "f1": 75.0},
    },
    {
        "name": "symbols",
        "lang": "en",
        "predictions": ["$5 + 3", "5€"],
        "golds": [["5 3"], ["5"]],
        "scores": {"exact_match": 50.0, "f1": 50.0},
    },
    {
        "name": "empty_prediction",
        "lang": "zh",
        "predictions": ["", "。"],
        "golds": [["好"], ["好"]],
        "scores": {"exact_match": 0.0, "f1": 0.0},
    },
    {
        "name": "both_empty_after_normalising",
        "lang": "es",
        "predictions": ["la"],
        "golds": [["el"]],
        "scores": {"exact_match": 100.0, "f1": 0.0},
    },
    {
        "name": "missing_id",
        "lang": "vi",
        "predictions": [None, "hai"],
        "golds": [["một"], ["hai"]],
        "scores": {"exact_match": 50.0, "f1": 50.0},
    },
    {
        "name": "all_wrong",
        "lang": "hi",
        "predictions": ["एक", "दो"],
        "golds": [["तीन"], ["चार"]],
        "scores": {"exact_match": 0.0, "f1": 0.0},
    },
)
