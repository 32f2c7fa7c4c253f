"""A threshold of mining is chosen on other gold than what it decides, or is said to be an oracle's."""

import dataclasses
import hashlib

import numpy as np
import pytest
from small_corpora import corpus
from small_mining import decode, example_of, pairs, scores, vectors_of

from harness.api.errors import UserError
from harness.task_types import bitext_mining
from harness.task_types.vectors.margin import best_threshold
from harness.task_types.vectors.mined_pairs import candidates_of


def halves(example, lines):
    """The half, 0 or 1, of the source of each pair; the rule must stay, for with another the same vectors score otherwise."""
    text = dict(zip(example.source_ids, example.sources, strict=True))
    keys = [f"bitext mining half\0{text[line.split(chr(9))[0]].strip()}" for line in lines]
    return np.array([hashlib.blake2b(key.encode(), digest_size=1).digest()[0] % 2 for key in keys])


def test_threshold_by_hand():
    cut = np.array([1.5, 1.4, 1.2, 1.0])
    assert best_threshold(cut, np.array([True, True, False, False]), num_gold=2) == (1.4 + 1.2) / 2
    assert best_threshold(cut, np.array([True, False, False, False]), num_gold=3) == (1.5 + 1.4) / 2
    assert best_threshold(cut, np.array([True, False, True, True]), num_gold=3) == 0.5, "after the last one comes 0"
    assert best_threshold(cut, np.array([False] * 4), num_gold=3) == 0.0
    assert best_threshold(cut[:0], np.array([], dtype=bool), num_gold=3) == 0.0
    assert best_threshold(np.array([1.5, 1.5, 1.0]), np.array([True, False, False]), num_gold=1) == 1.5


def test_each_half_has_the_threshold_of_the_other():
    made = corpus("halves", pairs=40, alone=60, likeness=1)
    example = example_of(made)
    found = candidates_of(example, np.stack(vectors_of([example], made.vectors)[1]))
    half, gold_half = halves(example, found.lines), halves(example, example.gold)
    assert 10 <= gold_half.sum() <= 30
    expected = []
    for own in (0, 1):
        other = half != own
        threshold = best_threshold(found.scores[other], found.correct[other], num_gold=int((gold_half != own).sum()))
        expected += [line for line, h, score in zip(found.lines, half, found.scores) if h == own and score >= threshold]
    predictions = decode([example], made.vectors)
    assert pairs(predictions) == sorted(expected)
    assert {prediction.notes for prediction in predictions} == {("threshold_split_half",)}
    assert scores(predictions)["f1"] <= scores(decode([example], made.vectors, "oracle"))["f1"]
    assert pairs(decode([example], made.vectors, "split_half")) == pairs(predictions)


def test_a_half_does_not_see_its_own_gold():
    """Taking the gold of half the sentences away does not change what is believed of that half."""
    made = corpus("blind", pairs=40, alone=60, likeness=1)
    example = example_of(made)

    def of_the_first_half(lines):
        return [line for line, half in zip(lines, halves(example, lines)) if half == 0]

    first = of_the_first_half(example.gold)
    less = dataclasses.replace(example, gold=tuple(line for line in example.gold if line not in first))
    assert 10 <= len(less.gold) <= 30
    believed, believed_without = (pairs(decode([e], made.vectors)) for e in (example, less))
    assert of_the_first_half(believed) == of_the_first_half(believed_without) != []
    assert believed != believed_without


def test_a_dev_corpus_that_is_the_test_corpus_does_not_choose_the_threshold():
    test = example_of(corpus("same", pairs=6, alone=9))
    other = example_of(corpus("other", pairs=6, alone=9))
    options = bitext_mining.Options()
    assert [e.calibrates for e in bitext_mining.with_calibration([test], [other], options=options)] == [True, False]
    renamed = dataclasses.replace(
        test,
        id="9",
        source_ids=tuple(f"a{n}" for n in range(len(test.sources))),
        gold=tuple(f"a{int(line.split()[0][3:]) - 1}\t{line.split()[1]}" for line in test.gold),
        sources=tuple(text + " " for text in test.sources),
    )
    (found,) = bitext_mining.with_calibration([test], [renamed], options=options)
    assert found.notes == ("dev_corpus_is_test_corpus",)
    (found,) = bitext_mining.with_calibration([test], [dataclasses.replace(test, gold=())], options=options)
    assert found.notes == ("dev_corpus_is_test_corpus",)
    (found,) = bitext_mining.with_calibration([test], [], options=options)
    assert found.notes == ("no_dev_corpus",)
    predictions = decode([found], corpus("same", pairs=6, alone=9).vectors)
    assert {p.notes for p in predictions} == {("threshold_split_half", "no_dev_corpus")}
    for rule in ("oracle", "split_half"):
        assert bitext_mining.with_calibration([test], [other], options=bitext_mining.Options(threshold=rule)) == [test]
    for rows in ([], [renamed]):
        with pytest.raises(UserError, match=r"(?s)threshold: dev: no development corpus.*split_half.*oracle"):
            bitext_mining.with_calibration([test], rows, options=bitext_mining.Options(threshold="dev"))
    with pytest.raises(UserError, match="no development corpus"):
        decode([test], corpus("same", pairs=6, alone=9).vectors, "dev")
