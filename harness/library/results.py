"""What the calls return: documents of the commands with types, their texts, and rows for tables.

board = Board(document=document, text=text, notes=())
board.cells[0].lang, board.cells[0].score.low
board.table()               # the long table, a mapping a row, as `leaderboard --csv` writes it: pandas.DataFrame(board.table())
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from harness.api.errors import UserError
from harness.api.protocols import Json
from harness.report.papers.long_table import long_table
from harness.scoring.bootstrap import Interval


class BoardCell(NamedTuple):
    """A score in one language."""

    model: str
    intermediate: str
    task: str
    lang: str
    seed: int | None
    "None where nothing is trained."
    score: Interval | None
    "None where it is missing."
    lift: Interval | None
    "Score minus that of the same cell without an intermediate task; None where there is none."
    num_examples: int
    missing: str
    "Why there is no score; empty where there is one."


class TaskMean(NamedTuple):
    """The mean of a task over its languages and seeds."""

    model: str
    intermediate: str
    task: str
    score: Interval | None
    lift: Interval | None
    is_complete: bool
    missing_languages: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board: what leaderboard.json holds, and its text."""

    document: Mapping[str, Json]
    "As harness/report/board/leaderboard.schema.json describes it."
    text: str
    "What the command prints."
    notes: tuple[str, ...] = ()
    "What the command says on stderr."

    @cached_property
    def cells(self) -> tuple[BoardCell, ...]:
        """Every cell that was asked for, missing ones included."""
        return tuple(
            BoardCell(
                model=row["model"],
                intermediate=row["intermediate"],
                task=row["task"],
                lang=row["lang"],
                seed=row["seed"],
                score=_interval(row, "score"),
                lift=_interval(row, "lift"),
                num_examples=row["n"] or 0,
                missing=row["missing"] or "",
            )
            for row in self.table()
        )

    @cached_property
    def task_means(self) -> tuple[TaskMean, ...]:
        """The mean of each task in each line of the board."""
        return tuple(
            TaskMean(
                model=entry["model"],
                intermediate=entry["intermediate"],
                task=entry["task"],
                score=_of(entry["score"]),
                lift=_of(entry["lift"]),
                is_complete=entry["complete"],
                missing_languages=tuple(entry["missing_languages"]),
            )
            for entry in self.document["task_scores"]
        )

    def table(self) -> list[Mapping[str, Any]]:
        """The long table: a row for each cell, with everything known of it."""
        return [*long_table(self.document)]

    def __str__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        """How notebooks show it."""
        return self.text


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What became of a run."""

    board: Board | None
    "The scores that there are; None where there is none, and in all processes of a launcher but the first."
    is_complete: bool
    "Whether every cell that was asked for has its score."
    notes: tuple[str, ...] = ()
    "What the command says on stderr: what is missing, what failed and why."

    def __str__(self) -> str:
        return str(self.board) if self.board else "\n".join(self.notes)

    _repr_markdown_ = __str__


class PlannedStage(NamedTuple):
    """A stage of a plan."""

    name: str
    "Its folder below `output_path`."
    verb: str
    "init, train, predict or score."
    is_done: bool


@dataclass(frozen=True, kw_only=True)
class PlannedModel:
    """What is planned for one model."""

    model: str
    stages: tuple[PlannedStage, ...]
    num_cells: int
    missing: tuple[str, ...]
    "Which scores cannot be had, and why."
    costs: Mapping[str, Any]
    "Memory, arithmetic, hours and money of each stage, as `plan --json` prints them."


@dataclass(frozen=True, kw_only=True)
class Planning:
    """What a run would do; nothing of it is done."""

    models: tuple[PlannedModel, ...]
    text: str
    "What the command prints."
    wrong_rows: tuple[UserError, ...]
    "Test and training rows that cannot be used: a run does everything else."
    unfit: tuple[UserError, ...]
    "Stages that cannot fit the device: a run refuses them."
    exit_code: int
    "That of the command: 0, 1 where scores are missing, 2 where rows are wrong or a stage cannot fit."
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text


class ComparedRow(NamedTuple):
    """A row of a comparison: A, B, and their difference with two tests."""

    a: Mapping[str, Json]
    "The cells of A: model, intermediate setting, recipe, ..."
    b: Mapping[str, Json]
    task: str | None
    "None for a mean over tasks."
    group: str | None
    "A language or a group of them; None for all."
    num_examples: int
    score_a: float
    score_b: float
    difference: Interval
    "B minus A in points."
    p_adjusted: float
    "Of the randomisation test, by Holm's method over all rows."
    is_significant: bool


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two systems set against each other."""

    document: Mapping[str, Json]
    "As harness/report/comparison/comparison.schema.json describes it."
    text: str
    "What the command prints."
    notes: tuple[str, ...] = ()

    @cached_property
    def rows(self) -> tuple[ComparedRow, ...]:
        """The rows, in the order of the text."""
        return tuple(
            ComparedRow(
                a=row["a"],
                b=row["b"],
                task=row["task"],
                group=row["group"],
                num_examples=row["num_examples"],
                score_a=row["score_a"],
                score_b=row["score_b"],
                difference=Interval(**row["difference"]),
                p_adjusted=row["randomisation"]["p_adjusted"],
                is_significant=row["significant"],
            )
            for row in self.document["rows"]
        )

    def __str__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        """How notebooks show it."""
        return self.text


def _of(entry: Mapping[str, float] | None) -> Interval | None:
    return None if entry is None else Interval(entry["value"], entry["low"], entry["high"])


def _interval(row: Mapping[str, Any], name: str) -> Interval | None:
    """A number of the long table with its ends."""
    return None if row[name] is None else Interval(row[name], row[f"{name}_low"], row[f"{name}_high"])
