"""The day after: rows, prompts and settings are edited, and the same commands are given again in the same folder."""

import json
import shutil

import pytest
import yaml
from printed_pages import unbroken
from small_runs import contents
from small_tasks import RECIPE, pairs, rows, write
from test_cli import call

WORDS = {"no": "n", "yes": "y"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A task without training in three languages."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_DATA_DIR", raising=False)
    folder = tmp_path / "tasks"
    folder.mkdir()
    for name in ("good", "more"):
        write(
            folder,
            {**pairs(name, train=False, langs=("en", "de", "sw")), "prompt": {"context": "{{ text }}", "continuations": WORDS}},
        )
        rows(folder, name, "en", "de", "sw")
    write(folder, RECIPE)
    return folder


def words(folder, root, *more):
    common = ["--include_path", str(folder), "--model", "constant", "--route", "prompt", "--tasks", "good,more"]
    return [*common, "--output_path", str(root), "--quiet", *more]


def edit(folder, name="good-de.jsonl"):
    path = folder / name
    first, *others = path.read_text().splitlines()
    row = json.loads(first)
    path.write_text("\n".join([json.dumps({**row, "label": "no" if row["label"] == "yes" else "yes"}), *others]) + "\n")


def test_after_a_row_and_a_prompt_are_edited_leaderboard_and_compare_still_work(folder, tmp_path, capsys):
    root = tmp_path / "runs"
    assert call(capsys, *words(folder, root))[0] == 0
    before = contents(root)
    assert call(capsys, *words(folder, root))[0] == 0
    assert contents(root) == before, "the same command again changes no byte"
    edit(folder)
    code, out, _ = call(capsys, *words(folder, root))
    assert code == 0
    assert f"`run_eval.py leaderboard {root}` (with those of another request in this folder)" in unbroken(out)
    spec = yaml.safe_load((folder / "more.yaml").read_text())
    write(folder, {**spec, "prompt": {**spec["prompt"], "context": "{{ text }}!"}})
    assert call(capsys, *words(folder, root))[0] == 0
    code, out, err = call(capsys, "leaderboard", str(root), "--output", str(tmp_path / "board.json"))
    assert (code, err) == (0, f"board: {tmp_path / 'board.json'}\n")
    out = unbroken(out)
    assert "good in de: differs in test rows." in out
    assert "more in en, de, sw: differs in prompt." in out
    board = json.loads((tmp_path / "board.json").read_text())
    assert len(board["rows"]) == 6
    assert {tuple(entry["differs"]) for entry in board["older"]} == {("test rows",), ("prompt",)}
    assert len(board["requests"]) == 1  # all cells are those of the newest
    own = json.loads((root / "leaderboard.json").read_text())
    assert own["requests"] == board["requests"]
    assert (own["requests"][0]["tasks"], own["older"]) == ("good,more", [])
    assert "## Older results" in call(capsys, "leaderboard", str(root), "--older", "show")[1]
    assert "Older" not in call(capsys, "leaderboard", str(root), "--older", "drop")[1]
    code, _, err = call(capsys, "compare", str(root), "--a", "route=*zero*", "--b", "route=*zero*")
    assert "two different results" not in err
    assert "note: left out, older: of " in err


def test_the_command_that_is_given_last_is_the_newest_again(folder, tmp_path, capsys):
    root = tmp_path / "runs"
    kept = (folder / "good-de.jsonl").read_text()
    scores = []
    for text in (kept, None, kept):
        edit(folder) if text is None else (folder / "good-de.jsonl").write_text(text)
        assert call(capsys, *words(folder, root))[0] == 0
        call(capsys, "leaderboard", str(root), "--output", str(tmp_path / "board.json"))
        board = json.loads((tmp_path / "board.json").read_text())
        scores.append(next(row["score"]["value"] for row in board["rows"] if (row["task"], row["lang"]) == ("good", "de")))
    assert scores[0] == scores[2] != scores[1]


def test_a_run_folder_remembers_where_its_data_lie(folder, tmp_path, capsys):
    root, data = tmp_path / "runs", tmp_path / "data"
    data.mkdir()
    for path in folder.glob("*.jsonl"):
        shutil.move(path, data / path.name)
    assert call(capsys, *words(folder, root))[0] == 1  # nothing is found
    assert call(capsys, *words(folder, root, "--data_dir", str(data)))[0] == 0
    board = (root / "leaderboard.json").read_bytes()
    code, _, err = call(capsys, *words(folder, root))
    assert code == 0
    assert f"note: --data_dir {data}, as the newest command in this folder had it" in err
    assert "6 scores, 12 stages: 12 done, 0 to do" in err
    assert (root / "leaderboard.json").read_bytes() == board
    assert str(data).encode() not in board
    code, _, err = call(capsys, "plan", *words(folder, root))
    assert (code, "as the newest command" in err) == (0, True)
    moved = data.rename(tmp_path / "moved")
    code, _, err = call(capsys, *words(folder, root))
    assert code == 1
    assert f"{data}, is gone: give --data_dir if it has moved" in err
    assert call(capsys, *words(folder, root, "--data_dir", str(moved)))[0] == 0
    assert (root / "leaderboard.json").read_bytes() == board
