"""The rows of a task of lm-evaluation-harness after its own preparation (`process_docs`).

made = prepared(rows, function=config.process_docs, code=code)
made.rows, made.columns
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.api.errors import UserError
from harness.data.hub import without_progress_bars
from harness.specs.lm_eval import Function, LmEvalTask
from harness.task_types.lm_eval_harness.task_code import TaskCode

if TYPE_CHECKING:
    from harness.data.rows import Rows


class Prepared(NamedTuple):
    """Rows and the names of their columns."""

    rows: Sequence[Mapping[str, Any]]
    columns: frozenset[str]


def made_by_code(rows: Rows, *, config: LmEvalTask, split: str, code: TaskCode) -> Rows:
    """The rows that the task's own function makes of a split, in place of none; raises UserError where it gives no such split."""
    made = code.function(config.custom_dataset)(**config.dataset_arguments)
    if not isinstance(made, Mapping) or split not in made:
        found = ", ".join(map(str, made)) if isinstance(made, Mapping) else type(made).__name__
        raise UserError(f"{config.custom_dataset.function} gives no rows of the split '{split}'", found=found[:200])
    return replace(rows, rows=[dict(row) for row in made[split]], files=())


def prepared(rows: Rows, *, function: Any, code: TaskCode) -> Prepared:
    """The rows as they are, or as the task's function gives them for a `datasets.Dataset` of them.

    Raises UserError where the function gives no rows.
    """
    if not isinstance(function, Function):
        return Prepared(rows.rows, frozenset(rows.rows[0]) if rows.rows else frozenset())
    change = code.function(function)
    import datasets

    with without_progress_bars():
        table = rows.table
        made = change(
            datasets.Dataset(table) if table is not None else datasets.Dataset.from_list([dict(row) for row in rows.rows])
        )
        if made is None or isinstance(made, str | Mapping):
            raise UserError(f"{function.function} gives no rows", found=type(made).__name__)
        found = [dict(row) for row in made]
    names = getattr(made, "column_names", None) or (list(found[0]) if found else [])
    return Prepared(found, frozenset(names))
