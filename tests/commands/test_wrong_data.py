"""Wrong data cost the cells that need them: `run` finishes the others and says so, `validate` and `plan` list what is wrong."""

import json

import pytest
from small_tasks import RECIPE, pairs, rows, write
from test_cli import call


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two tasks without training in three languages, of which the German rows of one have a bad label in row 3."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "tasks"
    folder.mkdir()
    for name in ("good", "hurt"):
        write(folder, pairs(name, train=False, langs=("en", "de", "sw")))
        rows(folder, name, "en", "de", "sw")
    write(folder, RECIPE)
    spoil(folder)
    return folder


def spoil(folder):
    path = folder / "hurt-de.jsonl"
    lines = path.read_text().splitlines()
    lines[2] = json.dumps({"a": "x", "label": "jein"})
    path.write_text("\n".join(lines) + "\n")


def words(folder, root, *more):
    common = ["--include_path", str(folder), "--model", "oracle", "--tasks", "good,hurt"]
    return [*common, "--output_path", str(root), "--quiet", *more]


def test_a_bad_row_costs_its_cell_and_the_board_says_where_it_stands(folder, tmp_path, capsys):
    root = tmp_path / "runs"
    code, out, err = call(capsys, *words(folder, root))
    assert code == 1
    assert "hurt-de.jsonl, row 3: 'jein' is no label of task hurt" in err
    assert "10 done now, 0 done before, 1 failed, 1 not run" in err
    board = json.loads((root / "leaderboard.json").read_text())
    assert [(entry["task"], entry["lang"]) for entry in board["missing"]] == [("hurt", "de")]
    assert "hurt-de.jsonl, row 3: 'jein' is no label" in board["missing"][0]["reason"]
    assert "* hurt: mean over 2 of its 3 languages" in out
    assert "hurt-de.jsonl, row 3: 'jein' is no label" in out
    assert "*100.0" in out
    code, _, err = call(capsys, *words(folder, root))
    assert (code, "0 done now, 10 done before, 1 failed, 1 not run" in err) == (1, True)
