"""Tasks of lm-evaluation-harness, read from its own files: what is asked, told and scored is theirs.

    found = lm_eval.documents(rows, task=spec, lang="de", split="test", place=place, task_folder=folder, errors=errors)
    route = lm_eval.prompt_route(task=spec, prompt_args=PromptArgs(), pool=[], machine=machine, max_positions=8192)

A row stays as it is in an Example; harness/task_types/lm_eval_harness makes requests of it, and values of what a model says.
`values` of a prediction are what the task itself computes; metrics (`lm_eval_mean:acc`, ...) average them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.errors import UserError
from harness.specs.lm_eval import LmEvalTask
from harness.specs.model import Spec
from harness.specs.prompt import PromptArgs
from harness.specs.task import TaskSpec
from harness.task_types.lm_eval_harness.documents import made_by_code, prepared
from harness.task_types.lm_eval_harness.process_results import plain
from harness.task_types.lm_eval_harness.route import LmEvalRoute
from harness.task_types.lm_eval_harness.task_code import TaskCode
from harness.task_types.lm_eval_harness.templates import RowRenderer
from harness.task_types.showing.answers import NOTHING, ShownAnswer, answer_texts, text_of

if TYPE_CHECKING:
    from harness.data.locations import DataPlace
    from harness.data.row_errors import RowErrors
    from harness.data.rows import Rows
    from harness.runtime.machine import Machine

ROUTES = ("prompt",)
NEEDS = ("loglikelihood",)
TRAINS = False
FIELDS: dict[str, str] = {}
SAMPLES: tuple[Mapping[str, Any], ...] = ()


class Options(Spec):
    """None: everything stands in the task's file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A row of a task."""

    id: str
    "Its number among the rows that the task has."
    lang: str
    row: Mapping[str, Any]
    gold: Any
    "What doc_to_target gives; an empty text for rows that are only shown."
    columns: frozenset[str]
    "Of the rows that are asked."
    inputs: int = 0
    "Choices of a task whose choices are the questions."
    targets: int = 0
    "Right answers of the first row, where it has a list of them."
    documents: Sequence[Mapping[str, Any]] = field(default=(), repr=False, compare=False)
    "All rows that are asked, in order: draws of solved examples go through them."


def config_of(task: TaskSpec) -> LmEvalTask:
    """What the task's file says; raises UserError for a task that no such file made."""
    if task.lm_eval is None:
        raise UserError(
            f"task '{task.task}' says nothing of lm-eval", todo="give the folder of lm-eval's own files as --include_path"
        )
    return task.lm_eval


def documents(
    rows: Rows, *, task: TaskSpec, lang: str, split: str, place: DataPlace, task_folder: str | Path | None, errors: RowErrors
) -> list[Example | None]:
    """The examples of all rows of a split, after the task's own preparation; rows that do not fit are added to `errors`."""
    config = config_of(task)
    code = TaskCode.at(place, folder=task_folder, task=task.task)
    asked = split == "test"
    if config.custom_dataset is not None:
        source = getattr(task.data, split)[0]
        rows = made_by_code(rows, config=config, split=source.split, code=code)
    made = prepared(rows, function=config.process_docs if asked else config.shots.process_docs, code=code)
    telling = RowRenderer(config=config, code=code, columns=made.columns)
    inputs = targets = 0
    examples: list[Example | None] = []
    for number, row in enumerate(made.rows):
        gold: Any = ""
        if asked:
            try:
                gold = telling.target(row)
                if number == 0:
                    inputs, targets = _shape(telling, row, gold)
            except UserError as error:
                changed = config.process_docs is not None
                row_place = f"{rows.origin}, row {number + 1} of what process_docs gives" if changed else rows.place_of(number)
                errors.add(error, place=row_place, where=f"task '{task.task}', language {lang}")
                examples.append(None)
                continue
        kept = "" if gold is None else plain(gold)
        examples.append(
            Example(
                id=str(number),
                lang=lang,
                row=row,
                gold=kept,
                columns=made.columns,
                inputs=inputs,
                targets=targets,
                documents=made.rows if asked else (),
            )
        )
    return examples


def _shape(telling: RowRenderer, row: Mapping[str, Any], gold: Any) -> tuple[int, int]:
    """What the first row says of all: choices that are the questions, and several right answers."""
    has_choices = telling.config.doc_to_choice is not None
    inputs = len(telling.choices(row)) if has_choices and isinstance(telling.text(row), int) else 0
    return inputs, len(gold) if isinstance(gold, list) else 0


def sample_key(task: TaskSpec) -> str:
    """By which a limit draws rows: the same rows in all configurations of a dataset, which are mostly its languages."""
    return f"lm_eval {config_of(task).rows}"


def prompt_route(
    *, task: TaskSpec, prompt_args: PromptArgs, pool: Sequence[Any], machine: Machine, max_positions: int | None
) -> LmEvalRoute:
    """What asks the task in words."""
    code = TaskCode.at(machine.place, folder=machine.task_folders.get(task.task), task=task.task)
    return LmEvalRoute(
        config=config_of(task),
        code=code,
        prompt_args=prompt_args,
        pool=[example.row for example in pool],
        max_positions=max_positions,
    )


def texts(example: Example) -> tuple[str, ...]:
    """The row as it is."""
    return (json.dumps(example.row, ensure_ascii=False, sort_keys=True, default=str),)


def shown(lines: Sequence[Mapping[str, Any]], examples: Sequence[Example], *, task: TaskSpec) -> list[ShownAnswer | None]:
    """The columns of the row; what the model said, and what the task makes of it."""
    by_id = {example.id: example for example in examples}
    found = []
    for line in lines:
        said = line["prediction"] or {}
        parts = [text_of(said["text"])] if "text" in said else []
        parts += [f"{name} {text_of(value)}" for name, value in sorted(said.get("values", {}).items())]
        row = by_id[line["id"]].row if line["id"] in by_id else None
        fields = {} if row is None else {str(name): text_of(value) for name, value in row.items()}
        found.append(None if row is None else ShownAnswer(fields, answer_texts(line["gold"]), tuple(parts) or (NOTHING,)))
    return found
