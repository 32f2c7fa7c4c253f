"""Micro F1, precision and recall of runs of equal tags, as XTREME's script counts them (UDPOS, PAN-X).

    METRICS.load("chunk_f1").stats(["NOUN", "NOUN", "VERB"], ["NOUN", "ADJ", "VERB"], lang="fi")   # (1, 2, 3)

It is not token accuracy: evaluate.py chunks bare tags as if they were entity tags (see `_chunks`).  Only seqeval 0.0.12 and its
like give XTREME's numbers; 1.2.2 gives others.  The type of a tag is what follows its last hyphen, so `B-location-other` and
`B-person-other` are one type: where that matters take `entity_f1`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.scoring.metrics._chunk_arrays import chunk_counts, sequence_counts
from harness.scoring.metrics._chunks import after_last_hyphen, chunk_stats
from harness.scoring.metrics._counts import KEYS as KEYS
from harness.scoring.metrics._counts import combine as combine

SIGNATURE = "chunk_f1|micro|seqeval:0.0.12|xtreme:838c13b"


def stats(prediction: Sequence[str] | None, gold: Sequence[str], *, lang: str) -> tuple[int, int, int]:
    """Count the runs of one sentence that are (correct, predicted, gold); a missing prediction predicts none."""
    return chunk_stats(prediction, gold, read=after_last_hyphen)


def all_stats(predictions: Sequence[Sequence[str] | None], golds: Sequence[Sequence[str]], *, lang: str) -> np.ndarray:
    """The statistics of many sentences, float64 [n, 3]."""
    return chunk_counts(predictions, golds, read=after_last_hyphen)


def file_stats(prediction: np.ndarray, gold: np.ndarray, *, tags: Sequence[str]) -> tuple[int, int, int]:
    """The statistics of a file of sentences that is read as one sequence, as XTREME's script reads it.

    Each side [n] is numbers of `tags`; a 0 ends each sentence.
    """
    return sequence_counts(prediction, gold, tags, read=after_last_hyphen)


GOLDEN: tuple[dict[str, Any], ...] = (
    {
        "name": "perfect",
        "lang": "en",
        "predictions": [["PRON", "VERB", "DET", "NOUN", "PUNCT"]],
        "golds": [["PRON", "VERB", "DET", "NOUN", "PUNCT"]],
        "scores": {"f1": 100.0, "precision": 100.0, "recall": 100.0},
    },
    {
        "name": "runs_merge",
        "lang": "en",
        "predictions": [["NOUN", "NOUN", "VERB"]],
        "golds": [["NOUN", "ADJ", "VERB"]],
        "scores": {"f1": 40.0, "precision": 50.0, "recall": 33.33333333333333},
    },
    {
        "name": "run_cut_short",
        "lang": "en",
        "predictions": [["NOUN", "NOUN", "VERB", "VERB"]],
        "golds": [["NOUN", "NOUN", "NOUN", "VERB"]],
        "scores": {"f1": 0.0, "precision": 0.0, "recall": 0.0},
    },
    {
        "name": "s_tags_do_not_merge",
        "lang": "en",
        "predictions": [["SCONJ", "SCONJ", "VERB"], ["SYM", "SYM"]],
        "golds": [["SCONJ", "VERB", "VERB"], ["SYM", "SYM"]],
        "scores": {"f1": 66.66666666666666, "precision": 60.0, "recall": 75.0},
    },
    {
        "name": "cconj_for_sconj_is_an_error",
        "lang": "en",
        "predictions": [["CCONJ", "PRON", "VERB"]],
        "golds": [["SCONJ", "PRON", "VERB"]],
        "scores": {"f1": 66.66666666666666, "precision": 66.66666666666666, "recall": 66.66666666666666},
    },
    {
        "name": "sconj_for_cconj_is_an_error",
        "lang": "en",
        "predictions": [["NOUN", "SCONJ", "NOUN"]],
        "golds": [["NOUN", "CCONJ", "NOUN"]],
        "scores": {"f1": 66.66666666666666, "precision": 66.66666666666666, "recall": 66.66666666666666},
    },
    {
        "name": "sconj_before_cconj",
        "lang": "en",
        "predictions": [["SCONJ", "CCONJ", "NOUN"], ["CCONJ", "SCONJ", "NOUN"]],
        "golds": [["SCONJ", "CCONJ", "NOUN"], ["CCONJ", "SCONJ", "VERB"]],
        "scores": {"f1": 83.33333333333334, "precision": 83.33333333333334, "recall": 83.33333333333334},
    },
    {
        "name": "intj_runs_merge",
        "lang": "en",
        "predictions": [["INTJ", "INTJ", "NOUN"]],
        "golds": [["INTJ", "PART", "NOUN"]],
        "scores": {"f1": 40.0, "precision": 50.0, "recall": 33.33333333333333},
    },
    {
        "name": "x_ends_sentence",
        "lang": "en",
        "predictions": [["NOUN", "X"], ["X"], ["X", "X", "NOUN"]],
        "golds": [["NOUN", "X"], ["X"], ["X", "NOUN", "NOUN"]],
        "scores": {"f1": 60.0, "precision": 60.0, "recall": 60.0},
    },
    {
        "name": "runs_stop_at_the_sentence",
        "lang": "en",
        "predictions": [["VERB", "NOUN"], ["NOUN", "VERB"]],
        "golds": [["VERB", "NOUN"], ["NOUN", "VERB"]],
        "scores": {"f1": 100.0, "precision": 100.0, "recall": 100.0},
    },
    {
        "name": "single_and_end_prefixes",
        "lang": "en",
        "predictions": [["B-N", "S-N", "E-N", "I-N", "S-N", "O", "E-N", "E-N"], ["I-N", "E-N"]],
        "golds": [["B-N", "I-N", "E-N", "I-N", "S-N", "O", "E-N", "I-N"], ["I-N", "E-N"]],
        "scores": {"f1": 71.42857142857143, "precision": 62.5, "recall": 83.33333333333334},
    },
    {
        "name": "all_wrong",
        "lang": "en",
        "predictions": [["NOUN", "VERB", "ADJ"]],
        "golds": [["VERB", "NOUN", "DET"]],
        "scores": {"f1": 0.0, "precision": 0.0, "recall": 0.0},
    },
    {
        "name": "one_class",
        "lang": "en",
        "predictions": [["NOUN", "NOUN", "NOUN", "NOUN"], ["NOUN"]],
        "golds": [["DET", "NOUN", "VERB", "PUNCT"], ["NOUN"]],
        "scores": {"f1": 28.571428571428577, "precision": 50.0, "recall": 20.0},
    },
    {
        "name": "two_lengths",
        "lang": "en",
        "predictions": [["PROPN", "PROPN", "AUX", "ADJ", "PUNCT"], ["ADV", "VERB", "ADP", "DET", "NOUN", "NOUN", "PUNCT"]],
        "golds": [["PROPN", "PROPN", "AUX", "VERB", "PUNCT"], ["ADV", "VERB", "ADP", "NUM", "NOUN", "NOUN", "PUNCT"]],
        "scores": {"f1": 80.00000000000001, "precision": 80.0, "recall": 80.0},
    },
    {
        "name": "missing",
        "lang": "en",
        "predictions": [None, ["DET", "NOUN"]],
        "golds": [["NOUN", "NOUN", "VERB"], ["DET", "NOUN"]],
        "scores": {"f1": 66.66666666666666, "precision": 100.0, "recall": 50.0},
    },
    {
        "name": "types_are_cut_at_the_last_hyphen",
        "lang": "en",
        "predictions": [["B-person-other", "I-person-other", "O"], ["B-person-actor"]],
        "golds": [["B-location-other", "I-art-other", "O"], ["B-person-other"]],
        "scores": {"f1": 50.0, "precision": 50.0, "recall": 50.0},
    },
    {
        "name": "inside_tag_behind_an_o_of_its_type",
        "lang": "en",
        "predictions": [["O-PER", "I-PER"], ["O-PER", "E-PER"], ["O-PER", "X-PER"]],
        "golds": [["O", "I-PER"], ["O", "B-PER"], ["O", "O"]],
        "scores": {"f1": 80.0, "precision": 66.66666666666666, "recall": 100.0},
    },
)
