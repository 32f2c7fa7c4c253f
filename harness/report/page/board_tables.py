"""The tables of a page that are not drawn from cells: scores board and models compared.

tables = {"scores": score_table(lines), "standings": standing_tables(lines)}

A table has `columns` ({title, text}) and `rows` of cells ({text, more, value}); `value` is what it is sorted by.
"""

from collections.abc import Mapping
from typing import Any

from harness.api.protocols import Json
from harness.report.board.number_format import NOTHING, marks, signed, size
from harness.report.board.standings_section import about_standings, rank_text, ranked_columns, standing_notes
from harness.report.board.table_rows import Lines, arm_key

Cell = dict[str, Any]


def score_table(lines: Lines) -> dict[str, Any]:
    """A row a line of the board, a column a task, then groups that have a number."""
    board = lines.board
    named = [name for name in board["groups"] if any(e["group"] == name and e["score"] for e in board["group_scores"])]
    columns = [_column("Model", text=True), _column("Parameters"), _column("Intermediate", text=True)]
    columns += [_column(task, hint=board["tasks"][task]["description"]) for task in board["task_order"]]
    columns += [_column(name, hint=f"mean over {', '.join(board['groups'][name]['tasks'])}") for name in named]
    rows = []
    for arm in lines.arms:
        key = arm_key(arm)
        rows.append(
            [
                *_model_cells(board, arm["model"]),
                {"text": lines.label(arm)},
                *(_score(lines.tasks.get((*key, task))) for task in board["task_order"]),
                *(_score(lines.groups.get((*key, name))) for name in named),
            ]
        )
    return {"columns": columns, "rows": rows}


def _model_cells(board: Mapping[str, Json], name: str) -> list[Cell]:
    model = board["models"].get(name)
    return [{"text": name}, {"text": size(model), "value": (model or {}).get("parameters") or 0}]


def _score(entry: Mapping[str, Json] | None) -> Cell:
    """A mean with its interval below it, and the standard deviation over seeds."""
    if entry is None or entry["score"] is None:
        return {"text": NOTHING}
    found = entry["score"]
    sd = entry["over_seeds"]["sd"] if entry["over_seeds"] else None
    return {
        "text": f"{marks(entry)}{signed(found['value'], '')}",
        "more": f"[{found['low']:.1f}, {found['high']:.1f}]" + (f", sd {sd:.1f}" if sd is not None else ""),
        "value": found["value"],
    }


def standing_tables(lines: Lines) -> dict[str, Any] | None:
    """Scores and ranks of models that differ in nothing else; None on a board of one model."""
    tables = []
    for entry in lines.board["standings"]:
        shown = ranked_columns(entry)
        rows = []
        for at, line in enumerate(entry["lines"]):
            cells = [_standing(column["entries"][at]) for column in shown]
            rows.append([*_model_cells(lines.board, line["model"]), *cells])
        titles = {"task": "", "group": " (group)", "all": "all tasks"}
        names = [titles["all"] if one["kind"] == "all" else one["name"] + titles[one["kind"]] for one in shown]
        if shown:
            columns = [_column("Model", text=True), _column("Parameters"), *map(_column, names)]
            tables.append({"title": lines.label(entry), "columns": columns, "rows": rows, "notes": standing_notes(entry)})
    return {"about": " ".join(about_standings(lines)), "tables": tables} if tables else None


def _standing(own: Mapping[str, Json]) -> Cell:
    if own["score"] is None:
        return {"text": NOTHING}
    rank = f"rank {rank_text(own['rank'])}" if own["rank"] else "no rank"
    return {
        "text": f"{signed(own['score']['value'], '')} [{own['score']['low']:.1f}, {own['score']['high']:.1f}]",
        "more": rank,
        "value": own["score"]["value"],
    }


def _column(title: str, *, text: bool = False, hint: str = "") -> dict[str, Any]:
    return {"title": title, "text": text, "hint": hint}
