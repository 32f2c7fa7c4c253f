"""The score stage's body: numbers, files, and what it refuses."""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.api.errors import UserError, UserErrors
from harness.api.registry import METRICS, ROOT
from harness.scoring.bootstrap import interval
from harness.scoring.score import CellScore, score_cell, score_keys, score_table, score_value, write_score
from harness.scoring.score_files import read_stats

LABELS = ["entailment", "neutral", "contradiction"]


def lines(predictions: Sequence[Any], golds: Sequence[Any], *, lang: str = "de", **fields: Sequence[Any]) -> list[dict[str, Any]]:
    made = []
    for number, (prediction, gold) in enumerate(zip(predictions, golds, strict=True)):
        line = {"id": f"№{number}", "lang": lang, "prediction": prediction, "gold": gold, "num_truncated": 0, "notes": []}
        made.append(line | {name: values[number] for name, values in fields.items()})
    return made


def score(made: list[dict[str, Any]], *metrics: str, keys: Sequence[str] = (), lang: str = "de", seed: int = 0) -> CellScore:
    return score_cell(made, metrics=metrics, score=keys, lang=lang, num_expected=len(made), seed=seed)


def labels(num: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    golds = rng.choice(LABELS, size=num).tolist()
    return lines([gold if rng.random() < 0.7 else LABELS[0] for gold in golds], golds)


def answers() -> list[dict[str, Any]]:
    golds = [["drei"], ["am Abend", "abends"], ["in Ulm"], ["1952"], ["der Fluss"]]
    return lines(["drei", "am Abend", "in der Stadt Ulm", None, ""], golds)


@pytest.mark.parametrize("name", METRICS.names())
def test_golden_cases_reach_the_report_with_their_n_and_signature(name: str) -> None:
    metric = METRICS.load(name)
    for case in metric.GOLDEN:
        cell = score(lines(case["predictions"], case["golds"], lang=case["lang"]), name, lang=case["lang"])
        for key, value in case["scores"].items():
            found = cell.metrics[f"{name}.{key}"]
            same = sys.version_info < (3, 12) or key != "bleu"  # of BLEU the last digits are those of sacrebleu on this Python
            assert found.value == (value if same else pytest.approx(value, rel=1e-14))
            assert found.low <= found.value + 1e-9
            assert found.value <= found.high + 1e-9
            assert (found.n, found.signature) == (len(case["golds"]), metric.SIGNATURE)
        assert cell.score.value == cell.metrics[f"{name}.{metric.KEYS[0]}"].value


def test_score_is_the_mean_of_its_keys() -> None:
    cell = score(answers(), "squad", "mlqa", keys=["squad.exact_match", "squad.f1"])
    exact, f1 = cell.metrics["squad.exact_match"], cell.metrics["squad.f1"]
    assert exact.value == pytest.approx(40.0)
    assert f1.value == pytest.approx(100 * (1 + 1 + 2 / 3) / 5)
    assert cell.score.value == pytest.approx((exact.value + f1.value) / 2)
    assert exact.low < cell.score.value < f1.high
    mixed = score(answers(), "squad", "mlqa", keys=["mlqa.f1", "squad.exact_match", "mlqa.exact_match"])
    keys = ("mlqa.f1", "squad.exact_match", "mlqa.exact_match")
    assert mixed.score.value == pytest.approx(np.mean([mixed.metrics[key].value for key in keys]))


def test_score_of_one_key_has_the_interval_of_that_key() -> None:
    cell = score(labels(300), "accuracy", keys=["accuracy.accuracy"])
    found = cell.metrics["accuracy.accuracy"]
    assert tuple(cell.score) == (found.value, found.low, found.high)
    assert 3 < found.high - found.low < 15  # 2 * 1.96 * sqrt(p(1-p)/300) is about 9 points


def test_seed_moves_the_interval_and_nothing_else() -> None:
    one, same, other = (score(labels(300), "accuracy", seed=seed).score for seed in (1, 1, 2))
    assert one == same
    assert one.value == other.value
    assert (one.low, one.high) != (other.low, other.high)


def test_value_alone_equals_the_value_of_the_cell() -> None:
    for made, metrics, keys in ((labels(50), ["accuracy"], []), (answers(), ["squad", "mlqa"], ["squad.f1", "mlqa.exact_match"])):
        assert score_value(made, metrics=metrics, score=keys, lang="de") == score(made, *metrics, keys=keys).score.value


def test_counts_say_what_is_missing_cut_or_remarked_on() -> None:
    made = lines(
        ["neutral", None, "neutral", None],
        ["neutral", "neutral", "entailment", "entailment"],
        num_truncated=[0, 12, 0, 3],
        notes=[["unparsed"], [], ["unparsed", "too_long", "unparsed"], []],
    )
    cell = score(made, "accuracy")
    assert cell.report()["counts"] == {
        "examples": 4,
        "missing": 2,
        "truncated_examples": 2,
        "truncated_tokens": 15,
        "notes": {"too_long": 1, "unparsed": 2},
    }
    assert cell.score.value == 25.0


@pytest.mark.parametrize(
    ("predictions", "entropy", "single"),
    [
        (["neutral"] * 4, 0.0, True),
        (["neutral", None, None, "neutral"], 0.0, True),
        (["neutral", "neutral", "entailment", "entailment"], 1.0, False),
        (["a", "b", "c", "d"], 2.0, False),
        ([None] * 4, None, None),
    ],
)
def test_collapse_onto_one_class_is_seen(predictions: list[str | None], entropy: float | None, single: bool | None) -> None:
    cell = score(lines(predictions, ["neutral", "entailment", "neutral", "neutral"]), "accuracy")
    assert cell.prediction_entropy == entropy
    assert cell.single_class is single


def test_answers_and_tags_have_no_class_entropy() -> None:
    tags = score(lines([["X", "NOUN"]], [["X", "VERB"]]), "chunk_f1", "token_accuracy")
    for cell in (tags, score(answers(), "squad")):
        assert (cell.prediction_entropy, cell.single_class) == (None, None)


def test_files_hold_the_report_and_the_statistics(tmp_path: Path) -> None:
    cell = score(answers(), "squad", "mlqa", keys=["squad.f1"])
    write_score(cell, tmp_path / "new" / "cell")
    report = json.loads((tmp_path / "new" / "cell" / "score.json").read_text(encoding="utf-8"))
    assert report == cell.report()
    assert set(report) == {"metrics", "score", "counts", "prediction_entropy", "single_class"}
    assert set(report["metrics"]) == {"squad.f1", "squad.exact_match", "mlqa.f1", "mlqa.exact_match"}
    assert set(report["metrics"]["squad.f1"]) == {"value", "low", "high", "n", "signature"}
    stats = read_stats(tmp_path / "new" / "cell")
    assert set(stats) == {"ids", "squad", "mlqa"}
    assert stats["ids"].tolist() == [f"№{number}" for number in range(5)]
    assert stats["squad"].tolist() == [[1, 1, 1], [1, 1, 1], [0, pytest.approx(2 / 3), 1], [0, 0, 1], [0, 0, 1]]
    assert all(stats[name].dtype == np.float64 for name in ("squad", "mlqa"))


def test_interval_can_be_had_again_from_the_files_alone(tmp_path: Path) -> None:
    keys = ("squad.f1", "squad.exact_match")
    cell = score(answers(), "squad", keys=keys, seed=3)
    write_score(cell, tmp_path)
    table, combine = score_table(read_stats(tmp_path), score_keys(["squad"], keys))
    assert interval(table, combine, seed=3)["score"] == cell.score


def test_files_are_the_same_bytes_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = set()
    for number, now in enumerate((1e9, 1.7e9)):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        write_score(score(answers(), "squad", "mlqa"), tmp_path / str(number))
        files = sorted((tmp_path / str(number)).iterdir())
        assert [file.name for file in files] == ["score.json", "stats.npz"]
        digests.add(hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest())
    assert len(digests) == 1


def test_writing_twice_replaces_what_was_there(tmp_path: Path) -> None:
    write_score(score(labels(40), "accuracy"), tmp_path)
    write_score(score(answers(), "squad"), tmp_path)
    assert set(read_stats(tmp_path)) == {"ids", "squad"}


def test_incomplete_predictions_are_refused() -> None:
    with pytest.raises(UserError, match=r"(?s)not complete.*6 lines.*5 lines"):
        score_cell(answers(), metrics=["squad"], score=[], lang="de", num_expected=6)
    with pytest.raises(UserError, match="not complete"):
        score_cell([], metrics=["squad"], score=[], lang="de", num_expected=0)


def test_repeated_ids_and_rows_without_gold_are_refused() -> None:
    with pytest.raises(UserError, match=r"(?s)1 ids come more than once.*№1"):
        score([*labels(3), labels(2)[1]], "accuracy")
    with pytest.raises(UserError, match=r"(?s)2 examples have no gold.*№0"):
        score(lines(["a", "b", "c"], [None, "b", None]), "accuracy")


def test_error_of_a_metric_names_the_example() -> None:
    with pytest.raises(UserError, match=r"(?s)metric chunk_f1, language de, example '№1'.*2 tags, one for each word.*1 tags"):
        score(lines([["X"], ["X"]], [["X"], ["X", "X"]]), "chunk_f1")


def test_unknown_metrics_and_keys_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="did you mean 'accuracy'"):
        score(labels(3), "acuracy")
    with pytest.raises(UserErrors, match=r"(?s)'squad.f2'.*did you mean 'squad.f1'.*'exact'.*2 errors"):
        score_keys(["squad"], ["squad.f2", "squad.f1", "exact"])
    with pytest.raises(UserError, match="no metrics"):
        score_keys([], [])


def test_default_score_is_the_first_key_of_the_first_metric() -> None:
    assert score_keys(["chunk_f1", "token_accuracy"], []) == ("chunk_f1.f1",)
    assert score_keys(["squad"], ["squad.f1"]) == ("squad.f1",)


def test_scoring_imports_neither_torch_nor_transformers() -> None:
    code = "import sys, harness.scoring.score; assert not {'torch', 'transformers', 'datasets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_large_language_is_scored_in_seconds() -> None:
    rng = np.random.default_rng(0)
    tags = ["NOUN", "VERB", "ADP", "SCONJ", "CCONJ", "DET", "PUNCT", "X"]
    golds = [rng.choice(tags, size=20).tolist() for _ in range(5000)]
    predictions = [[tag if rng.random() < 0.8 else "NOUN" for tag in gold] for gold in golds]
    start = time.process_time()
    cell = score(lines(predictions, golds), "chunk_f1", "token_accuracy")
    assert time.process_time() - start < 10
    assert 80 < cell.metrics["token_accuracy.accuracy"].value < 85
