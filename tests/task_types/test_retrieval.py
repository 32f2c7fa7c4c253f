"""Retrieval asks in English, searches all foreign sentences, and trains by ranking in both directions."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from small_task_types import examples_of
from small_tokenizers import word_level

from harness.prediction.batching import collate
from harness.task_types import retrieval


def test_retrieval_asks_in_english_and_searches_all_foreign_sentences():
    rows = [{"id": name, "source": f"{name}s\n", "target": f"{name}t"} for name in "abc"]
    task, examples = examples_of("retrieval", rows)
    examples[1] = dataclasses.replace(examples[1], query=False)
    options = retrieval.Options(prefix="query: ", layer=0.583)
    tokenizer = word_level(["query:", "as", "at", "bs", "bt", "cs", "ct"])
    features = retrieval.encode(examples, task=task, tokenizer=tokenizer, options=options, train=False)
    assert [(f.example, f.part, f.input_ids) for f in features] == [
        (0, 0, [0, 5, 6, 2]),
        (0, 1, [0, 5, 7, 2]),
        (1, 0, [0, 5, 8, 2]),
        (2, 0, [0, 5, 10, 2]),
        (2, 1, [0, 5, 11, 2]),
    ]
    assert len(retrieval.encode(examples, task=task, tokenizer=tokenizer, options=options, train=True)) == 6
    assert retrieval.pools(options).layer == 0.583
    # Lengths differ so that the inner product and the cosine disagree; source b is the nearest of query a.
    vectors = [[9, 9], [0, 2], [0.1, 1], [3, 0], [1, 0.2]]
    partials = [retrieval.reduce(f, np.array(v), task=task, options=options) for f, v in zip(features, vectors, strict=True)]
    predictions = retrieval.decode(examples, features, partials, task=task, options=options)
    assert [(p.id, p.prediction, p.gold) for p in predictions] == [("a", "b", "a"), ("c", "c", "c")]
    silent = [dataclasses.replace(example, query=False) for example in examples]
    assert retrieval.decode(silent, features, partials, task=task, options=options) == []


def test_retrieval_loss_ranks_translations_in_both_directions():
    task, examples = examples_of("retrieval", [{"source": "a", "target": "b"}, {"source": "c", "target": "d"}])
    options = retrieval.Options(temperature=0.5)
    features = retrieval.encode(examples, task=task, tokenizer=word_level(), options=options, train=True)
    shuffled = [features[i] for i in (3, 0, 2, 1)]  # a device may order features by length
    source, target = torch.tensor([[2.0, 0], [0, 1]]), torch.tensor([[1.0, 0], [1, 1]])
    outputs = torch.stack([target[1], source[0], source[1], target[0]])
    half = math.sqrt(0.5)
    cosines = torch.tensor([[1, 0], [half, half]]) / 0.5  # targets x sources
    expected = -(cosines.log_softmax(1).diag().sum() + cosines.log_softmax(0).diag().sum()) / 2
    assert retrieval.loss(outputs, collate(shuffled, pad_id=1), options).item() == pytest.approx(expected.item(), rel=1e-6)
    assert retrieval.num_targets(features) == 2
    assert retrieval.head(task, options) is None
