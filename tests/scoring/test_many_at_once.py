"""What is counted for many examples at once gives the numbers that the examples give one by one."""

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

from harness.api.errors import UserError
from harness.api.registry import METRICS
from harness.scoring import bootstrap
from harness.scoring.metrics._answers import overlap
from harness.scoring.metrics._chunk_arrays import FIRST, MOST_TAGS
from harness.scoring.score import score_cell, stats_of
from harness.scoring.sums import ordered_sum, ordered_total

TAGS = {
    "chunk_f1": ("O", ".", "B", "I", "E", "S", "X", ".-X", "O-X", "B-X", "I-X", "E-X", "S-X", "I-Y", "NOUN", "SCONJ", "I-O", "-"),
    "entity_f1": ("O", "B", "I", "E", "S", "B-X", "I-X", "E-X", "S-X", "I-Y", "B-Y", "I-O", "B-O", "I-_", "E-O"),
}


def one_by_one(name: str, predictions: list[Any], golds: list[Any], lang: str = "en") -> np.ndarray:
    return np.array(
        [METRICS.load(name).stats(*pair, lang=lang) for pair in zip(predictions, golds, strict=True)], dtype=np.float64
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


@pytest.mark.parametrize("number", [5, MOST_TAGS, MOST_TAGS + 50])
def test_a_file_that_is_read_as_one_sequence_is_counted_by_its_numbers(number: int) -> None:
    more = [f"{letter}-{n}" for n in range(number) for letter in "BI"][: number - 3]
    texts, seen = ["", "O", ".-X", *more], 0
    for seed in range(30):
        rng = random.Random(seed)
        gold = [rng.randrange(number) for _ in range(200)] + [0]
        given = [rng.randrange(1, number) if at and rng.random() < 0.4 else at for at in gold]
        one = [[texts[at] or "O" for at in side] for side in (given, gold)]
        counts = METRICS.load("chunk_f1").file_stats(np.array(given), np.array(gold), tags=texts)
        assert counts == tuple(METRICS.load("chunk_f1").stats(*one, lang="en"))
        seen += counts[0]
    assert seen > 0


TEXTS = [
    "the Cat",
    "ΟΔΟΣ ΟΔΟΣ",
    "der Σ. die",
    "al-ال الكتاب",
    "北京大学（PKU）",
    "5\u00a0мая",
    "a—b, an",
    "x_y",
    "İ ẞ",
    "của",
    ",",
    "the",
    "",
]


@pytest.mark.parametrize(
    ("name", "lang"), [("squad", "el"), *(("mlqa", lang) for lang in ("ar", "de", "en", "es", "hi", "vi", "zh"))]
)
def test_answers_that_are_normalised_as_one_text_give_what_each_gives(name: str, lang: str) -> None:
    rng, kinds = random.Random(0), set()
    for _ in range(100):
        golds = [[rng.choice(TEXTS) + rng.choice(TEXTS) for _ in range(rng.randint(1, 3))] for _ in range(rng.randint(1, 9))]
        predictions = [rng.choice([None, rng.choice(gold), rng.choice(TEXTS), gold[0] + rng.choice(TEXTS)]) for gold in golds]
        many = METRICS.load(name).all_stats(predictions, golds, lang=lang)
        np.testing.assert_array_equal(many, one_by_one(name, predictions, golds, lang))
        kinds |= {(*tuple(row[:2] > 0), row[1] == 1) for row in many}
    assert kinds == {(True, True, True), (True, False, False), (False, True, False), (False, False, False)}


def test_labels_are_compared_together_as_each_is() -> None:
    predictions, golds = ["1", " 0 \t", None, "", "A"], ["1 ", "0", "1", "", "a"]
    many = METRICS.load("accuracy").all_stats(predictions, golds, lang="en")
    assert many.tolist() == one_by_one("accuracy", predictions, golds).tolist() == [[1, 1], [1, 1], [0, 1], [1, 1], [0, 1]]
    assert stats_of(METRICS.load("accuracy"), ["1", 2], [1, "2"], lang="en").tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("prediction", "gold"),
    [("x\0y", ["x\0y"]), ("x", ["x", "\0"]), ("", ["\0"]), (5, ["x"]), ("x", []), ("x", None), ("x", {"x": 1})],
)
def test_answers_that_cannot_be_put_behind_each_other_are_scored_one_by_one(prediction: Any, gold: Any) -> None:
    with pytest.raises(UserError):
        METRICS.load("squad").all_stats(["a", prediction], [["a"], gold], lang="en")
    try:
        alone = METRICS.load("squad").stats(prediction, gold, lang="en")
    except UserError as error:
        with pytest.raises(UserError, match=str(error).splitlines()[0]):
            stats_of(METRICS.load("squad"), ["a", prediction], [["a"], gold], lang="en")
    else:
        assert stats_of(METRICS.load("squad"), ["a", prediction], [["a"], gold], lang="en")[1].tolist() == list(alone)


def test_tokens_that_two_answers_share_are_counted_as_bags() -> None:
    rng = random.Random(0)
    for _ in range(2000):
        given, wanted = (rng.choices("abcd", k=rng.randint(0, 5)) for _ in range(2))
        shared = sum((Counter(given) & Counter(wanted)).values())
        both = len(given) + len(wanted)
        assert overlap(given, wanted) == pytest.approx(2 * shared / both if both else 0.0)


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
