"""Classification: features of two texts by hand, labels by name, and a loss summed over examples."""

import math

import pytest
import torch
from small_task_types import LABELS, examples_of
from small_tokenizers import word_level, word_piece

from harness.prediction.batching import collate
from harness.task_types import classification


def test_classification_features_by_hand():
    tokenizer = word_piece(["new", "old", "##er", "all"])  # ids 5, 6, 7, 8
    rows = [
        {"id": 7, "text": "all new", "text_pair": "older", "label": "entailment"},
        {"text": "newer all all all", "text_pair": "old old", "label": 2},
        {"text": "all", "label": None},
        {"text": "all", "label": -1},
    ]
    values = {"2": "neutral", "-1": "drop"}
    task, examples = examples_of("classification", rows, label_values=values)
    features = classification.encode(
        examples, task=task, tokenizer=tokenizer, options=classification.Options(max_length=8), train=True
    )
    assert [(e.id, e.gold) for e in examples] == [("7", "entailment"), ("1", "neutral"), ("2", None)]
    assert [f.input_ids for f in features] == [[0, 8, 5, 2, 6, 7, 2], [0, 5, 7, 8, 2, 6, 6, 2], [0, 8, 2]]
    assert [f.type_ids for f in features] == [[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1, 1, 1], [0, 0, 0]]
    assert [f.labels for f in features] == [1, 2, None]
    assert [f.num_truncated for f in features] == [0, 2, 0]
    assert classification.num_targets(features) == 2


def test_classification_loss_is_the_sum_over_examples():
    task, examples = examples_of("classification", [{"text": "a", "label": label} for label in LABELS["classification"]])
    features = classification.encode(examples, task=task, tokenizer=word_level(), options=classification.Options(), train=True)
    batch = collate(features, pad_id=1)
    assert classification.loss(torch.zeros(3, 3), batch, classification.Options()).item() == pytest.approx(3 * math.log(3))
