"""Metrics against what the official scripts gave, digit for digit."""

import importlib.util
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from harness.api.errors import UserError
from harness.api.registry import METRICS
from harness.scoring.sums import ordered_mean, ordered_total

NAMES = METRICS.names()
GOLDEN = [
    pytest.param(METRICS.load(name), case, id=f"{name}-{case['name']}") for name in NAMES for case in METRICS.load(name).GOLDEN
]


def stats(metric: ModuleType, predictions: Sequence[Any], golds: Sequence[Any], lang: str) -> np.ndarray:
    more = {"prepared": metric.prepare(predictions, golds, lang=lang)} if metric.prepare else {}
    rows = [metric.stats(prediction, gold, lang=lang, **more) for prediction, gold in zip(predictions, golds, strict=True)]
    return np.array(rows, dtype=np.float64)


def score(metric: ModuleType, predictions: Sequence[Any], golds: Sequence[Any], lang: str) -> dict[str, float]:
    rows = stats(metric, predictions, golds, lang)
    return {key: float(value) for key, value in metric.combine(ordered_total(rows)).items()}


@pytest.mark.parametrize(("metric", "case"), GOLDEN)
def test_golden_cases_are_met_digit_for_digit(metric: ModuleType, case: dict[str, Any]) -> None:
    found = score(metric, case["predictions"], case["golds"], case["lang"])
    if "bleu" in found and sys.version_info >= (3, 12):
        # Sacrebleu itself adds logarithms up by `sum`, which goes by Python's version.  That ours are its digits on the same
        # interpreter is shown in test_generation_metrics.py.
        assert found == pytest.approx(case["scores"], rel=1e-14)
    else:
        assert found == case["scores"]


@pytest.mark.parametrize("name", NAMES)
def test_keys_signature_and_golden_cases_belong_together(name: str) -> None:
    metric = METRICS.load(name)
    assert metric.SIGNATURE.startswith(f"{name}|")
    assert len({case["name"] for case in metric.GOLDEN}) == len(metric.GOLDEN) >= 6
    assert all(tuple(sorted(case["scores"])) == tuple(sorted(metric.KEYS)) for case in metric.GOLDEN)
    assert METRICS.constant(name, "GOLDEN") == metric.GOLDEN  # a literal: nothing in it was computed by our code


@pytest.mark.parametrize("name", NAMES)
def test_combine_of_many_samples_equals_combine_of_each(name: str) -> None:
    metric = METRICS.load(name)
    case = max(metric.GOLDEN, key=lambda case: len(case["golds"]))
    rows = stats(metric, case["predictions"], case["golds"], case["lang"])
    picks = np.random.default_rng(0).integers(0, len(rows), size=(4, 5, len(rows)))
    totals = rows[picks].sum(axis=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        together = metric.combine(totals)
        nothing = metric.combine(np.zeros((2, rows.shape[1])))
    assert tuple(together) == metric.KEYS
    for key in metric.KEYS:
        assert together[key].shape == (4, 5)
        assert np.array_equal(together[key], [[metric.combine(total)[key] for total in line] for line in totals])
        assert np.array_equal(nothing[key], [0.0, 0.0])


@pytest.mark.parametrize("name", NAMES)
def test_stats_without_any_prediction_score_zero(name: str) -> None:
    metric = METRICS.load(name)
    case = metric.GOLDEN[0]
    scores = score(metric, [None] * len(case["golds"]), case["golds"], case["lang"])
    assert scores == dict.fromkeys(metric.KEYS, 0.0)


def test_accuracy_takes_an_index_for_its_text() -> None:
    accuracy = METRICS.load("accuracy")
    assert accuracy.stats(12, "12 ", lang="de") == (1, 1)
    assert accuracy.stats(0, 0, lang="de") == (1, 1)
    assert accuracy.stats(None, "None", lang="de") == (0, 1)


@pytest.mark.parametrize("name", ["chunk_f1", "entity_f1", "token_accuracy"])
def test_tags_of_another_length_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"(?s)3 tags, one for each word.*2 tags"):
        METRICS.load(name).stats(["O", "O"], ["O", "O", "O"], lang="en")


@pytest.mark.parametrize("name", ["squad", "mlqa"])
@pytest.mark.parametrize("gold", [[], "a bare text", {"lang": "en", "texts": ["a"]}])
def test_question_without_a_list_of_gold_answers_is_refused(name: str, gold: Any) -> None:
    with pytest.raises(UserError, match="no gold answers"):
        METRICS.load(name).stats("a", gold, lang="en")


def test_mlqa_refuses_a_language_without_rules() -> None:
    with pytest.raises(UserError, match=r"(?s)ar, de, en, es, hi, vi, zh.*found: sw"):
        METRICS.load("mlqa").stats("a", ["a"], lang="sw")


def chunks(tags: Sequence[str], *expected: tuple[str, int, int]) -> bool:
    """Whether the chunks of a sentence are these: so many, and each is there when it alone is sought."""
    count = METRICS.load("chunk_f1").stats
    there = []
    for kind, first, last in expected:
        sought = ["O"] * len(tags)
        sought[first : last + 1] = [f"B-{kind}"] + [f"I-{kind}"] * (last - first)
        there.append(count(tags, sought, lang="en") == (1, len(expected), 1))
    return count(tags, tags, lang="en") == (len(expected),) * 3 and there == [True] * len(expected)


def test_chunker_finds_types_and_both_ends() -> None:
    assert chunks(["B-PER", "I-PER", "O", "B-LOC", "B-LOC"], ("PER", 0, 1), ("LOC", 3, 3), ("LOC", 4, 4))
    bare = ["NOUN", "NOUN", "SCONJ", "SCONJ", "CCONJ", "X"]
    assert chunks(bare, ("NOUN", 0, 1), ("SCONJ", 2, 2), ("SCONJ", 3, 3), ("CCONJ", 4, 4), ("X", 5, 5))
    single = ["S-N", "I-N", "I-N", "S-N", "E-N", "E-N", "I-N"]
    assert chunks(single, ("N", 0, 0), ("N", 1, 2), ("N", 3, 3), ("N", 4, 4), ("N", 5, 5), ("N", 6, 6))
    assert chunks([])
    assert not chunks(["B-PER", "I-PER"], ("PER", 0, 0))


def test_metrics_import_neither_torch_nor_a_metric_library() -> None:
    code = (
        "import sys; from harness.api.registry import METRICS; [METRICS.load(name) for name in METRICS.names()];"
        "assert not {'torch', 'transformers', 'sacrebleu', 'seqeval', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=METRICS.folder.parents[1])


# Conformance with google-research/xtreme: its mock submission, and our golden cases through its own scripts.


def read_labels(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def read_tags(path: Path) -> list[list[str]]:
    return [block.split("\n") for block in path.read_text(encoding="utf-8").strip("\n").split("\n\n")]


def read_golds(path: Path) -> dict[str, list[str]]:
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    questions = [question for article in articles for paragraph in article["paragraphs"] for question in paragraph["qas"]]
    return {question["id"]: [answer["text"] for answer in question["answers"]] for question in questions}


def pairs(root: Path, task: str, lang: str) -> tuple[list[Any], list[Any]]:
    if task in ("xquad", "mlqa", "tydiqa"):
        golds = read_golds(root / "labels" / task / f"test-{lang}.json")
        predictions = json.loads((root / "predictions" / task / f"test-{lang}.json").read_text(encoding="utf-8"))
        return [predictions.get(key) for key in golds], list(golds.values())
    read: Callable[[Path], list[Any]] = read_tags if task in ("udpos", "panx") else read_labels
    return read(root / "predictions" / task / f"test-{lang}.tsv"), read(root / "labels" / task / f"test-{lang}.tsv")


MOCK_SCORES = [
    ("pawsx", "accuracy", 7, {"accuracy": 51.42857142857143}),
    ("xnli", "accuracy", 15, {"accuracy": 30.666666666666668}),
    ("tatoeba", "accuracy", 36, {"accuracy": 53.611111111111114}),
    ("panx", "chunk_f1", 40, {"f1": 57.50793650793652, "precision": 54.729166666666664, "recall": 62.750000000000014}),
    ("udpos", "chunk_f1", 33, {"f1": 70.21746048354693, "precision": 71.02232625883823, "recall": 69.54982073976082}),
    ("xquad", "squad", 11, {"exact_match": 77.27272727272727, "f1": 79.9586776859504}),
    ("tydiqa", "squad", 9, {"exact_match": 88.88888888888889, "f1": 97.22222222222223}),
    ("mlqa", "mlqa", 7, {"exact_match": 57.142857142857146, "f1": 81.76870748299321}),
]


@pytest.mark.parametrize(("task", "name", "num_languages", "expected"), MOCK_SCORES)
def test_mock_submission_of_xtreme(xtreme: Path, task: str, name: str, num_languages: int, expected: dict[str, float]) -> None:
    root = xtreme / "mock_test_data"
    langs = sorted(path.stem.removeprefix("test-") for path in (root / "labels" / task).iterdir())
    scores = [score(METRICS.load(name), *pairs(root, task, lang), lang) for lang in langs]
    assert len(langs) == num_languages
    for key, value in expected.items():  # 1e-12: evaluate.py adds the languages up in another order
        assert ordered_mean([line[key] for line in scores]) == pytest.approx(value, rel=1e-14, abs=1e-12)


@pytest.mark.parametrize("name", ["squad", "mlqa"])
def test_golden_cases_still_come_out_of_the_official_script(xtreme: Path, name: str) -> None:
    spec = importlib.util.spec_from_file_location(f"official_{name}", xtreme / "third_party" / f"evaluate_{name}.py")
    assert spec is not None
    assert spec.loader is not None
    official = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(official)
    for case in METRICS.load(name).GOLDEN:
        questions = [{"id": str(i), "answers": [{"text": text} for text in gold]} for i, gold in enumerate(case["golds"])]
        predictions = {str(i): text for i, text in enumerate(case["predictions"]) if text is not None}
        data = [{"paragraphs": [{"qas": questions}]}]
        scores = official.evaluate(data, predictions, *([case["lang"]] if name == "mlqa" else []))
        assert scores == case["scores"], case["name"]
