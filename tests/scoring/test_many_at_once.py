"""What is counted for many examples at once gives the numbers that the examples give one by one."""

import random
from typing import Any

import numpy as np
import pytest

from harness.api.errors import UserError
from harness.api.registry import METRICS
from harness.scoring import bootstrap
from harness.scoring.metrics._chunk_arrays import FIRST, MOST_TAGS
from harness.scoring.score import score_cell, stats_of
from harness.scoring.sums import ordered_sum, ordered_total

TAGS = {
    "chunk_f1": ("O", ".", "B", "I", "E", "S", "X", ".-X", "O-X", "B-X", "I-X", "E-X", "S-X", "I-Y", "NOUN", "SCONJ", "I-O", "-"),
    "entity_f1": ("O", "B", "I", "E", "S", "B-X", "I-X", "E-X", "S-X", "I-Y", "B-Y", "I-O", "B-O", "I-_", "E-O"),
}


def one_by_one(name: str, predictions: list[Any], golds: list[Any]) -> np.ndarray:
    return np.array(
        [METRICS.load(name).stats(*pair, lang="en") for pair in zip(predictions, golds, strict=True)], dtype=np.float64
    )


def file_of(rng: random.Random, tags: tuple[str, ...], sentences: int) -> tuple[list[Any], list[Any]]:
    golds = [rng.choices(tags, k=rng.randint(0, 8)) for _ in range(sentences)]
    predictions: list[Any] = [[rng.choice(tags) if rng.random() < 0.4 else tag for tag in gold] for gold in golds]
    return [None if rng.random() < 0.1 else prediction for prediction in predictions], golds


@pytest.mark.parametrize("block", [4, 4096])
@pytest.mark.parametrize("name", TAGS)
def test_chunks_of_many_sentences_are_those_of_each(name: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.scoring.metrics._chunk_arrays.BLOCK", block)
    for seed in range(300):
        rng = random.Random(seed)
        predictions, golds = file_of(rng, TAGS[name], rng.randint(1, 12))
        many = METRICS.load(name).all_stats(predictions, golds, lang="en")
        np.testing.assert_array_equal(many, one_by_one(name, predictions, golds))


def test_a_tag_that_comes_late_is_counted_as_well() -> None:
    golds = [["B-X", "I-X"]] * FIRST + [["B-LATE", "I-LATE"], ["I-LATE"]]
    predictions = [["B-X", "O"]] * FIRST + [["B-LATE", "I-LATE"], ["I-LATER"]]
    many = METRICS.load("entity_f1").all_stats(predictions, golds, lang="en")
    assert many[-2:].tolist() == [[1, 1, 1], [0, 1, 1]]
    assert many[:FIRST].sum(axis=0).tolist() == [0, FIRST, FIRST]


@pytest.mark.parametrize("number", [MOST_TAGS - 2, MOST_TAGS + 50])
def test_any_number_of_different_tags_is_counted(number: int) -> None:
    golds = [["B-X", f"B-{n}", f"I-{n}"] for n in range(number)]
    predictions = [["B-X", f"B-{n}", f"I-{n + n % 2}"] for n in range(number)]
    many = METRICS.load("chunk_f1").all_stats(predictions, golds, lang="en")
    np.testing.assert_array_equal(many, one_by_one("chunk_f1", predictions, golds))


@pytest.mark.parametrize(
    ("prediction", "gold"),
    [
        (["B-X"], ["B-X", "O"]),
        ("O", ["O"]),
        ([["O"]], ["O"]),
        ([1], ["O"]),
        ([""], ["O"]),
        (["O"], "O"),
        (["O"], [None]),
    ],
)
@pytest.mark.parametrize("name", TAGS)
def test_an_example_that_is_refused_is_named_among_many(name: str, prediction: Any, gold: Any) -> None:
    lines = [
        {"id": f"row {n}", "prediction": ["O"], "gold": ["O"], "num_truncated": 0, "notes": []}
        | ({"prediction": prediction, "gold": gold} if n == 3 else {})
        for n in range(5)
    ]
    with pytest.raises(UserError) as alone:
        METRICS.load(name).stats(prediction, gold, lang="en")
    with pytest.raises(UserError, match="example 'row 3'") as among:
        score_cell(lines, metrics=[name], score=[], lang="en", num_expected=5)
    assert str(alone.value).splitlines()[0] in str(among.value)


def test_many_examples_are_asked_of_a_metric_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    metric = METRICS.load("entity_f1")
    original = metric.all_stats
    monkeypatch.setattr(metric, "all_stats", lambda *args, **more: asked.append(len(args[1])) or original(*args, **more))
    monkeypatch.setattr(metric, "stats", lambda *args, **more: pytest.fail("asked one by one"))
    assert stats_of(metric, [["B-X"]] * 9, [["B-X"]] * 9, lang="en").sum(axis=0).tolist() == [9, 9, 9]
    assert asked == [9]


def test_different_rows_are_found_as_by_sorting() -> None:
    quick = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        stats = rng.integers(-3, 4, size=(int(rng.integers(1, 60)), int(rng.integers(1, 5)))) * (0.5 if seed % 4 == 0 else 1.0)
        if seed % 7 == 0:
            stats[:, -1] = 1e12
        rows, counts = bootstrap.distinct_rows(stats)
        wanted_rows, wanted_counts = np.unique(stats, axis=0, return_counts=True)
        np.testing.assert_array_equal(rows, wanted_rows)
        np.testing.assert_array_equal(counts, wanted_counts)
        quick += (np.ptp(stats, axis=0) + 1).prod() <= 4 * len(stats)
    assert 100 < quick < 400


def test_columns_are_added_up_from_the_first_row_to_the_last() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        stats = rng.standard_normal((int(rng.integers(1, 3000)), 3)) * 10.0 ** rng.integers(-9, 9, size=3)
        stats[0] = -0.0
        wanted = np.array([ordered_sum(column) for column in stats.T.tolist()])
        assert ordered_total(stats).tobytes() == wanted.tobytes()
        assert ordered_total(np.asfortranarray(stats)).tobytes() == wanted.tobytes()
    assert ordered_total(np.zeros((0, 2))).tolist() == [0.0, 0.0]
    assert np.copysign(1.0, ordered_total(np.full((3, 1), -0.0))[0]) == 1.0
