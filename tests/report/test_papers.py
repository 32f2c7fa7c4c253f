"""Files for papers: the long table read back by pandas, LaTeX that acts on nothing, and one meaning for each column."""

import json
import re
import shutil
import subprocess

import pandas
import pytest
from written_runs import WrittenRun, task

from harness.api.registry import ROOT
from harness.report.board.board import build_board
from harness.report.papers.latex_tables import write_latex
from harness.report.papers.latex_text import latex_text
from harness.report.papers.long_table import COLUMNS, columns_page, long_table
from harness.report.papers.table_files import write_tables

HOSTILE = r"x_1 & 50% #$^~{}\end{tabular}<|>`--'' \"q\" [a]* модель 中文 é ß"


@pytest.fixture
def board(tmp_path):
    tasks = {"xnli": task("de", "sw", same_task=["mnli"]), "[x]_y&z": task("de", trained=False)}
    run = WrittenRun(tmp_path / "run", tasks=tasks, model=HOSTILE, limit=100)
    for seed in (1, 2):
        for intermediate, right in (("none", 60), ('=mnli,\n"x"', 70)):
            for lang in ("de", "sw"):
                done = (intermediate, lang, seed) != ("none", "sw", 2)
                run.cell(intermediate, "xnli", lang, seed=seed, right=right, finished=done, same=right == 70, truncated=4)
    run.cell("none", "[x]_y&z", "de", right=33)
    return build_board([run.write()])


def test_the_long_table_has_a_row_for_each_cell_and_says_why_one_is_missing(board):
    rows = long_table(board)
    assert len(rows) == len(board["rows"]) + len(board["missing"]) == 9
    assert [list(row) for row in rows] == [[column.name for column in COLUMNS]] * 9
    (missing,) = [row for row in rows if row["score"] is None]
    assert (missing["lang"], missing["seed"], missing["missing"], missing["n"]) == ("sw", 2, "not finished", None)
    assert missing["partial"] is True
    lifted = next(row for row in rows if row["lift"] is not None)
    assert lifted["lift"] == pytest.approx(10)
    assert lifted["lift_low"] < 10 < lifted["lift_high"]
    told = ("language", "language_family", "script", "covered", "n", "n_truncated", "tokens_truncated", "metric", "same_task")
    german = next(row for row in rows if row["lang"] == "de" and row["lift"] is not None)
    assert [german[name] for name in told] == ["German", "Indo-European", "Latn", None, 100, 4, 12, "accuracy.accuracy", True]
    alone = next(row for row in rows if row["no_lift"])
    assert (alone["seed"], alone["no_lift"]) == (2, "the run without intermediate task is not finished")


def test_csv_and_parquet_are_read_back_by_pandas_and_hold_the_same(board, tmp_path):
    paths = write_tables(board, tmp_path / "tables")
    assert [path.name for path in paths] == ["cells.csv", "cells.parquet", "cells.md"]
    from_csv = pandas.read_csv(paths[0], keep_default_na=False, na_values=[""], dtype={"limit": "string"})
    from_parquet = pandas.read_parquet(paths[1])
    rows = long_table(board)
    assert list(from_csv.columns) == list(from_parquet.columns) == [column.name for column in COLUMNS]
    assert len(from_csv) == len(from_parquet) == len(rows)
    compared = 0
    for table in (from_csv, from_parquet):
        for number, row in enumerate(rows):
            for name, value in row.items():
                found = table[name].iloc[number]
                assert pandas.isna(found) if value is None else found == value, (name, number, value, found)
                compared += 1
    assert compared == 2 * 9 * len(COLUMNS)
    assert str(from_parquet["score"].dtype) == "float64"
    means = from_parquet.groupby(["model", "intermediate", "task", "lang"]).score.mean()
    assert sorted(means.round(6)) == [33, 60, 60, 70, 70]
    first = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in write_tables(board, tmp_path / "again")] == first


def test_columns_mean_what_the_page_says_and_the_page_beside_the_files_says_it_too(board, tmp_path):
    page = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    assert columns_page() in page
    assert columns_page() in write_tables(board, tmp_path)[2].read_text(encoding="utf-8")
    names = [column.name for column in COLUMNS]
    assert len(names) == len(set(names)) > 40
    assert [name for name in names if f"| `{name}` |" not in page] == []


def test_a_text_in_latex_is_read_as_it_is():
    assert latex_text("mnli+qqp_2 50% #1") == r"mnli+qqp\_2 50\% \#1"
    assert latex_text("a-b--c") == r"a-b-{}-c"
    assert latex_text("\\input{x}") == r"\textbackslash{}input\{x\}"
    assert latex_text("ein\nWort\x1b[31m") == r"ein Wort\textbackslash{}x1b{[}31m"
    assert latex_text("модель é") == r"\othertext{модель}{U+043C U+043E U+0434 U+0435 U+043B U+044C} é"


def test_latex_tables_have_a_line_for_each_arm_and_nothing_in_a_name_acts(board, tmp_path):
    paths = write_latex(board, tmp_path)
    names = [path.name for path in paths]
    assert names[:2] == ["scores.tex", "lifts.tex"]
    assert names[-1] == "preview.tex"
    assert len([name for name in names if name.startswith("languages-")]) == 2
    scores = paths[0].read_text(encoding="utf-8")
    assert len(re.findall(r"\\\\$", scores, re.MULTILINE)) == 3
    assert r"$60.0$ {\scriptsize $\pm" in scores
    assert r"\textsuperscript{\dag}" in scores
    assert r"$+10.0$ {\scriptsize $[" in paths[1].read_text(encoding="utf-8")
    for path in paths[:-1]:
        text = path.read_text(encoding="utf-8")
        assert text.count(r"\begin{tabular}") == text.count("\\end{tabular}\n") == 1
        body = text.partition("\\toprule")[2]
        assert {line.count("&") - line.count("\\&") for line in body.splitlines() if line.endswith(r"\\")} in ({4}, {3}, {1})
        assert all(r"\end{tabular}<" not in line for line in body.splitlines())
    preview = paths[-1].read_text(encoding="utf-8")
    assert [name for name in names[:-1] if f"\\fitted{{{name}}}" not in preview] == []
    assert "a sample of the test rows" in preview


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex: apt install texlive-latex-recommended")
def test_latex_compiles(board, tmp_path):
    write_latex(board, tmp_path)
    ran = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "preview.tex"], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout[-1500:]
    assert (tmp_path / "preview.pdf").stat().st_size > 10_000


def test_notes_and_metrics_are_json_in_a_field(tmp_path):
    run = WrittenRun(tmp_path, tasks={"xnli": task("de", trained=False)})
    given = [{"id": str(n), "prediction": None, "gold": "yes", "notes": ["unparsed"], "num_truncated": 0} for n in range(3)]
    run.cell("none", "xnli", "de", total=3, given=given)
    (row,) = long_table(build_board([run.write()]))
    assert json.loads(row["notes"]) == {"unparsed": 3}
    assert json.loads(row["metrics"]) == {"accuracy.accuracy": 0.0}
    assert (row["n"], row["n_missing"]) == (3, 3)
