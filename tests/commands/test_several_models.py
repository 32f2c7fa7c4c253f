"""Several models in one command: one after another, all mistakes first, one board."""

import json

import run_eval

TASKS = ["--tasks", "mini/nli", "--languages", "de,sw", "--limit", "20", "--quiet"]


def keys(root):
    return sorted(path.parent.name for path in root.glob("*/*/done.json"))


def test_two_models_in_one_command_are_two_commands_with_one_board(tmp_path, capsys):
    assert run_eval.main(["--model", "oracle,constant", *TASKS, "--output_path", str(tmp_path / "one")]) == 0
    page = capsys.readouterr().out
    for model in ("oracle", "constant"):
        assert run_eval.main(["--model", model, *TASKS, "--output_path", str(tmp_path / "two")]) == 0
    capsys.readouterr()
    assert len(keys(tmp_path / "one")) == 8
    assert keys(tmp_path / "one") == keys(tmp_path / "two")
    scores = {model: line for line in page.splitlines() for model in ("oracle", "constant") if line.startswith(f"| {model} ")}
    assert "100.0" in scores["oracle"]
    assert "100.0" not in scores["constant"]
    board = json.loads((tmp_path / "one" / "leaderboard.json").read_text())
    assert {row["model"] for row in board["rows"]} == {"oracle", "constant"}
    assert run_eval.main(["leaderboard", str(tmp_path / "two"), "--output", str(tmp_path / "board.json")]) == 0
    assert json.loads((tmp_path / "board.json").read_text())["rows"] == board["rows"]


def test_mistakes_of_all_models_come_at_once_and_nothing_is_done(tmp_path, capsys):
    command = ["--model", "oracel,constant,no/such/folder", *TASKS, "--output_path", str(tmp_path / "runs")]
    assert run_eval.main(command) == 2
    told = capsys.readouterr().err
    assert "oracel" in told
    assert "no/such/folder" in told
    assert keys(tmp_path / "runs") == []


def test_a_plan_has_a_page_for_each_model_and_a_model_named_twice_is_one(tmp_path, capsys):
    assert run_eval.main(["plan", "--model", "oracle,constant,oracle", *TASKS, "--output_path", str(tmp_path / "runs")]) == 0
    titles = [line.split(":")[0] for line in capsys.readouterr().out.splitlines() if "possible" in line]
    assert titles == ["oracle", "constant"]


def test_a_folder_whose_name_holds_a_comma_is_one_model(tmp_path, capsys):
    (tmp_path / "a,b").mkdir()
    assert run_eval.main(["plan", "--model", str(tmp_path / "a,b"), *TASKS, "--output_path", str(tmp_path / "runs")]) == 2
    assert str(tmp_path / "a,b") in capsys.readouterr().err
