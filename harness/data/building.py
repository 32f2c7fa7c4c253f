"""Rows -> Examples of a task type: fields by column where all rows have them, row by row where one may be wrong.

    for example in build_rows(task, rows, lang="de", build=module.build, id_prefix="", folder=None, errors=errors): ...

A class number that the data name becomes its name; names and numbers become labels in the task type's `build` (`label_names.py`).
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.api.protocols import Example
from harness.data.columns import Block, NotColumnar, blocks
from harness.data.field_mapping import Row, column_of, compile_columns, compile_fields
from harness.data.label_names import class_name
from harness.data.row_errors import RowErrors
from harness.data.rows import Rows
from harness.data.template_lines import written_at
from harness.data.text_checks import are_whole, check_texts
from harness.specs.task import TaskSpec

LABEL_FIELDS = ("label", "tags")
"Fields that hold a class of the task's `labels`, or a list of them."


class _Dropped(Exception):
    """A row without a label."""


def build_rows(
    task: TaskSpec,
    rows: Rows,
    *,
    lang: str,
    build: Callable[..., Example | None],
    id_prefix: str,
    folder: str | Path | None,
    errors: RowErrors,
) -> Iterator[Example | None]:
    """An Example per row, None for dropped ones and those that are wrong."""
    rowwise, columnwise = compile_fields(task.fields), compile_columns(task.fields)
    named = {name: found for name in LABEL_FIELDS if name in task.fields if (found := _named_classes(task, rows, name))}
    where = f"task '{task.task}', language {lang}"
    is_whole = all(isinstance(value, str) for value in task.fields.values())
    number = 0
    for block in blocks(rows.rows):
        for one in _mapped(block, columnwise, rowwise, is_whole=is_whole):
            example = None
            try:
                fields = one() if callable(one) else one
                for name, names in named.items():
                    fields[name] = names(fields[name])
                if id_prefix and fields.get("id") not in (None, ""):
                    fields["id"] = f"{id_prefix}{fields['id']}"
                example = build(fields, task=task, lang=lang, row_id=f"{id_prefix}{number}")
            except _Dropped:
                pass
            except UserError as error:
                errors.add(error, place=rows.place_of(number), where=written_at(error, task, folder, below="fields") + where)
            yield example
            number += 1


def _mapped(
    block: Block, columnwise: Callable[[Block], dict[str, list[Any]]], rowwise: Callable[[Row], dict[str, Any]], *, is_whole: bool
) -> Iterator[dict[str, Any] | Callable[[], dict[str, Any]]]:
    """The fields of each row of a block; where they cannot be had by column, what gives them or says what is wrong with the row.

    `is_whole`: the texts of a typed block need no look.
    """
    columns: Mapping[str, list[Any]] = {}
    with contextlib.suppress(NotColumnar, UserError):
        found = columnwise(block)
        if (is_whole and block.is_typed) or are_whole(found.values()):
            columns = found
    if not columns:
        yield from (partial(_of_row, rowwise, row) for row in block.rows())
        return
    names = tuple(columns)
    yield from (dict(zip(names, values)) for values in zip(*columns.values(), strict=True))


def _of_row(rowwise: Callable[[Row], dict[str, Any]], row: Row) -> dict[str, Any]:
    fields = rowwise(row)
    check_texts(fields)
    return fields


def _named_classes(task: TaskSpec, rows: Rows, field: str) -> Callable[[Any], Any] | None:
    """A function from raw classes (one, or a list) to the names that the data give them; None where they give none."""
    names = rows.class_names.get(column_of(task.fields[field]) or "", ())
    if not names:
        return None
    known: dict[Any, Any] = {}

    def one(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        if value not in known:
            known[value] = class_name(value, names, task)
        if known[value] is None:
            raise _Dropped
        return known[value]

    def many(values: list[Any]) -> list[Any]:
        if set(map(type, values)) == {int}:  # True is 1 to a dict, and a text to a task
            found = [known.get(value) for value in values]
            if None not in found:
                return found
        return [one(value) for value in values]

    return lambda value: many(value) if isinstance(value, list) else one(value)
