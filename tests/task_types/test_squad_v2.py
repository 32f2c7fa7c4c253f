"""SQuAD 2.0: the official script's numbers and thresholds, how a score keeps them, and that no other task may give no answer."""

import importlib.util
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_tasks import write

from harness.api.errors import UserError
from harness.api.registry import METRICS
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import make_plan
from harness.planning.precedence import task_options
from harness.planning.request import RunRequest
from harness.prediction.fakes import load_fake
from harness.scoring.metrics import squad_v2
from harness.scoring.score import score_cell, score_value, write_score
from harness.scoring.score_files import read_stats
from harness.task_types import span_qa

KEYS = ["squad_v2.best_exact", "squad_v2.best_f1"]
UNANSWERED: list[str] = [""]


def said(text: str, odds: float) -> dict[str, Any]:
    return {"text": text, "null_odds": odds}


def lines(predictions: list[Any], golds: list[list[str]]) -> list[dict[str, Any]]:
    return [
        {"id": str(number), "lang": "en", "prediction": prediction, "gold": gold, "num_truncated": 0, "notes": []}
        for number, (prediction, gold) in enumerate(zip(predictions, golds, strict=True))
    ]


def numbers(predictions: list[Any], golds: list[list[str]]) -> dict[str, float]:
    settings = squad_v2.prepare(predictions, golds, lang="en")
    rows = [squad_v2.stats(p, g, lang="en", prepared=settings) for p, g in zip(predictions, golds, strict=True)]
    return {key: float(value) for key, value in squad_v2.combine(np.sum(rows, axis=0)).items()}


@pytest.mark.parametrize("case", squad_v2.GOLDEN, ids=lambda case: case["name"])
def test_thresholds_are_those_of_the_official_script(case: dict[str, Any]) -> None:
    settings = squad_v2.prepare(case["predictions"], case["golds"], lang="en")
    assert {key: settings[key] for key in case["thresholds"]} == case["thresholds"]
    assert settings["HasAns_total"] == sum(gold != UNANSWERED for gold in case["golds"])
    assert settings["HasAns_total"] + settings["NoAns_total"] == len(case["golds"])


def test_a_missing_prediction_is_wrong_even_where_there_is_no_answer() -> None:
    predictions, golds = [said("yes", -1.0), None, said("x", 3.0), None], [["yes"], UNANSWERED, UNANSWERED, ["no"]]
    found = numbers(predictions, golds)
    assert found == {
        **dict.fromkeys(("best_f1", "best_exact", "exact", "f1", "HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1"), 50.0)
    }
    assert squad_v2.prepare(predictions, golds, lang="en")["best_exact_thresh"] == -1.0


def test_the_f1_of_two_empty_texts_is_one_here_and_nought_in_squad_1() -> None:
    assert squad_v2.stats(said("the", -1.0), UNANSWERED, lang="en", prepared=squad_v2.prepare([], [], lang="en"))[5] == 1.0
    assert METRICS.load("squad").stats("the", UNANSWERED, lang="en") == (1.0, 0.0, 1.0)


@pytest.mark.parametrize(
    "prediction", ["a text", {"text": "a"}, {"text": None, "null_odds": 1.0}, {"text": "a", "null_odds": "1"}]
)
def test_a_prediction_without_null_odds_is_refused(prediction: Any) -> None:
    with pytest.raises(UserError, match=r"(?s)metric squad_v2, language en: this is no prediction.*allow_empty"):
        score_cell(lines([prediction], [["a"]]), metrics=["squad_v2"], score=KEYS, lang="en", num_expected=1)


@pytest.mark.parametrize("name", ["squad", "mlqa"])
def test_other_metrics_of_answers_refuse_null_odds(name: str) -> None:
    with pytest.raises(UserError, match=r"(?s)example '0': this prediction is no text.*null_odds.*allow_empty"):
        score_cell(lines([said("a", 1.0)], [["a"]]), metrics=[name], score=[], lang="en", num_expected=1)


def test_the_score_keeps_its_thresholds_and_intervals_take_them_as_given(tmp_path: Path) -> None:
    rng = random.Random(0)
    golds = [["one"] if rng.random() < 0.5 else UNANSWERED for _ in range(200)]
    predictions = [said(rng.choice(["one", "two"]), rng.gauss(1 if gold == UNANSWERED else 0, 1)) for gold in golds]
    made = lines(predictions, golds)
    cell = score_cell(made, metrics=["squad_v2"], score=KEYS, lang="en", num_expected=200)
    assert cell.score.value == score_value(made, metrics=["squad_v2"], score=KEYS, lang="en")
    assert cell.score.value == pytest.approx(np.mean([cell.metrics[key].value for key in KEYS]))
    assert cell.score.low < cell.score.value < cell.score.high
    assert cell.metrics["squad_v2.best_exact"].value > cell.metrics["squad_v2.exact"].value
    assert cell.report()["settings"] == {"squad_v2": squad_v2.prepare(predictions, golds, lang="en")}
    write_score(cell, tmp_path)
    kept = read_stats(tmp_path)["squad_v2"].sum(axis=0)
    assert squad_v2.combine(kept)["best_f1"] == pytest.approx(cell.metrics["squad_v2.best_f1"].value)
    plain = score_cell(lines(["a"], [["a"]]), metrics=["squad"], score=[], lang="en", num_expected=1)
    assert "settings" not in plain.report()


def test_the_task_scores_the_mean_of_both_bests() -> None:
    spec = Catalog().task("squad_v2").spec
    assert list(spec.score) == KEYS
    assert spec.selection == "none"  # its development rows hold XQuAD's paragraphs
    assert span_qa.Options.model_validate(spec.options).allow_empty


@pytest.mark.parametrize("phase", ["target", "intermediate"])
@pytest.mark.parametrize("name", ["xquad", "mlqa", "tydiqa", "squad_v1"])
def test_tasks_whose_questions_have_answers_always_give_one(name: str, phase: str) -> None:
    catalog = Catalog()
    for recipe in catalog.names("recipe"):
        found = task_options(catalog.task(name), recipe=catalog.recipe(recipe), preset=None, overrides={}, phase=phase)
        assert found.values.allow_empty is False, (name, recipe)


def test_no_answer_and_its_metric_go_together_in_a_file(tmp_path: Path) -> None:
    spec = {
        "task": "quiz",
        "type": "span_qa",
        "description": "d",
        "languages": ["en"],
        "data": {"test": {"files": {"rows": "a"}, "reader": "squad_json"}},
        "fields": {name: name for name in ("question", "context", "answer_texts", "answer_starts")},
    }
    for options, metrics, message in (
        ({}, ["squad_v2"], "needs the option `allow_empty: true`"),
        ({"allow_empty": True}, ["squad_v2", "squad"], "'squad' takes answers only"),
        ({"allow_empty": True}, ["squad_v2"], ""),
        ({}, ["squad", "mlqa"], ""),
    ):
        write(tmp_path, {**spec, "options": options, "metrics": metrics})
        text = "\n".join(map(str, Catalog([tmp_path]).check_all(under=tmp_path)))
        assert message in text if message else not text


@pytest.mark.real
def test_fakes_on_real_rows(shared: Path) -> None:
    spec = Catalog().task("squad_v2").spec
    place = DataPlace(data_dir=shared / "hub", offline=True)
    assert len(load_examples(spec, split="train", langs=["en"], place=place).examples) == 3900
    examples: Sequence[Any] = load_examples(spec, split="test", langs=["en"], place=place).examples
    golds = [example.gold for example in examples]
    share = 100 * golds.count(UNANSWERED) / len(golds)
    assert (len(golds), golds.count(UNANSWERED)) == (1629, 826)
    chosen = examples[:400]
    options = span_qa.Options(**spec.options)
    for kind in ("oracle", "random"):
        fake = load_fake(kind, tokenizer=None)
        features = span_qa.encode(chosen, task=spec, tokenizer=fake.tokenizer, options=options, train=False)
        outputs = [fake.answer(f, chosen[f.example], module=span_qa, task=spec, options=options) for f in features]
        partials = [span_qa.reduce(f, o, task=spec, options=options) for f, o in zip(features, outputs, strict=True)]
        made = span_qa.decode(chosen, features, partials, task=spec, options=options)
        found = numbers([line.prediction for line in made], [line.gold for line in made])
        if kind == "oracle":
            exact = [line.prediction["text"] in line.gold for line in made if line.gold != UNANSWERED and not line.notes]
            assert all(exact)
            assert found["NoAns_exact"] == 100.0
        else:
            share = 100 * sum(line.gold == UNANSWERED for line in made) / len(made)
            assert share <= found["best_exact"] < share + 2


@pytest.mark.real
def test_after_squad_v2_the_targets_still_always_answer(shared: Path) -> None:
    request = RunRequest(model="mini", tasks="xquad,tydiqa,squad_v2", intermediate="none,squad_v2", languages=("en",))
    made = make_plan(request, catalog=Catalog(), place=DataPlace(data_dir=shared / "hub", offline=True))
    asked = {(s.args.task, s.args.options.get("allow_empty", False)) for s in made.stages if s.verb == "predict"}
    assert asked == {("xquad", False), ("tydiqa", False), ("squad_v2", True)}
    trained = [component for s in made.stages if s.verb == "train" for component in s.args.tasks]
    kinds = {(component.task, component.options.get("allow_empty", False)) for component in trained}
    assert {kind for kind in kinds if "squad" in kind[0] or kind[0] == "tydiqa"} == {
        ("squad_v1", False),
        ("tydiqa", False),
        ("squad_v2", True),
    }


# Conformance with the official script, where a copy of it is named.


def official_numbers(script: Any, predictions: list[Any], golds: list[list[str]]) -> dict[str, float]:
    """What the script's own functions give at threshold 0 and at the best ones."""
    questions = [
        {"id": str(n), "answers": [] if gold == UNANSWERED else [{"text": text} for text in gold]} for n, gold in enumerate(golds)
    ]
    data = [{"paragraphs": [{"qas": questions}]}]
    texts = {str(n): prediction["text"] for n, prediction in enumerate(predictions)}
    odds = {str(n): prediction["null_odds"] for n, prediction in enumerate(predictions)}
    has = script.make_qid_to_has_ans(data)
    raw = script.get_raw_scores(data, texts)
    at_zero = [script.apply_no_ans_threshold(scores, odds, has, 0.0) for scores in raw]
    found: dict[str, float] = script.make_eval_dict(*at_zero)
    for prefix, kind in (("HasAns", True), ("NoAns", False)):
        ids = [id_ for id_ in has if has[id_] is kind]
        script.merge_eval(found, script.make_eval_dict(*at_zero, qid_list=ids), prefix)
    script.find_all_best_thresh(found, texts, *raw, odds, has)
    return found


@pytest.fixture
def script() -> Any:
    path = os.environ.get("XLIFT_SQUAD_V2_SCRIPT")
    if not path:
        pytest.skip(
            "XLIFT_SQUAD_V2_SCRIPT does not name SQuAD 2.0's evaluate.py (huggingface/datasets 02bb18c, metrics/squad_v2)"
        )
    spec = importlib.util.spec_from_file_location("official_squad_v2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_golden_cases_still_come_out_of_the_official_script(script: Any) -> None:
    for case in squad_v2.GOLDEN:
        found = official_numbers(script, case["predictions"], case["golds"])
        assert {key: found[key] for key in (*case["scores"], *case["thresholds"])} == {**case["scores"], **case["thresholds"]}


def test_random_predictions_score_as_in_the_official_script(script: Any) -> None:
    rng, words = random.Random(0), ["the", "red", "fox", "ran", "a", "...", "home", ""]
    for _ in range(200):
        golds = [UNANSWERED, ["fox"]]
        golds += [[f"fox {rng.choice(words)}", rng.choice(words[:5])] if rng.random() < 0.6 else UNANSWERED for _ in range(40)]
        texts = [rng.choice([" ".join(rng.choices(words, k=rng.randint(1, 4))), rng.choice(gold)]) for gold in golds]
        predictions = [said(text, rng.choice([round(rng.gauss(0, 1)), rng.gauss(0, 2)])) for text in texts]
        wanted, found = official_numbers(script, predictions, golds), numbers(predictions, golds)
        assert found == pytest.approx({key: wanted[key] for key in found}, abs=1e-9)
        settings = squad_v2.prepare(predictions, golds, lang="en")
        for key in ("best_exact_thresh", "best_f1_thresh"):
            assert settings[key] == wanted[key]
