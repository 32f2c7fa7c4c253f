"""Exact match and F1 of SQuAD 2.0, where a question may have no answer, at threshold 0 and at the best threshold.

    metric = METRICS.load("squad_v2")
    prepared = metric.prepare(predictions, golds, lang="en")       # thresholds of the whole set
    metric.stats({"text": "the cat", "null_odds": -1.5}, ["cat"], lang="en", prepared=prepared)

A prediction is the best answer that is not empty, and `null_odds`: the score of no answer minus the score of that answer.  A
question is left unanswered where its odds exceed a threshold.  `exact`, `f1`, `HasAns_*` and `NoAns_*` use 0.  `best_exact` and
`best_f1` use the thresholds that serve the scored questions best, as the official script finds them: they look at the gold
answers, are kept beside the score, and intervals and paired tests take them as given.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.api.errors import UserError
from harness.scoring.metrics._answers import overlap_or_equal
from harness.scoring.metrics._ratio import ratio
from harness.scoring.metrics.squad import tokens

KEYS = ("best_f1", "best_exact", "exact", "f1", "HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1")
SIGNATURE = "squad_v2|max over golds|threshold 0, best thresholds given|evaluate-v2.0 at huggingface/datasets:02bb18c"
CHOOSES_THRESHOLDS = True


class ScoredQuestion(NamedTuple):
    """A question, and how its predicted answer compares with the gold ones."""

    has_answer: bool
    missing: bool
    "No prediction: it counts as left unanswered and is wrong even so."
    empty: bool
    "The predicted text is empty: no answer whatever the odds."
    odds: float
    exact: float
    "Exact match of the text, 0 or 1."
    f1: float
    "F1 of the text, 0-1."

    def answered(self, raw: float) -> float:
        """Credit in the search for the best threshold if the question is answered; any text is wrong if there is no answer."""
        return raw if self.has_answer else float(self.empty)

    @property
    def unanswered(self) -> float:
        """Credit if the question is left unanswered."""
        return float(not self.has_answer and not self.missing)


def _read(prediction: Mapping[str, Any] | None, gold: Sequence[str]) -> ScoredQuestion:
    """Hold a prediction against the gold texts; raises UserError for anything but {"text", "null_odds"}."""
    if isinstance(gold, str) or not gold:
        raise UserError("no gold answers", expected="a list of answer texts, [''] where there is no answer", found=repr(gold))
    has_answer = list(gold) != [""]
    if prediction is None:
        return ScoredQuestion(has_answer, True, True, math.inf, 0.0, 0.0)
    text, odds = (prediction.get("text"), prediction.get("null_odds")) if isinstance(prediction, Mapping) else (None, None)
    if not isinstance(text, str) or not isinstance(odds, int | float) or not math.isfinite(odds):
        raise UserError(
            "this is no prediction of SQuAD 2.0",
            expected='{"text": the best answer, "null_odds": score of no answer minus its score}',
            found=f"{prediction!r:.80}",
            todo="give the task the option `allow_empty: true`, or the metric squad",
        )
    given = tokens(text)
    wanted = [words for words in map(tokens, gold) if words] or [[]]
    f1 = max(overlap_or_equal(given, words) for words in wanted)
    return ScoredQuestion(has_answer, False, text == "", float(odds), float(given in wanted), f1)


def prepare(predictions: Sequence[Any], golds: Sequence[Any], *, lang: str) -> dict[str, Any]:
    """Choose the two thresholds on all questions; also counts questions with and without an answer.

    `best_*_thresh` is what the official script prints; `best_*_answered` questions have odds at or below it in the script's
    order, 0 if it is best to answer none (the threshold is printed as 0.0 then).  Among questions with the very odds of the
    threshold the script takes those that come first; `best_*_tied` is the mean credit that gives them.
    """
    questions = [_read(prediction, gold) for prediction, gold in zip(predictions, golds, strict=True)]
    there = [question for question in questions if not question.missing]
    prepared: dict[str, Any] = {
        "HasAns_total": sum(question.has_answer for question in questions),
        "NoAns_total": sum(not question.has_answer for question in questions),
    }
    for name in ("exact", "f1"):
        prepared |= _best(name, sorted(there, key=lambda question: question.odds))
    return prepared


def _best(name: str, by_odds: Sequence[ScoredQuestion]) -> dict[str, Any]:
    """The threshold of one score; the questions come by their odds, equal ones in the order of the data."""
    score = best = sum(question.unanswered for question in by_odds)  # as the script adds up, so that equal sums stay equal
    number = 0
    for position, question in enumerate(by_odds, start=1):
        score += question.answered(getattr(question, name)) - question.unanswered
        if score > best:
            best, number = score, position
    threshold = by_odds[number - 1].odds if number else 0.0
    tied = [
        question.answered(getattr(question, name)) if position <= number else question.unanswered
        for position, question in enumerate(by_odds, start=1)
        if number and question.odds == threshold
    ]
    mean = math.fsum(tied) / len(tied) if tied else 0.0
    return {f"best_{name}_thresh": threshold, f"best_{name}_answered": number, f"best_{name}_tied": mean}


def stats(prediction: Mapping[str, Any] | None, gold: Sequence[str], *, lang: str, prepared: Mapping[str, Any]) -> list[float]:
    """Compute the additive statistics of one question.

    Questions with an answer, without, exact match and F1 at threshold 0 of the first, of the second, of all, and exact match
    and F1 at their best thresholds.
    """
    question = _read(prediction, gold)
    at_zero = [question.unanswered if question.odds > 0 else raw for raw in (question.exact, question.f1)]
    zeros = [0.0, 0.0]
    return [
        float(question.has_answer),
        float(not question.has_answer),
        *(at_zero if question.has_answer else zeros),
        *(zeros if question.has_answer else at_zero),
        *at_zero,
        _at_best(question, "exact", prepared),
        _at_best(question, "f1", prepared),
    ]


def _at_best(question: ScoredQuestion, name: str, prepared: Mapping[str, Any]) -> float:
    """Credit at the best threshold of a score."""
    threshold = prepared[f"best_{name}_thresh"]
    if not prepared[f"best_{name}_answered"] or question.odds > threshold:
        return question.unanswered
    if question.odds == threshold:
        return float(prepared[f"best_{name}_tied"])
    return question.answered(getattr(question, name))


def combine(totals: np.ndarray) -> dict[str, np.ndarray]:
    """Turn totals [..., 10] into percentages [...]; 0 for a kind of question that does not occur."""
    has, no = totals[..., 0], totals[..., 1]
    counts = {"HasAns": has, "NoAns": no, "": has + no, "best": has + no}
    found = {
        f"{kind}_{name}".lstrip("_"): ratio(100.0 * totals[..., 2 + 2 * place + side], counts[kind])
        for place, kind in enumerate(counts)
        for side, name in enumerate(("exact", "f1"))
    }
    return {key: found[key] for key in KEYS}


GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "threshold_above_zero",
        "lang": "en",
        "predictions": [
            {"text": "north", "null_odds": 1.25},
            {"text": "south", "null_odds": 2.5},
            {"text": "east", "null_odds": 3.0},
            {"text": "west", "null_odds": -1.0},
        ],
        "golds": [["north"], ["south east"], [""], ["the west"]],
        "scores": {
            "best_f1": 91.66666666666666,
            "best_exact": 75.0,
            "exact": 50.0,
            "f1": 50.0,
            "HasAns_exact": 33.333333333333336,
            "HasAns_f1": 33.333333333333336,
            "NoAns_exact": 100.0,
            "NoAns_f1": 100.0,
        },
        "thresholds": {"best_exact_thresh": 1.25, "best_f1_thresh": 2.5},
    },
    {
        "name": "exact_and_f1_want_different_thresholds",
        "lang": "en",
        "predictions": [
            {"text": "one two", "null_odds": -2.0},
            {"text": "wrong", "null_odds": -1.0},
            {"text": "three four", "null_odds": 0.5},
            {"text": "five six", "null_odds": 1.0},
            {"text": "seven", "null_odds": 1.5},
            {"text": "eight", "null_odds": 3.0},
        ],
        "golds": [["one two"], [""], ["three"], ["five"], ["seven up"], [""]],
        "scores": {
            "best_f1": 66.66666666666666,
            "best_exact": 50.0,
            "exact": 33.333333333333336,
            "f1": 33.333333333333336,
            "HasAns_exact": 25.0,
            "HasAns_f1": 25.0,
            "NoAns_exact": 50.0,
            "NoAns_f1": 50.0,
        },
        "thresholds": {"best_exact_thresh": -2.0, "best_f1_thresh": 1.5},
    },
    {
        "name": "best_to_answer_none",
        "lang": "en",
        "predictions": [{"text": "left", "null_odds": -1.0}, {"text": "up", "null_odds": -0.5}, {"text": "on", "null_odds": 0.5}],
        "golds": [["right"], [""], [""]],
        "scores": {
            "best_f1": 66.66666666666667,
            "best_exact": 66.66666666666667,
            "exact": 33.333333333333336,
            "f1": 33.333333333333336,
            "HasAns_exact": 0.0,
            "HasAns_f1": 0.0,
            "NoAns_exact": 50.0,
            "NoAns_f1": 50.0,
        },
        "thresholds": {"best_exact_thresh": 0.0, "best_f1_thresh": 0.0},
    },
    {
        "name": "equal_odds",
        "lang": "en",
        "predictions": [
            {"text": "yes", "null_odds": 0.0},
            {"text": "no", "null_odds": 0.0},
            {"text": "some", "null_odds": 0.0},
            {"text": "more", "null_odds": 0.0},
        ],
        "golds": [["yes"], ["no"], [""], [""]],
        "scores": {
            "best_f1": 100.0,
            "best_exact": 100.0,
            "exact": 50.0,
            "f1": 50.0,
            "HasAns_exact": 100.0,
            "HasAns_f1": 100.0,
            "NoAns_exact": 0.0,
            "NoAns_f1": 0.0,
        },
        "thresholds": {"best_exact_thresh": 0.0, "best_f1_thresh": 0.0},
    },
    {
        "name": "equal_odds_cut_in_the_middle",
        "lang": "en",
        "predictions": [
            {"text": "yes", "null_odds": 1.0},
            {"text": "no", "null_odds": -2.0},
            {"text": "some", "null_odds": 1.0},
            {"text": "last", "null_odds": 1.0},
            {"text": "first", "null_odds": 1.0},
            {"text": "x", "null_odds": 5.0},
        ],
        "golds": [["yes"], ["no"], [""], ["last one"], [""], [""]],
        "scores": {
            "best_f1": 83.33333333333333,
            "best_exact": 83.33333333333333,
            "exact": 66.66666666666667,
            "f1": 66.66666666666667,
            "HasAns_exact": 33.333333333333336,
            "HasAns_f1": 33.333333333333336,
            "NoAns_exact": 100.0,
            "NoAns_f1": 100.0,
        },
        "thresholds": {"best_exact_thresh": 1.0, "best_f1_thresh": 1.0},
    },
    {
        "name": "texts_and_golds_that_normalise_to_nothing",
        "lang": "en",
        "predictions": [
            {"text": "", "null_odds": -5.0},
            {"text": "", "null_odds": 4.0},
            {"text": "the", "null_odds": -1.0},
            {"text": "word", "null_odds": -0.5},
            {"text": "a", "null_odds": -0.25},
        ],
        "golds": [["word"], [""], [""], ["the", "word"], ["..."]],
        "scores": {
            "best_f1": 60.0,
            "best_exact": 60.0,
            "exact": 80.0,
            "f1": 80.0,
            "HasAns_exact": 66.66666666666667,
            "HasAns_f1": 66.66666666666667,
            "NoAns_exact": 100.0,
            "NoAns_f1": 100.0,
        },
        "thresholds": {"best_exact_thresh": -0.25, "best_f1_thresh": -0.25},
    },
)
