"""Micro F1, precision and recall of named entities tagged B-/I-/O (PAN-X): kind and both ends must be right.

    METRICS.load("entity_f1").stats(["B-PER", "O"], ["B-PER", "I-PER"], lang="sw")   # (0, 1, 1)

For such tags seqeval 0.0.12 and 1.2.2 agree, and an I- tag that continues nothing opens an entity.
"""

from typing import Any

from harness.scoring.metrics._chunks import stats as stats
from harness.scoring.metrics._counts import KEYS as KEYS
from harness.scoring.metrics._counts import combine as combine

SIGNATURE = "entity_f1|micro|seqeval:0.0.12=1.2.2|xtreme:838c13b"


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
)
