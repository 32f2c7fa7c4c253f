r"""F1, precision and recall of a set of mined sentence pairs (BUCC).

    METRICS.load("mined_pairs").stats(["de-1\ten-7"], ["de-1\ten-7", "de-2\ten-3"], lang="de")   # (1, 1, 2)

Each line of predictions holds a share of the set, and no pair is in two lines: the counts add up to those of the whole set.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.api.errors import UserError
from harness.scoring.metrics._counts import KEYS as KEYS
from harness.scoring.metrics._counts import combine as combine

SIGNATURE = "mined_pairs|f1 of the set|xtreme:838c13b"


def stats(prediction: Sequence[str] | None, gold: Sequence[str], *, lang: str) -> tuple[int, int, int]:
    """Count the pairs `id TAB id` that are (correct, predicted, gold); a missing prediction predicts none."""
    for pairs in (gold, prediction):
        if isinstance(pairs, str | Mapping) or not all(isinstance(pair, str) for pair in pairs or ()):
            raise UserError("this is no list of pairs", expected="texts `id TAB id`", found=f"{pairs!r:.80}")
    given, wanted = set(prediction or ()), set(gold)
    return len(given & wanted), len(given), len(wanted)


GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "perfect",
        "lang": "de",
        "predictions": [["de-1\ten-1"], ["de-2\ten-5"]],
        "golds": [["de-1\ten-1"], ["de-2\ten-5"]],
        "scores": {"f1": 100.0, "precision": 100.0, "recall": 100.0},
    },
    {
        "name": "nothing_predicted",
        "lang": "de",
        "predictions": [[]],
        "golds": [["de-1\ten-1"]],
        "scores": {"f1": 0.0, "precision": 0.0, "recall": 0.0},
    },
    {
        "name": "all_wrong",
        "lang": "de",
        "predictions": [["de-1\ten-2"], ["de-2\ten-1"]],
        "golds": [["de-1\ten-1"], ["de-2\ten-2"]],
        "scores": {"f1": 0.0, "precision": 0.0, "recall": 0.0},
    },
    {
        "name": "half_of_each",
        "lang": "de",
        "predictions": [["de-1\ten-1"], ["de-3\ten-3"]],
        "golds": [["de-1\ten-1"], ["de-2\ten-2"]],
        "scores": {"f1": 50.0, "precision": 50.0, "recall": 50.0},
    },
    {
        "name": "distractors",
        "lang": "de",
        "predictions": [["de-1\ten-1"], ["de-2\ten-9"], ["de-3\ten-3", "de-7\ten-4", "de-8\ten-8"]],
        "golds": [["de-1\ten-1"], ["de-2\ten-2"], ["de-3\ten-3"]],
        "scores": {"f1": 50.0, "precision": 40.0, "recall": 66.66666666666666},
    },
    {
        "name": "few_found",
        "lang": "de",
        "predictions": [None, [], ["de-3\ten-3"], None],
        "golds": [["de-1\ten-1"], ["de-2\ten-2"], ["de-3\ten-3"], ["de-4\ten-4", "de-5\ten-5", "de-6\ten-6", "de-7\ten-7"]],
        "scores": {"f1": 25.0, "precision": 100.0, "recall": 14.285714285714285},
    },
    {
        "name": "right_source_wrong_target",
        "lang": "de",
        "predictions": [["de-1\ten-1"], ["de-2\ten-3"], ["de-3\ten-2"]],
        "golds": [["de-1\ten-1"], ["de-2\ten-2"], ["de-3\ten-3"]],
        "scores": {"f1": 33.33333333333333, "precision": 33.33333333333333, "recall": 33.33333333333333},
    },
)
