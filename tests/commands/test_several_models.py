"""Several models in one command: one after another, all mistakes first, one board."""

import json
import re

import pytest
from safetensors.torch import load_file, save_file
from small_runs import CONFIG, FOREIGN, Project

import run_eval
from models.encoder import init_scratch, train_tokenizer

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
    scores = {model: page.split(f"## {model}\n")[1].split("\n## ")[0] for model in ("oracle", "constant")}
    assert all(re.search(r"^\| mini/nli \|  40 \| ", table, re.MULTILINE) for table in scores.values())
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


def test_two_models_that_are_called_the_same_are_refused_and_one_that_is_named_twice_is_not(tmp_path, capsys):
    projects = [Project.make(tmp_path / name, tasks="pairs") for name in ("one", "two")]
    changed = projects[1].decoder / "model.safetensors"
    save_file({name: tensor * 2 for name, tensor in load_file(changed).items()}, changed, metadata={"format": "pt"})
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "decoder").symlink_to(projects[0].decoder)

    def planned(*models):
        words = ["--tasks", "pairs", "--route", "prompt", "--include_path", str(projects[0].folder), "--recipe", "tiny"]
        return run_eval.main(["plan", "--model", ",".join(map(str, models)), *words, "--output_path", str(tmp_path / "runs")])

    assert planned(*(project.decoder for project in projects)) == 2
    err = capsys.readouterr().err
    assert "two models are called 'decoder'" in err
    assert f"{projects[0].decoder} and {projects[1].decoder}" in err
    assert planned(projects[0].decoder, tmp_path / "link" / "decoder") == 0


def test_a_folder_whose_name_holds_a_comma_is_one_model(tmp_path, capsys):
    (tmp_path / "a,b").mkdir()
    assert run_eval.main(["plan", "--model", str(tmp_path / "a,b"), *TASKS, "--output_path", str(tmp_path / "runs")]) == 2
    assert str(tmp_path / "a,b") in capsys.readouterr().err


@pytest.mark.slow
def test_models_are_ranked_on_the_board_of_one_command_and_of_several(tmp_path, capsys):
    project = Project.make(tmp_path / "project", tasks="pairs,nearest", max_steps=3)
    tokenizer = train_tokenizer([*FOREIGN, *FOREIGN.values()], vocab_size=200)
    init_scratch({**CONFIG, "hidden_size": 64}, tokenizer=tokenizer, folder=tmp_path / "wide", seed=2)
    names = ["random", str(project.model), str(tmp_path / "wide")]
    asked = ["--include_path", str(project.folder), "--tasks", "pairs,nearest", "--recipe", "tiny", "--seeds", "1,2", "--quiet"]
    assert run_eval.main(["--model", ",".join(reversed(names)), *asked, "--output_path", str(tmp_path / "one")]) == 0
    page = capsys.readouterr().out
    ranks = page.split("## Ranks among the models\n")[1].split("\n## ")[0]
    assert [ranks.count(f"| {name} ") for name in ("random", "model", "wide")] == [1, 2, 1]  # `model` heads a column too
    assert run_eval.main(["leaderboard", str(tmp_path / "one")]) == 0
    page = capsys.readouterr().out
    for number, name in enumerate(names):
        assert run_eval.main(["--model", name, *asked, "--output_path", str(tmp_path / f"{number}")]) == 0
    folders = [str(tmp_path / f"{number}") for number in range(3)]
    capsys.readouterr()
    assert run_eval.main(["leaderboard", *folders, "--output", str(tmp_path / "board.json")]) == 0
    board = json.loads((tmp_path / "board.json").read_text())
    assert json.loads((tmp_path / "one" / "leaderboard.json").read_text())["standings"] == board["standings"]
    (entry,) = board["standings"]
    assert [line["model"] for line in entry["lines"]] == ["random", "model", "wide"]
    assert [column["name"] for column in entry["columns"]] == ["pairs", "nearest", "all 2 tasks"]
    assert [column["over_seeds"] for column in entry["columns"]] == [True, True, True]
    for column in entry["columns"]:
        assert [own["rank"] is None for own in column["entries"]] == [True, False, False]
        assert {own["rank"]["value"] for own in column["entries"][1:]} <= {1, 2}
    section = page.split("## Models compared")[1].split("\n## ")[0]
    assert section in capsys.readouterr().out
    assert {section.count(f"| {name} ") for name in ("random", "wide")} == {section.count("\n| :--")}  # a line in each table


def test_made_up_answers_are_compared_with_nobody(tmp_path, capsys):
    assert run_eval.main(["--model", "oracle,random,constant", *TASKS, "--output_path", str(tmp_path)]) == 0
    assert "Ranks" not in capsys.readouterr().out
    assert run_eval.main(["leaderboard", str(tmp_path)]) == 0
    assert "Models compared" not in capsys.readouterr().out
    assert json.loads((tmp_path / "leaderboard.json").read_text())["standings"] == []
