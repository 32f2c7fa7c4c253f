"""What the question answering metrics share: exact match and token overlap against the best of several gold answers.

answer_stats("the cat", ["cat", "a dog"], tokens=squad.tokens)   # (1.0, 1.0, 1.0): exact match, F1, one question
all_answer_stats(["the cat"], [["cat", "a dog"]], normalised=squad.normalised)   # [[1.0, 1.0, 1.0]]
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np

from harness.api.errors import UserError
from harness.scoring.metrics._ratio import ratio

KEYS = ("exact_match", "f1")
BETWEEN = "\0"
"Stands between texts that are normalised at once: no letter, mark or blank, so that no rule sees across it."


def overlap(prediction: Sequence[str], gold: Sequence[str]) -> float:
    """F1 (0-1) of two bags of tokens; 0 if they share none, even if both are empty, as in the official scripts."""
    num_same = _num_same(prediction, gold)
    if num_same == 0:
        return 0.0
    precision, recall = num_same / len(prediction), num_same / len(gold)
    return (2 * precision * recall) / (precision + recall)


def _num_same(prediction: Sequence[str], gold: Sequence[str]) -> int:
    """How many tokens two bags share; where one of them has none twice, the sets say it."""
    for one, other in ((prediction, gold), (gold, prediction)):
        distinct = set(one)
        if len(distinct) == len(one):
            return len(distinct.intersection(other))
    return sum((Counter(prediction) & Counter(gold)).values())


def overlap_or_equal(prediction: Sequence[str], gold: Sequence[str]) -> float:
    """F1 (0-1) as SQuAD 2.0 has it: of two empty bags 1, of an empty one and another 0."""
    return overlap(prediction, gold) if prediction and gold else float(list(prediction) == list(gold))


def answer_stats(
    prediction: str | None, gold: Sequence[str], *, tokens: Callable[[str], list[str]]
) -> tuple[float, float, float]:
    """Compute (exact match, F1, 1) of one question, each the best over the gold texts; (0, 0, 1) for a missing prediction.

    `tokens` normalises and splits; texts match exactly if their tokens do.  Raises UserError for a question without a gold text
    and for a prediction that is no text.
    """
    if isinstance(gold, str | dict) or not gold:
        raise UserError("no gold answers", expected="a list of one or more answer texts", found=repr(gold))
    if prediction is None:
        return 0.0, 0.0, 1.0
    if not isinstance(prediction, str):
        raise UserError(
            "this prediction is no text",
            expected="a text: every question of this metric has an answer",
            found=f"{prediction!r:.80}",
            todo="leave the option `allow_empty` to tasks with the metric squad_v2",
        )
    return _compared(tokens(prediction), [tokens(text) for text in gold])


def _compared(given: list[str], wanted: Sequence[list[str]]) -> tuple[float, float, float]:
    """(exact match, F1, 1) of the tokens of an answer; one that equals a gold answer has the F1 1, unless it is empty."""
    if given in wanted:
        return 1.0, float(bool(given)), 1.0
    return 0.0, max(overlap(given, answer) for answer in wanted), 1.0


def all_answer_stats(
    predictions: Sequence[str | None], golds: Sequence[Sequence[str]], *, normalised: Callable[[str], str]
) -> np.ndarray:
    """What `answer_stats` gives for each question, float64 [n, 3]; all texts are normalised as one, with BETWEEN between them.

    Raises UserError where `answer_stats` would, and for texts that hold BETWEEN.
    """
    if not {*map(type, golds)} <= {list, tuple} or not all(golds):
        raise UserError("a question has no list of gold texts")
    given = ["" if prediction is None else prediction for prediction in predictions]
    texts = [*given, *chain.from_iterable(golds)]
    if not {*map(type, texts)} <= {str}:
        raise UserError("an answer is no text")
    whole = BETWEEN.join(texts)
    if whole.count(BETWEEN) != max(len(texts) - 1, 0):
        raise UserError("a text holds what stands between texts")
    tokens = [text.split() for text in normalised(whole).split(BETWEEN)]
    table, end = [], len(given)
    for number, (prediction, gold) in enumerate(zip(predictions, golds, strict=True)):
        begin, end = end, end + len(gold)
        table.append((0.0, 0.0, 1.0) if prediction is None else _compared(tokens[number], tokens[begin:end]))
    return np.array(table, dtype=np.float64).reshape(len(table), 3)


def combine(totals: np.ndarray) -> dict[str, np.ndarray]:
    """Turn totals [..., 3] of (exact match, F1, questions) into means [...] in percent."""
    num_questions = totals[..., 2]
    return {
        "exact_match": ratio(100.0 * totals[..., 0], num_questions),
        "f1": ratio(100.0 * totals[..., 1], num_questions),
    }
