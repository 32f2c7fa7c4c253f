"""The charts of a board: lifts as a forest, numbers by the size of the model, the course of trainings.

lift_forest(Lines(board)), size_chart(Lines(board)), training_charts(curves)
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.api.protocols import Json
from harness.report.board.number_format import GUESSING
from harness.report.board.table_rows import Lines
from harness.report.page.charts import by_size, courses, forest, select

FAKE = "fake"
"The adapter of made-up answers."


def lift_forest(lines: Lines) -> dict[str, Any] | None:
    """Lifts of each task and group, or None where there are none."""
    entries = [*lines.board["group_scores"], *lines.board["task_scores"]]
    rows = [
        {
            "model": entry["model"],
            "setting": lines.label(entry),
            "label": _name(entry) + (f" {GUESSING}" if entry["lift_at_guessing"] else ""),
            **entry["lift"],
        }
        for entry in entries
        if entry["lift"]
    ]
    if not rows:
        return None
    marked = any(entry["lift"] and entry["lift_at_guessing"] for entry in entries)
    about = "Score with the intermediate phase minus score without it: same backbone, target, languages, seeds; paired intervals."
    about += f" {GUESSING} a side of it cannot be told from guessing." if marked else ""
    return forest(
        rows, id_="board-lifts", title="Lift of each task", about=about, axis="lift in points", selects=[_fullest("model", rows)]
    )


def size_chart(lines: Lines) -> dict[str, Any] | None:
    """Scores and lifts by size, where at least two real models of the board have one."""
    models = {
        name: model
        for name, model in lines.board["models"].items()
        if model["adapter"] != FAKE and (model["non_embedding_parameters"] or model["parameters"])
    }
    rows = []
    for measure in ("score", "lift"):
        for entry in (*lines.board["group_scores"], *lines.board["task_scores"]):
            model = models.get(entry["model"])
            if model and entry[measure]:
                own = {
                    "backbone": entry["model"],
                    "family": model["family"] or entry["model"],
                    "size": model["non_embedding_parameters"] or model["parameters"],
                    "part": "point",
                }
                shared = {"measure": measure, "what": _name(entry), "setting": lines.label(entry)}
                rows.append({**shared, **own, **entry[measure]})
    if len({row["backbone"] for row in rows}) < 2:
        return None
    return by_size(
        rows,
        id_="board-sizes",
        title="By size of the model",
        about="Each point is a model, with its interval; models of several families differ in more than size.",
        axis="score or lift",
        selects=[select("measure", "Show", rows), select("what", "Of", rows)],
    )


def training_charts(curves: Sequence[Mapping[str, Json]]) -> list[dict[str, Any]]:
    """Loss, and score on English validation rows, by step."""
    charts = []
    settings = list(dict.fromkeys(curve["setting"] for curve in curves))
    for key, title, about, axis in (
        ("loss", "Training loss", "The mean over the steps since the point before.", "loss"),
        ("english", "English validation", "Score on English rows; the mark is the checkpoint that was kept.", "score"),
    ):
        rows = [
            {
                "task": f"{curve['task']} ({curve['phase']})",
                "model": curve["model"],
                "setting": curve["setting"],
                "stage": curve["stage"].removeprefix("train/"),
                "step": step,
                "value": value,
                **({"marked": True} if key == "english" and step == curve["kept"] else {}),
            }
            for curve in curves
            for step, value in curve[key]
        ]
        if rows:
            selects = [select("task", "Training on", rows), _fullest("model", rows, everything="all")]
            more = {"settings": settings, "selects": selects}
            charts.append(courses(rows, id_=f"training-{key}", title=title, about=about, axis=axis, **more))
    return charts


def _fullest(field: str, rows: Sequence[Mapping[str, Any]], **more: str) -> dict[str, Any]:
    """The select of models, at first the one with the most to show, the last (largest) of those that have as much."""
    number = Counter(row[field] for row in rows)
    first = max(enumerate(number), key=lambda pair: (number[pair[1]], pair[0]))[1]
    return select(field, "Model", rows, default=first, **more)


def _name(entry: Mapping[str, Json]) -> str:
    return str(entry.get("task") or f"{entry['group']} (group)")
