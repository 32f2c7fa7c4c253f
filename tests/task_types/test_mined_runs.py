"""Bitext mining keeps the contract of a task type, and its predictions are runs that hold every pair once."""

import dataclasses

import numpy as np
import pytest
from small_corpora import corpus
from small_mining import TASK, TOKENIZER, decode, example_of, scores
from small_task_types import assert_keeps_contract
from small_tokenizers import word_level, word_piece

from harness.api.errors import UserError
from harness.api.registry import TASK_TYPES
from harness.prediction.fakes import character_tokenizer
from harness.task_types import bitext_mining


def test_the_module_keeps_the_contract():
    assert_keeps_contract(TASK_TYPES.load("bitext_mining"))
    assert bitext_mining.CALIBRATES
    assert bitext_mining.pools(bitext_mining.Options(layer=0.583)).layer == 0.583
    assert not bitext_mining.TRAINS


def test_runs_hold_every_pair_once_and_do_not_depend_on_the_model():
    made = corpus("runs", pairs=12, alone=30, likeness=2)
    example = example_of(made)
    one = decode([example], made.vectors)
    other = decode([example], {text: np.roll(vector, 1) * n for n, (text, vector) in enumerate(made.vectors.items(), start=1)})
    assert [(p.id, p.gold) for p in one] == [(p.id, p.gold) for p in other]
    assert len(one) == 12
    assert sorted(line for p in one for line in p.gold) == sorted(example.gold)
    assert [p.id for p in one] == sorted(line.split("\t")[0] for line in example.gold)
    assert sum(len(p.prediction) for p in one) > 6
    ends = [int(p.id[3:]) for p in one]
    for prediction, begin, end in zip(one, [0, *ends], [*ends[:-1], 10**9]):
        assert all(begin < int(line[3:12]) <= end for line in prediction.prediction)
    nothing = dataclasses.replace(example, gold=())
    (alone,) = decode([nothing], made.vectors)
    assert (alone.id, alone.gold) == ("0", [])
    assert scores([alone]) == {"f1": 0, "precision": 0, "recall": 0}
    two = decode([example, dataclasses.replace(example, id="1")], made.vectors)
    assert len({p.id for p in two}) == 24


def test_truncated_tokens_are_counted_once():
    made = corpus("long", pairs=5, alone=7)
    example = example_of(made)
    options = bitext_mining.Options(max_length=8)
    features = bitext_mining.encode([example], task=TASK, tokenizer=TOKENIZER, options=options, train=False)
    partials = np.random.default_rng(0).standard_normal((len(features), 6), dtype=np.float32)
    predictions = bitext_mining.decode([example], features, partials, task=TASK, options=options)
    assert sum(p.num_truncated for p in predictions) == sum(f.num_truncated for f in features) > 0


@pytest.mark.parametrize("make", [word_level, word_piece, character_tokenizer])
def test_the_oracle_finds_all_and_random_vectors_nothing(make):
    (row,) = bitext_mining.SAMPLES
    example = bitext_mining.build(row, task=TASK, lang="de", row_id="0")
    options = bitext_mining.Options()
    features = bitext_mining.encode([example], task=TASK, tokenizer=make(), options=options, train=False)
    assert [feature.part for feature in features] == list(range(len(features)))
    assert all(1 <= len(feature.input_ids) <= 512 for feature in features)
    vectors = [bitext_mining.oracle(feature, example, task=TASK, options=options) for feature in features]
    assert scores(bitext_mining.decode([example], features, vectors, task=TASK, options=options))["f1"] == 100
    random = list(np.random.default_rng(0).standard_normal((len(features), 64), dtype=np.float32))
    assert scores(bitext_mining.decode([example], features, random, task=TASK, options=options))["f1"] < 25
    assert example.source_ids[0] == "de-000000001"
    assert example.gold[0] == "de-000000001\ten-000000003"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"sources": []}, "field 'sources' holds no sentences"),
        ({"targets": None}, "field 'targets' holds no sentences"),
        ({"sources": ["a", 3]}, "sentence 2 of 'sources' does not fit"),
        ({"sources": [["x", "a"], ["x", "b"]]}, "two sentences of 'sources' with the id 'x'"),
        ({"gold": [[0, 1]]}, "numbers from 1 to 2 and from 1 to 1"),
        ({"gold": [[1, 2]]}, r"found: \[1, 2\]"),
        ({"gold": [["de-1", "en-000000001"]]}, "a gold pair does not fit"),
        ({"gold": [[1]]}, "a gold pair does not fit"),
        ({"gold": None}, "field 'gold' does not fit"),
    ],
)
def test_rows_that_do_not_fit_are_user_errors(row, message):
    good = {"sources": ["a", "b"], "targets": ["c"], "gold": [[1, 1], [1, 1]]}
    assert len(bitext_mining.build(good, task=TASK, lang="de", row_id="0").gold) == 1
    with pytest.raises(UserError, match=message):
        bitext_mining.build({**good, **row}, task=TASK, lang="de", row_id="0")
