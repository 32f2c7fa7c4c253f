"""What a task type offers, in the words of type checkers, and the defaults of what it need not say.

A task type is a module of this folder: functions and constants, no class.  Every type is a TaskType.  It reads its rows one by
one (ReadsRows; an Example in harness/api/protocols.py says what becomes of a row) or all at once (`documents`).  It is asked by a
head or for vectors (Asks, there as well), or brings its words along (`prompt_route`).  It is trained (Trains) unless it says
`TRAINS = False`.  `TASK_TYPES.load` fills in the defaults of TypeDefaults, so that callers ask each type the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from harness.api.protocols import Example, RouteDefaults
from harness.specs.limit import Limit
from harness.task_types.showing.answers import ShownAnswer, shown_by_id

if TYPE_CHECKING:
    from pydantic import BaseModel

    from harness.runtime.machine import Machine
    from harness.specs.prompt import PromptArgs
    from harness.specs.task import TaskSpec


class TaskType(Protocol):
    """A module of harness/task_types.  torch is imported inside `loss` only."""

    ROUTES: tuple[str, ...]
    "Of 'head', 'prompt', 'embedding': the first is the default."
    NEEDS: tuple[str, ...]
    "Adapter capabilities that the default route needs to predict, e.g. ('forward_head',), ('embed',)."
    FIELDS: Mapping[str, str]
    "Field name -> meaning; a name that ends in '?' is optional.  A task's `fields` maps each to a column or template."
    Options: type[BaseModel]
    "Options of the type (max_length, ...) with defaults and a docstring under each field."
    SAMPLES: Sequence[Mapping[str, Any]]
    "A few rows (mapped fields) that tests run through the whole type."

    def texts(self, example: Any) -> tuple[str, ...]:
        """The texts whose joint hash says that two rows are the same item (train/test overlap)."""


class ReadsRows(Protocol):
    """A type whose examples are rows with mapped fields."""

    def build(self, row: Mapping[str, Any], *, task: TaskSpec, lang: str, row_id: str) -> Example | None:
        """Make an Example of the mapped fields of a row; None drops the row (e.g. label -1).

        Raises UserError (without `where`; the caller adds file and row) for values that do not fit.
        """


class TypeDefaults(RouteDefaults):
    """What a task type need not say."""

    HUB_TASK = "text-generation"
    "What the hub calls such a task, in the metadata of model cards."
    GOLD_IS_LABEL = False
    "Whether the gold of an example is one of the task's labels."
    TRAINS = True
    "Whether a model can be trained on it."
    WHOLE_POOL = False
    "A limit draws the examples that ask (`query` of each); the others stay to be searched."
    ROWS_HAVE_GOLD = True
    "The reference of an example stands in its row; otherwise the type makes it of the text."
    FIXED_OPTIONS: tuple[str, ...] = ()
    "Names of options that only a task may set: no recipe, preset or --model_args."
    documents = None
    """documents(rows, *, task, lang, split, place, task_folder, errors) -> examples, for a type that reads all rows of a source
    at once and maps no fields; None in the place of rows that do not fit, which are added to `errors`."""
    english_from = None
    """english_from(example) -> int: the part from which on the features of an example are English whatever its language, as its
    `texts` after the first are; None where all are in the language of the example."""

    @staticmethod
    def allows_no_answer(options: Any) -> bool:
        """Whether that a text holds no answer is an answer (SQuAD 2.0)."""
        return False

    @staticmethod
    def shown(lines: Sequence[Mapping[str, Any]], examples: Sequence[Any], *, task: TaskSpec) -> list[ShownAnswer | None]:
        """Lines of predictions.jsonl as a reader sees them, each with its row among the examples of the cell."""
        return shown_by_id(lines, examples)

    @staticmethod
    def sample_key(task: TaskSpec) -> str:
        """By which a limit draws rows: tasks with the same key get the same rows."""
        return task.task

    @staticmethod
    def plan_note(task: TaskSpec, *, dimension: int | None, limit: Limit | None) -> str:
        """A sentence for `plan`, where the type has needs of its own; empty where it has none."""
        return ""

    @staticmethod
    def prompt_route(
        *, task: TaskSpec, prompt_args: PromptArgs, pool: Sequence[Any], machine: Machine, max_positions: int | None
    ) -> Any:
        """What asks the task in words: Asks and Trains; `pool` are the English rows from which solved examples are drawn."""
        from harness.api.registry import TASK_TYPES
        from harness.task_types.prompting.route import PromptRoute

        return PromptRoute(module=TASK_TYPES.load(task.type), prompt_args=prompt_args, pool=pool, max_positions=max_positions)
