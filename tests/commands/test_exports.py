"""The scores of a board in the files of other programs, and these programs reading them."""

import hashlib
import json
import math
import subprocess

import pytest
from huggingface_hub import ModelCard

import run_eval

TASKS = "mini/nli,mini/squad_v2,mini/tagging"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Made-up answers in two languages."""
    root = tmp_path_factory.mktemp("exports") / "run"
    words = ["--model", "random", "--tasks", TASKS, "--languages", "de,en", "--limit", "25", "--quiet"]
    assert run_eval.main([*words, "--output_path", str(root)]) == 0
    return root


def export(run, folder, *words):
    """The files of an export by name."""
    assert run_eval.main(["leaderboard", str(run), *words]) == 0
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.json*"))}


def board_rows(run):
    """The rows of the run's board by task and language."""
    board = json.loads((run / "leaderboard.json").read_text(encoding="utf-8"))
    return {(row["task"], row["lang"]): row for row in board["rows"]}


def test_results_have_lm_evals_names_and_shares(run, tmp_path):
    files = export(run, tmp_path, "--export", f"lm_eval={tmp_path}")
    (name,) = files
    found, rows = json.loads(files[name]), board_rows(run)
    assert name.startswith("random-limit25/results_20")
    for (task, lang), row in rows.items():
        results = found["results"][f"{task}_{lang}"]
        for key, number in row["metrics"].items():
            short = {"accuracy.accuracy": "acc"}.get(key, key.rpartition(".")[2])
            assert results[f"{short},none"] == pytest.approx(number["value"] / 100)
            assert results[f"{short}_low,none"] <= results[f"{short},none"] <= results[f"{short}_high,none"]
        assert found["n-samples"][f"{task}_{lang}"] == {"original": 25, "effective": 25}
    accuracy = found["results"]["mini/nli_de"]
    assert accuracy["acc_stderr,none"] == pytest.approx(math.sqrt(accuracy["acc,none"] * (1 - accuracy["acc,none"]) / 24))
    assert found["results"]["mini/tagging_de"]["f1_stderr,none"] == "N/A"  # no mean over sentences
    mean = [found["results"][f"mini/nli_{lang}"]["acc,none"] for lang in ("de", "en")]
    assert found["groups"]["mini/nli"]["acc,none"] == pytest.approx(sum(mean) / 2)
    assert sorted(found["group_subtasks"]["mini/nli"]) == ["mini/nli_de", "mini/nli_en"]
    assert found["config"]["xlift"]["partial"] is True


def test_the_same_board_gives_the_same_bytes(run, tmp_path):
    twice = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        words = ["--export", f"lm_eval={folder}/l", "--export", f"every_eval_ever={folder}/e", "--answers"]
        twice.append(export(run, folder, *words))
    assert twice[0] == twice[1]
    assert len(twice[0]) == 1 + 5 + 2  # squad_v2 is in English only


def test_answers_stand_beside_their_rows_in_their_order(run, tmp_path):
    files = export(run, tmp_path, "--export", f"lm_eval={tmp_path}", "--answers")
    (text,) = [text for name, text in files.items() if "samples_mini_nli_de" in name]
    lines = [json.loads(line) for line in text.splitlines()]
    (folder,) = (run / "predict").glob("*nli-de*")
    predictions = [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["doc"]["id"] for line in lines] == [one["id"] for one in predictions]
    assert [line["target"] for line in lines] == [one["gold"] for one in predictions]
    assert [line["filtered_resps"] for line in lines] == [[one["prediction"]] for one in predictions]
    assert all(line["doc"]["text"] for line in lines)
    assert sum(line["score"] for line in lines) / 25 == pytest.approx(board_rows(run)["mini/nli", "de"]["score"]["value"] / 100)


def test_without_a_wish_for_them_no_answers_are_written(run, tmp_path):
    files = export(run, tmp_path, "--export", f"every_eval_ever={tmp_path}")
    assert len(files) == 1
    assert "detailed_evaluation_results" not in json.loads(*files.values())


def test_records_of_every_eval_ever_name_each_metric_with_its_interval(run, tmp_path):
    files = export(run, tmp_path, "--export", f"every_eval_ever={tmp_path}", "--answers")
    record_name, samples_name = sorted(files, key=lambda name: name.endswith("_samples.jsonl"))
    record, rows = json.loads(files[record_name]), board_rows(run)
    assert record_name.startswith("data/xlift/local/random/")
    detailed = record["detailed_evaluation_results"]
    assert detailed["file_path"] == samples_name
    assert detailed["checksum"] == hashlib.sha256(files[samples_name].encode()).hexdigest()
    assert detailed["total_rows"] == 5 * 25
    found = {result["evaluation_result_id"]: result for result in record["evaluation_results"]}
    assert len(found) == sum(len(row["metrics"]) for row in rows.values())
    number = rows["mini/tagging", "en"]["metrics"]["entity_f1.f1"]
    result = found["random-limit25/mini/tagging_en/entity_f1.f1"]
    assert result["score_details"]["score"] == number["value"]
    assert result["score_details"]["uncertainty"]["confidence_interval"]["lower"] == number["low"]
    assert result["metric_config"]["additional_details"]["signature"] == number["signature"]
    assert result["score_details"]["details"]["partial"] == "True"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--export", "csv=x"], "lm_eval or every_eval_ever"),
        (["--export", "lm_eval"], "lm_eval or every_eval_ever"),
        (["--answers"], "--export lm_eval=DIR"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is(run, words, message, capsys):
    assert run_eval.main(["leaderboard", str(run), *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.real
def test_lm_eval_prints_our_results(run, tmp_path, lm_eval_python):
    files = export(run, tmp_path, "--export", f"lm_eval={tmp_path}")
    code = "import json, sys; from lm_eval.utils import make_table; r = json.load(open(sys.argv[1])); "
    code += "print(make_table(r)); print(make_table(r, 'groups'))"
    ran = subprocess.run(
        [lm_eval_python, "-c", code, str(tmp_path / next(iter(files)))], capture_output=True, text=True, check=True
    )
    assert "mini/nli_de" in ran.stdout
    assert "acc" in ran.stdout


@pytest.mark.real
def test_the_package_every_eval_ever_takes_our_records(run, tmp_path, every_eval_ever_python):
    words = ["--export", f"every_eval_ever={tmp_path}", "--answers"]
    files = export(run, tmp_path, *words)
    command = [every_eval_ever_python, "-m", "every_eval_ever", "validate", *files]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_model_card_has_each_number_with_its_interval(run, tmp_path):
    assert run_eval.main(["leaderboard", str(run), "--export", f"model_card={tmp_path}"]) == 0
    (path,) = tmp_path.rglob("README.md")
    card, rows = ModelCard.load(path), board_rows(run)
    found = {
        (one.dataset_args["language"], one.dataset_name.split(" ")[0], one.metric_name): one for one in card.data.eval_results
    }
    wanted = {(lang, task, key): number for (task, lang), row in rows.items() for key, number in row["metrics"].items()}
    assert found.keys() == wanted.keys()
    for name, number in wanted.items():
        assert found[name].metric_value == number["value"]
        assert {key: found[name].metric_args[key] for key in ("low", "high", "n")} == {
            key: number[key] for key in ("low", "high", "n")
        }
    kinds = {one.dataset_name.split(" ")[0]: one.task_type for one in card.data.eval_results}
    assert kinds == {
        "mini/nli": "text-classification",
        "mini/squad_v2": "question-answering",
        "mini/tagging": "token-classification",
    }
    assert card.data.language == ["de", "en"]
    assert "synthetic" in card.text
    assert "a seeded sample of at most 25 test rows a language." in card.text
    assert card.text.count("| mini/nli | de | accuracy.accuracy |") == 1


def test_results_that_the_hub_does_not_take_are_an_error(run, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run_eval.main(["leaderboard", str(run), "--push_card", "somebody/something"]) == 2
    said = capsys.readouterr().err
    assert "the hub has not taken the results" in said
    assert "--push_card somebody/something" in said


def test_several_models_go_into_no_one_card(run, tmp_path, capsys):
    words = ["--model", "constant", "--tasks", "mini/nli", "--languages", "de", "--limit", "5", "--quiet"]
    assert run_eval.main([*words, "--output_path", str(tmp_path / "other")]) == 0
    assert run_eval.main(["leaderboard", str(run), str(tmp_path / "other"), "--push_card", "somebody/something"]) == 2
    assert "one model's results go into one card" in capsys.readouterr().err
