"""Mined pairs and scores are those of XTREME's own code.

golden_mining.json holds what third_party/utils_retrieve.py (mine_bitext, read_candidate2score, bucc_optimize, bucc_extract) and
evaluate.py (bucc_f1) of google-research/xtreme at 838c13b gave for the collections of small_corpora, with faiss-cpu 1.15.1.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from small_corpora import corpus
from small_mining import decode, example_of, pairs, scores, vectors_of

from harness.task_types import bitext_mining
from harness.task_types.vectors.margin import best_threshold, mine
from harness.task_types.vectors.mined_pairs import candidates_of

GOLDEN = json.loads((Path(__file__).parent / "golden_mining.json").read_text())


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("split", ["dev", "test"])
def test_candidates_are_those_of_xtremes_code(name, split):
    made = corpus(f"{name} {split}", **GOLDEN[name]["corpus"])
    example, expected = example_of(made), GOLDEN[name][split]
    vectors = np.stack(vectors_of([example], made.vectors)[1])
    found = candidates_of(example, vectors)
    assert found.lines == [line for line, _ in expected["candidates"]]
    assert np.allclose(found.scores, [score for _, score in expected["candidates"]], rtol=0, atol=1e-6)
    distinct = len(dict.fromkeys(example.sources))
    assert len(mine(vectors[:distinct], vectors[distinct:]).scores) == expected["num_mined"] >= len(found.lines)
    threshold = best_threshold(found.scores, found.correct, num_gold=len(example.gold))
    assert threshold == pytest.approx(expected["own_threshold"]["best-threshold"], rel=0, abs=1e-6)


@pytest.mark.parametrize("name", GOLDEN)
def test_scores_are_those_of_xtremes_code_to_the_last_digit(name):
    dev, test = (corpus(f"{name} {split}", **GOLDEN[name]["corpus"]) for split in ("dev", "test"))
    examples = bitext_mining.with_calibration([example_of(test)], [example_of(dev)], options=bitext_mining.Options())
    predictions = decode(examples, dev.vectors | test.vectors)
    expected = GOLDEN[name]["test"]
    assert pairs(predictions) == sorted(expected["predicted"])
    assert scores(predictions) == expected["scores"]
    assert {prediction.notes for prediction in predictions} == {("threshold_dev",)}
    best = decode([example_of(test)], test.vectors, "oracle")
    assert scores(best) == expected["oracle_scores"]
    assert {prediction.notes for prediction in best} == {("threshold_oracle",)}


def test_golden_cases_tell_apart_what_they_are_for():
    repeats, distractors = GOLDEN["repeats"]["test"], GOLDEN["distractors"]["test"]
    assert repeats["num_mined"] > len(repeats["candidates"]), "sentences that occur twice are dropped after mining"
    assert distractors["scores"] != distractors["oracle_scores"], "the threshold of the dev corpus is not that of the test corpus"


def test_margins_by_hand():
    """Two sources, two targets: all cosines are known."""
    sources, targets = np.array([[1.0, 0], [0.6, 0.8]]), np.array([[2.0, 0], [0, 3.0]])
    cosines = np.array([[1, 0], [0.6, 0.8]])
    own, their = cosines.mean(axis=1), cosines.mean(axis=0)
    found = mine(sources, targets)
    assert [found.sources.tolist(), found.targets.tolist()] == [[0, 1], [0, 1]]
    assert np.allclose(found.scores, [1 / ((own[0] + their[0]) / 2), 0.8 / ((own[1] + their[1]) / 2)], atol=1e-6)
    one = mine(sources[:1], np.zeros((3, 2)))
    assert len(one.scores) == 0, "a cosine of 0 is no candidate"
    ties = mine(np.ones((9, 2)), np.ones((6, 2)))
    assert list(zip(*ties)) == [(0, 0, 1.0)], "all want the first, who is given away once"
