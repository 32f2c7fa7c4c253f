"""The long table of a board: one row for each cell that was asked for, missing ones included, with everything known of it.

    table = long_table(build_board([Path("runs/x")]))
    table[0]["score"], table[0]["language_family"]
    columns_page()                     # the columns and what they mean, as a Markdown table

Columns have one type each and keep their names; a new one comes at the end.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from harness.api.escaping import visible
from harness.api.protocols import Json
from harness.data.languages import held, language

Row = Mapping[str, Any]
"A row of the long table: column -> value."


class TableColumn(NamedTuple):
    """A column of the long table."""

    name: str
    kind: type
    "str, int, float or bool."
    meaning: str
    value: Callable[["_Cell"], Any]
    "None where there is nothing to say: an empty field in CSV, null in Parquet."


class _Cell(NamedTuple):
    """A row or a missing cell of a board, and what it is about."""

    row: Mapping[str, Json]
    model: Mapping[str, Json]
    task: Mapping[str, Json]
    stages: Mapping[str, Json]

    def part(self, name: str, key: str) -> Any:
        """A value of a part of the row; None for missing cells."""
        return (self.row.get(name) or {}).get(key)

    @property
    def covered(self) -> bool | None:
        coverage = self.model.get("coverage")
        return held(self.row["lang"], coverage["languages"] if coverage else None)

    @property
    def dtype(self) -> str | None:
        """The number format that the predictions were made in."""
        stage = self.stages.get(self.part("stages", "predict") or "", {})
        return ", ".join(dict.fromkeys(how["dtype"] for how in stage.get("arithmetic", ()))) or None


def _joined(texts: Any) -> str | None:
    return " ".join(texts) if texts else None


def _json(value: Any) -> str | None:
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if value else None


def _of_language(attribute: str) -> Callable[[_Cell], Any]:
    return lambda cell: getattr(language(cell.row["lang"]), attribute) or None


def _of_row(name: str) -> Callable[[_Cell], Any]:
    return lambda cell: cell.row.get(name)


def _of_model(name: str) -> Callable[[_Cell], Any]:
    return lambda cell: cell.model.get(name) or None


def _in(part: str, name: str) -> Callable[[_Cell], Any]:
    return lambda cell: cell.part(part, name)


COLUMNS: tuple[TableColumn, ...] = (
    TableColumn("model", str, "the model, as the board names it", _of_row("model")),
    TableColumn("intermediate", str, "the intermediate setting; `none` = the baseline of every lift", _of_row("intermediate")),
    TableColumn("task", str, "the target task", _of_row("task")),
    TableColumn("lang", str, "the test language, ISO 639-1", _of_row("lang")),
    TableColumn("seed", int, "the training seed; empty where nothing is trained", _of_row("seed")),
    TableColumn("recipe", str, "hyper-parameters; empty where nothing is trained", _of_row("recipe")),
    TableColumn("route", str, "how the model was asked: head, embedding, or prompt with its settings", _of_row("route")),
    TableColumn("limit", str, "which test rows of a language were taken (`--limit`); empty = all of them", _of_row("limit")),
    TableColumn("score", float, "the task's score, 0 to 100; empty = missing", _in("score", "value")),
    TableColumn("score_low", float, "lower end of its 95 % interval over test examples", _in("score", "low")),
    TableColumn("score_high", float, "upper end", _in("score", "high")),
    TableColumn(
        "metric", str, "what the score is, `metric.key`; the mean of several", lambda cell: _joined(cell.task.get("score"))
    ),
    TableColumn("chance", float, "the score of guessing", lambda cell: cell.task.get("chance")),
    TableColumn("centred", float, "the score between chance (0) and the best there is (100)", _of_row("centred")),
    TableColumn(
        "lift",
        float,
        "score minus that of the same cell with `none`; paired over test examples; empty for `none` itself",
        _in("lift", "value"),
    ),
    TableColumn("lift_low", float, "lower end of its paired 95 % interval", _in("lift", "low")),
    TableColumn("lift_high", float, "upper end", _in("lift", "high")),
    TableColumn("no_lift", str, "why there is no lift", lambda cell: cell.row.get("no_lift") or None),
    TableColumn("missing", str, "why there is no score; empty where there is one", lambda cell: cell.row.get("reason") or None),
    TableColumn("n", int, "test examples that were scored", _in("counts", "examples")),
    TableColumn("n_missing", int, "of these without a prediction, which counts as wrong", _in("counts", "missing")),
    TableColumn("n_truncated", int, "of these that the model did not see whole", _in("counts", "truncated_examples")),
    TableColumn("tokens_truncated", int, "tokens that it did not see", _in("counts", "truncated_tokens")),
    TableColumn(
        "notes",
        str,
        'examples by remark of the task type (unparsed answers, ...), as JSON: {"unparsed": 3}',
        lambda cell: _json(cell.part("counts", "notes")),
    ),
    TableColumn(
        "metrics",
        str,
        'every metric of the task, as JSON: {"squad.f1": 71.2}',
        lambda cell: _json({key: number["value"] for key, number in (cell.row.get("metrics") or {}).items()}),
    ),
    TableColumn("tokens", int, "tokens of the test rows", _in("tokens", "tokens")),
    TableColumn("tokens_unknown", int, "of these that the tokenizer does not know", _in("tokens", "unknown")),
    TableColumn("inputs", int, "texts that the model was given", _in("tokens", "inputs")),
    TableColumn("inputs_empty", int, "of these without a token", _in("tokens", "empty_inputs")),
    TableColumn("single_class", bool, "whether one label was predicted throughout", _of_row("single_class")),
    TableColumn("prediction_entropy", float, "entropy of the predicted labels, in bits", _of_row("prediction_entropy")),
    TableColumn("partial", bool, "whether the test rows are a sample (`--limit`)", lambda cell: cell.row["limit"] is not None),
    TableColumn("same_task", bool, "whether the intermediate setting trains on the target's own data", _of_row("same_task")),
    TableColumn("synthetic", bool, "whether the test rows are of the generated miniature world", _of_row("synthetic")),
    TableColumn(
        "stands_in_for",
        str,
        "the metric that the task's file names first, where the score is of another",
        lambda cell: cell.task.get("stands_in_for") or None,
    ),
    TableColumn("language", str, "English name of the language", _of_language("name")),
    TableColumn("language_family", str, "its family", _of_language("family")),
    TableColumn("script", str, "its script, ISO 15924", _of_language("script")),
    TableColumn(
        "word_order", str, "SVO, SOV or VSO; empty where none dominates or it is not recorded", _of_language("word_order")
    ),
    TableColumn("covered", bool, "whether the model's pretraining held it; empty = not recorded", lambda cell: cell.covered),
    TableColumn("task_type", str, "type of the task", lambda cell: cell.task.get("type")),
    TableColumn("model_family", str, "ladder of sizes that the model belongs to", _of_model("family")),
    TableColumn("parameters", int, "parameters of the model", _of_model("parameters")),
    TableColumn("non_embedding_parameters", int, "of these outside the embeddings", _of_model("non_embedding_parameters")),
    TableColumn("dtype", str, "number format of the predictions", lambda cell: cell.dtype),
    TableColumn(
        "train_stages",
        str,
        "folders of its trainings below the run, in order",
        lambda cell: _joined(cell.part("stages", "train")),
    ),
    TableColumn("predict_stage", str, "folder of its predictions", _in("stages", "predict")),
    TableColumn("score_stage", str, "folder of its score", _in("stages", "score")),
)
"The columns in their order."


def long_table(board: Mapping[str, Json]) -> list[dict[str, Any]]:
    """The rows: cells with a score in the order of the board, then the missing ones."""
    found = []
    for row in (*board["rows"], *board["missing"]):
        cell = _Cell(row, board["models"].get(row["model"], {}), board["tasks"].get(row["task"], {}), board["stages"])
        found.append({column.name: _plain(column, column.value(cell)) for column in COLUMNS})
    return found


def _plain(column: TableColumn, value: Any) -> Any:
    """A value of the column's type; texts on one line, without what acts on a terminal."""
    if value is None:
        return None
    return visible(str(value).replace("\n", " ")) if column.kind is str else column.kind(value)


def columns_page() -> str:
    """What the columns mean, as a Markdown table: beside the files, and in docs/papers.md."""
    kinds = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    lines = [f"| `{column.name}` | {kinds[column.kind]} | {column.meaning} |" for column in COLUMNS]
    return "\n".join(["| column | holds | means |", "| :--- | :--- | :--- |", *lines])
