r"""Tables of a board in LaTeX with booktabs: scores and lifts (models by tasks), and the languages of each task and model.

    write_latex(board, Path("tables"))         # scores.tex, lifts.tex, languages-*.tex, and preview.tex to look at them

Each file is a bare tabular, to be put into a table of the paper by \input: a new board then changes the numbers and leaves the
captions alone. preview.tex shows them all, with captions that say what the numbers and marks mean.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.api.protocols import Json
from harness.report.board.number_format import (
    GUESSING,
    INCOMPLETE,
    NONE,
    PARTIAL,
    SAME,
    STAND_IN,
    UNREAD,
    marks,
    signed,
    size,
    unread,
)
from harness.report.board.table_rows import Lines, Text, arm_key
from harness.report.papers.latex_text import PREAMBLE, latex_text
from harness.runtime.stages import write_text

PREVIEW_FILE = "preview.tex"
_MARKS = {SAME: r"\dag", PARTIAL: r"\ddag", INCOMPLETE: r"*", UNREAD: r"\textdegree", STAND_IN: r"\P", GUESSING: r"\S"}
_MEANINGS = {
    SAME: "the intermediate setting trains on the target's own training data",
    PARTIAL: "a sample of the test rows",
    INCOMPLETE: "languages or seeds are missing",
    UNREAD: "part of the text did not reach the model",
    STAND_IN: "not the metric that the task's file names first",
    GUESSING: "a side of it cannot be told from guessing",
}
_NOTHING = "--"


def write_latex(board: Mapping[str, Json], folder: Path) -> list[Path]:
    """Write the tables into a folder, which is made if need be; returns the paths, preview.tex last."""
    lines = Lines(board)
    level = round(board["bootstrap"]["level"] * 100)
    tables = {"scores.tex": _by_task(lines, _score, lines.arms)}
    captions = {"scores.tex": f"Scores, means over languages, $\\pm$ half of the {level}\\,\\% interval over test examples."}
    if lines.lifted:
        tables["lifts.tex"] = _by_task(lines, _lift, lines.lifted)
        captions["lifts.tex"] = (
            "Lifts: the score with the intermediate task minus the score without it; same backbone, target, languages, recipe and"
            f" seeds; paired {level}\\,\\% interval."
        )
    for task in board["task_order"]:
        for model in lines.models:
            if lines.of(model, task):
                name = _file_name(f"languages-{task}-{model}", tables)
                tables[name] = _languages(lines, task, model)
                captions[name] = f"{latex_text(task)}, {latex_text(model)}: languages; $\\Delta$ is the lift."
    paths = []
    for name, table in tables.items():
        paths.append(folder / name)
        write_text(paths[-1], _head(board, name) + table)
        captions[name] += _legend(table)
    paths.append(folder / PREVIEW_FILE)
    write_text(paths[-1], _preview(board, captions))
    return paths


def _head(board: Mapping[str, Json], name: str) -> str:
    """Comments, and what the table needs before it."""
    synthetic = "% Synthetic world: not for claims about models.\n" if board["synthetic"] else ""
    return f"% {name}, written by xlift.  Needs \\usepackage{{booktabs}}.\n{synthetic}{PREAMBLE}\n"


def _by_task(lines: Lines, number: Text, arms: Sequence[Mapping[str, Json]]) -> str:
    """A line for each arm, a column for each task and each group that has a number."""
    columns = [(task, [number(lines.tasks.get((*arm_key(arm), task))) for arm in arms]) for task in lines.board["task_order"]]
    columns += [(group, [number(lines.groups.get((*arm_key(arm), group))) for arm in arms]) for group in lines.board["groups"]]
    columns = [(name, cells) for name, cells in columns if set(cells) != {_NOTHING}]
    rows, before = [], None
    for place, arm in enumerate(arms):
        new = arm["model"] != before
        before = arm["model"]
        names = [latex_text(arm["model"]), latex_text(size(lines.board["models"].get(arm["model"])))] if new else ["", ""]
        gap = "\\addlinespace\n" if new and place else ""
        rows.append(gap + _line([*names, latex_text(lines.label(arm)), *(cells[place] for _, cells in columns)]))
    titles = ["model", "parameters", "intermediate", *(latex_text(name) for name, _ in columns)]
    return _tabular("lrl" + "r" * len(columns), [_line(titles)], rows)


def _languages(lines: Lines, task: str, model: str) -> str:
    """A line for each language, a column for each intermediate setting and its lift."""
    entries = lines.of(model, task)
    known = {lang for entry in entries for lang in entry["languages"]}
    by_place = sorted(lines.board["tasks"][task]["languages"], key=lambda lang: lang != "en")
    names = [*(lang for lang in by_place if lang in known), *sorted(known - set(by_place))]
    titles, columns = ["language"], [[latex_text(name) for name in names]]
    for entry in entries:
        found = [entry["languages"].get(name) for name in names]
        titles.append(_raised(marks(entry)) + latex_text(lines.label(entry)))
        columns.append([_language_score(numbers) for numbers in found])
        if entry["intermediate"] != NONE and any(numbers and numbers["lift"] for numbers in found):
            titles.append("$\\Delta$")
            columns.append([_language_lift(numbers) for numbers in found])
    rows = [_line(list(cells)) for cells in zip(*columns, strict=True)]
    return _tabular("l" + "r" * (len(columns) - 1), [_line(titles)], rows)


def _tabular(columns: str, head: Sequence[str], rows: Sequence[str]) -> str:
    body = "\n".join(["\\toprule", *head, "\\midrule", *rows, "\\bottomrule"])
    return f"\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}\n"


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _score(entry: Mapping[str, Json] | None) -> str:
    if entry is None or entry["score"] is None:
        return _NOTHING
    return _raised(marks(entry)) + _plus_minus(entry["score"])


def _lift(entry: Mapping[str, Json] | None) -> str:
    if entry is None or entry["lift"] is None:
        return _NOTHING
    found = entry["lift"]
    short = INCOMPLETE if entry.get("lift_missing") and entry.get("complete", True) else ""
    guessing = GUESSING if entry["lift_at_guessing"] else ""
    ends = f"[{signed(found['low'])}, {signed(found['high'])}]"
    return f"{_raised(marks(entry) + short + guessing)}${signed(found['value'])}$ {{\\scriptsize ${ends}$}}"


def _language_score(numbers: Mapping[str, Json] | None) -> str:
    if numbers is None:
        return _NOTHING
    return _raised(UNREAD if unread(numbers) else "") + _plus_minus(numbers["score"])


def _language_lift(numbers: Mapping[str, Json] | None) -> str:
    if numbers is None or not numbers["lift"]:
        return _NOTHING
    return _raised(GUESSING if numbers["lift_at_guessing"] else "") + _plus_minus(numbers["lift"], sign="+")


def _plus_minus(interval: Mapping[str, float], *, sign: str = "") -> str:
    half = (interval["high"] - interval["low"]) / 2
    return f"${signed(interval['value'], sign)}$ {{\\scriptsize $\\pm{half:.1f}$}}"


def _raised(found: str) -> str:
    return "".join(f"\\textsuperscript{{{_MARKS[mark]}}}" for mark in found)


def _legend(table: str) -> str:
    """What the marks of a table mean."""
    used = [(sign, _MEANINGS[mark]) for mark, sign in _MARKS.items() if f"\\textsuperscript{{{sign}}}" in table]
    return "".join(f" {sign}{{}}: {meaning}." for sign, meaning in used)


def _preview(board: Mapping[str, Json], captions: Mapping[str, str]) -> str:
    """A document that shows all tables."""
    synthetic = " Synthetic world: not for claims about models." if board["synthetic"] else ""
    floats = "\n".join(
        f"\\begin{{table}}[p]\n\\centering\\small\n\\caption{{{caption}{synthetic}}}\n"
        f"\\fitted{{{name}}}\n\\end{{table}}\n\\clearpage"
        for name, caption in captions.items()
    )
    return (
        "% All tables, to look at: pdflatex preview.tex\n\\documentclass{article}\n"
        "\\usepackage{iftex}\n\\iftutex\\usepackage{fontspec}\\else\\usepackage[T1]{fontenc}\\usepackage[utf8]{inputenc}\\fi\n"
        "\\usepackage[a4paper,margin=2cm]{geometry}\n\\usepackage{booktabs,graphicx}\n"
        f"{PREAMBLE}\n"
        "% A table wider or higher than the page is made smaller.\n\\newsavebox{\\tablebox}\n"
        "\\newcommand{\\fitted}[1]{\\sbox{\\tablebox}{\\input{#1}\\unskip}%\n"
        "  \\ifdim\\wd\\tablebox>\\textwidth\\resizebox{\\textwidth}{!}{\\usebox{\\tablebox}}\\else\\usebox{\\tablebox}\\fi}\n"
        f"\\begin{{document}}\n{floats}\n\\end{{document}}\n"
    )


def _file_name(label: str, taken: Mapping[str, str]) -> str:
    """A name of plain letters that no other table has."""
    plain = re.sub(r"[^A-Za-z0-9.+-]+", "-", label).strip("-")[:100]
    name, number = f"{plain}.tex", 1
    while name in taken:
        number += 1
        name = f"{plain}-{number}.tex"
    return name
