"""The cells of a board as the page holds them: one for each line, task and language, with every run behind it.

    table = cell_table(Lines(board), stages=StageTable(board["stages"], once=Once()), texts=Once())
    table["cells"][0]       # {'arm': 0, 'task': 2, 'lang': 'de', 'score': [71.0, 66.5, 75.5], 'runs': [{'seed': 1, ...}]}

A cell is a mean over training seeds, as on the board; a run is one of them.  What is missing stands beside, with the reason.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from harness.api.protocols import Json
from harness.report.board.number_format import unread
from harness.report.board.table_rows import Lines, arm_key
from harness.report.page.stage_table import StageTable
from harness.report.page.texts import Once, short, triple, without_empty

Key: TypeAlias = tuple[Any, ...]
"What arm_key gives."
Place: TypeAlias = tuple[int, int, str]
"Line of the board, task (both by number), language."


def cell_table(
    lines: Lines, *, stages: StageTable, texts: Once, examples: Mapping[str, int] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """`cells` and `missing`; `examples`: predict stage -> the number of what is shown of its predictions."""
    board = lines.board
    arms = {arm_key(arm): number for number, arm in enumerate(lines.arms)}
    homes: dict[Key, list[int]] = {}
    for key, number in arms.items():
        homes.setdefault(_without_recipe(key), []).append(number)

    def homes_of(entry: Mapping[str, Json]) -> list[int]:
        """The lines that an entry stands in: what is not trained has no recipe, and stands in those of every recipe."""
        key = arm_key({**entry, "prompt": "" if entry["route"] in ("head", "embedding") else entry["route"]})
        return [arms[key]] if key in arms else homes.get(key, []) if entry["recipe"] is None else []

    tasks = {task: number for number, task in enumerate(board["task_order"])}
    runs: dict[Place, list[dict[str, Any]]] = {}
    for row in board["rows"]:
        run = _run(row, stages, texts, examples or {})
        for arm in homes_of(row):
            runs.setdefault((arm, tasks[row["task"]], row["lang"]), []).append(run)
    cells = [
        _cell(arms[arm_key(entry)], tasks[entry["task"]], lang, numbers, runs)
        for entry in board["task_scores"]
        for lang, numbers in entry["languages"].items()
    ]
    missing = [
        without_empty(
            {
                "arm": arm,
                "task": tasks[entry["task"]],
                "lang": entry["lang"],
                "seed": entry["seed"],
                "why": texts.number(entry["reason"]),
            }
        )
        for entry in board["missing"]
        for arm in homes_of(entry)
    ]
    return {"cells": cells, "missing": missing}


def _without_recipe(key: Key) -> Key:
    model, intermediate, _, *others = key
    return (model, intermediate, None, *others)


def _cell(
    arm: int, task: int, lang: str, numbers: Mapping[str, Json], runs: Mapping[Place, Sequence[dict[str, Any]]]
) -> dict[str, Any]:
    return without_empty(
        {
            "arm": arm,
            "task": task,
            "lang": lang,
            "score": triple(numbers["score"]),
            "lift": triple(numbers["lift"]),
            "sd": short((numbers["over_seeds"] or {}).get("sd")),
            "guessing": numbers["at_guessing"],
            "liftGuessing": numbers["lift_at_guessing"],
            "unread": unread(numbers),
            "runs": runs.get((arm, task, lang), []),
        }
    )


def _run(row: Mapping[str, Json], stages: StageTable, texts: Once, examples: Mapping[str, int]) -> dict[str, Any]:
    """One training seed of a cell: what came out, of how many examples, and the stages that made it."""
    counts = row["counts"]
    truncated = [counts["truncated_examples"], counts["truncated_tokens"]]
    return without_empty(
        {
            "seed": row["seed"],
            "score": triple(row["score"]),
            "lift": triple(row["lift"]),
            "noLift": texts.number(row["no_lift"]) if row["no_lift"] else None,
            "centred": short(row["centred"]),
            "examples": counts["examples"],
            "unanswered": counts["missing"],
            "truncated": truncated if any(truncated) else None,
            "notes": counts["notes"],
            "tokens": row.get("tokens"),
            "oneClass": row["single_class"],
            "entropy": short(row["prediction_entropy"]),
            "metrics": {
                name: [*(triple(metric) or []), metric["n"], texts.number(metric["signature"])]
                for name, metric in row["metrics"].items()
            },
            "route": texts.number(row["route"]),
            "train": [stages.number(name) for name in row["stages"]["train"]],
            "predict": stages.number(row["stages"]["predict"]),
            "scoring": stages.number(row["stages"]["score"]),
            "shown": examples.get(row["stages"]["predict"]),
        }
    )
