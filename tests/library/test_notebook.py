"""The notebook of the documentation runs from top to bottom, as a notebook would run it."""

import ast
import json

import pytest

from harness.api.registry import ROOT

NOTEBOOK = ROOT / "docs" / "first_board.ipynb"


def cells():
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in document["cells"]}) == len(document["cells"])
    return document["cells"]


def run(source, namespace):
    """Execute a cell; what its last expression gives, as a notebook would show it."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), namespace)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), namespace) if last else None


def test_nothing_that_was_computed_elsewhere_is_kept_in_it():
    assert [cell["outputs"] for cell in cells() if cell["cell_type"] == "code" and cell["outputs"]] == []


@pytest.mark.long
def test_every_cell_runs_and_gives_what_its_text_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    shown = [run("".join(cell["source"]), namespace) for cell in cells() if cell["cell_type"] == "code"]
    said = capsys.readouterr()
    assert "mini-16k: 14 scores, 14 possible, 0 blocked" in said.out
    assert "did you mean 'mini/nli'?" in said.out
    version, _, trainings, board, lifts, compared, notes, _ = shown
    assert version == namespace["xlift"].__version__
    assert len(trainings) == 5
    assert board._repr_markdown_().startswith("# Leaderboard, in short")
    assert [text.split(":")[0] for text in lifts] == [
        *(f"mini/nli {lang}" for lang in ("en", "de", "sw", "th")),
        *(f"mini/retrieval {lang}" for lang in ("de", "sw", "th")),
    ]
    assert [row[0] for row in compared] == ["mini/nli", "mini/retrieval", "mean"]
    assert "page: runs/notebook/report.html" in notes
    assert (tmp_path / "runs" / "notebook" / "tables" / "cells.csv").is_file()
