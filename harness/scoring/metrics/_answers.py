"""What the question answering metrics share: exact match and token overlap against the best of several gold answers.

answer_stats("the cat", ["cat", "a dog"], tokens=squad.tokens)   # (1.0, 1.0, 1.0): exact match, F1, one question
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from harness.api.errors import UserError
from harness.scoring.metrics._ratio import ratio

KEYS = ("exact_match", "f1")


def overlap(prediction: Sequence[str], gold: Sequence[str]) -> float:
    """F1 (0-1) of two bags of tokens; 0 if they share none, even if both are empty, as in the official scripts."""
    num_same = sum((Counter(prediction) & Counter(gold)).values())
    if num_same == 0:
        return 0.0
    precision, recall = num_same / len(prediction), num_same / len(gold)
    return (2 * precision * recall) / (precision + recall)


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
    given, wanted = tokens(prediction), [tokens(text) for text in gold]
    return float(given in wanted), max(overlap(given, answer) for answer in wanted), 1.0


def combine(totals: np.ndarray) -> dict[str, np.ndarray]:
    """Turn totals [..., 3] of (exact match, F1, questions) into means [...] in percent."""
    num_questions = totals[..., 2]
    return {
        "exact_match": ratio(100.0 * totals[..., 0], num_questions),
        "f1": ratio(100.0 * totals[..., 1], num_questions),
    }
