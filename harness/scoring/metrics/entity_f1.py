"""Micro F1, precision and recall of entities tagged B-/I-/O or B-/I-/E-/S-/O: type and both ends must be right.

    METRICS.load("entity_f1").stats(["B-PER", "O"], ["B-PER", "I-PER"], lang="sw")   # (0, 1, 1)

The numbers are those of seqeval 1.2.2 in its default mode, and of conlleval: an I- tag that continues nothing opens an entity,
and the type is all that follows the first hyphen (`B-location-other` is of type `location-other`).  Tags of another kind, which
seqeval reads with a warning, are an error.  XTREME's script has a rule of its own for types: `chunk_f1`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.scoring.metrics._chunk_arrays import chunk_counts
from harness.scoring.metrics._chunks import after_first_hyphen, chunk_stats, is_entity_tag
from harness.scoring.metrics._counts import KEYS as KEYS
from harness.scoring.metrics._counts import combine as combine

SIGNATURE = "entity_f1|micro|type after the first hyphen|seqeval:1.2.2 default mode"


def unfit_labels(labels: Sequence[str]) -> list[str]:
    """Those of a task's labels that are no entity tags."""
    return [label for label in labels if not is_entity_tag(label)]


def stats(prediction: Sequence[str] | None, gold: Sequence[str], *, lang: str) -> tuple[int, int, int]:
    """Count the entities of one sentence that are (correct, predicted, gold); a missing prediction predicts none."""
    return chunk_stats(prediction, gold, read=after_first_hyphen)


def all_stats(predictions: Sequence[Sequence[str] | None], golds: Sequence[Sequence[str]], *, lang: str) -> np.ndarray:
    """The statistics of many sentences, float64 [n, 3]."""
    return chunk_counts(predictions, golds, read=after_first_hyphen)


GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "perfect",
        "lang": "en",
        "predictions": [["B-PER", "I-PER", "O", "B-LOC"]],
        "golds": [["B-PER", "I-PER", "O", "B-LOC"]],
        "scores": {"f1": 100.0, "precision": 100.0, "recall": 100.0},
    },
    {
        "name": "wrong_end",
        "lang": "en",
        "predictions": [["B-PER", "O", "O", "B-LOC"]],
        "golds": [["B-PER", "I-PER", "O", "B-LOC"]],
        "scores": {"f1": 50.0, "precision": 50.0, "recall": 50.0},
    },
    {
        "name": "wrong_kind",
        "lang": "en",
        "predictions": [["B-ORG", "I-ORG", "O", "B-LOC"]],
        "golds": [["B-PER", "I-PER", "O", "B-LOC"]],
        "scores": {"f1": 50.0, "precision": 50.0, "recall": 50.0},
    },
    {
        "name": "none_predicted",
        "lang": "en",
        "predictions": [["O", "O", "O"]],
        "golds": [["B-PER", "I-PER", "O"]],
        "scores": {"f1": 0.0, "precision": 0.0, "recall": 0.0},
    },
    {
        "name": "none_in_gold",
        "lang": "en",
        "predictions": [["B-PER", "O", "O"]],
        "golds": [["O", "O", "O"]],
        "scores": {"f1": 0.0, "precision": 0.0, "recall": 0.0},
    },
    {
        "name": "no_entity_at_all",
        "lang": "en",
        "predictions": [["O", "O", "O"]],
        "golds": [["O", "O", "O"]],
        "scores": {"f1": 0.0, "precision": 0.0, "recall": 0.0},
    },
    {
        "name": "all_wrong",
        "lang": "en",
        "predictions": [["O", "O", "B-LOC"]],
        "golds": [["B-LOC", "O", "O"]],
        "scores": {"f1": 0.0, "precision": 0.0, "recall": 0.0},
    },
    {
        "name": "inside_without_beginning",
        "lang": "en",
        "predictions": [["O", "I-PER", "I-PER", "O"]],
        "golds": [["O", "B-PER", "I-PER", "O"]],
        "scores": {"f1": 100.0, "precision": 100.0, "recall": 100.0},
    },
    {
        "name": "kind_changes_inside",
        "lang": "en",
        "predictions": [["B-PER", "I-LOC", "I-LOC"]],
        "golds": [["B-PER", "B-LOC", "I-LOC"]],
        "scores": {"f1": 100.0, "precision": 100.0, "recall": 100.0},
    },
    {
        "name": "neighbours_of_one_kind",
        "lang": "en",
        "predictions": [["B-PER", "B-PER", "O"], ["B-PER", "I-PER", "O"]],
        "golds": [["B-PER", "I-PER", "O"], ["B-PER", "B-PER", "O"]],
        "scores": {"f1": 0.0, "precision": 0.0, "recall": 0.0},
    },
    {
        "name": "entity_ends_sentence",
        "lang": "en",
        "predictions": [["O", "B-ORG", "I-ORG"], ["I-ORG", "O"]],
        "golds": [["O", "B-ORG", "I-ORG"], ["B-ORG", "O"]],
        "scores": {"f1": 100.0, "precision": 100.0, "recall": 100.0},
    },
    {
        "name": "one_class",
        "lang": "en",
        "predictions": [["B-LOC", "B-LOC", "B-LOC", "B-LOC"]],
        "golds": [["B-LOC", "I-LOC", "O", "B-PER"]],
        "scores": {"f1": 0.0, "precision": 0.0, "recall": 0.0},
    },
    {
        "name": "several",
        "lang": "en",
        "predictions": [["B-PER", "I-PER", "O", "B-LOC"], ["B-ORG", "O", "B-LOC", "I-LOC"], ["O", "O"]],
        "golds": [["B-PER", "I-PER", "O", "B-ORG"], ["B-ORG", "O", "B-LOC", "I-LOC"], ["O", "B-PER"]],
        "scores": {"f1": 66.66666666666666, "precision": 75.0, "recall": 60.0},
    },
    {
        "name": "missing",
        "lang": "en",
        "predictions": [None, ["B-PER", "O"]],
        "golds": [["O", "B-LOC", "I-LOC", "B-LOC"], ["B-PER", "O"]],
        "scores": {"f1": 50.0, "precision": 100.0, "recall": 33.33333333333333},
    },
    {
        "name": "types_with_a_hyphen",
        "lang": "en",
        "predictions": [["B-person-other", "I-person-other", "O"], ["B-person-actor", "B-art-film"]],
        "golds": [["B-location-other", "I-location-other", "O"], ["B-person-actor", "B-person-film"]],
        "scores": {"f1": 33.33333333333333, "precision": 33.33333333333333, "recall": 33.33333333333333},
    },
    {
        "name": "single_and_end_prefixes",
        "lang": "en",
        "predictions": [["S-PER", "B-LOC", "E-LOC", "O"], ["B-a-b", "I-a-b", "E-a-b", "S-a-c"]],
        "golds": [["S-PER", "B-LOC", "I-LOC", "E-LOC"], ["B-a-b", "I-a-b", "E-a-b", "S-b-c"]],
        "scores": {"f1": 50.0, "precision": 50.0, "recall": 50.0},
    },
)
