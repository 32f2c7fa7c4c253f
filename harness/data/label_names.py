"""From what stands in a label column to the label of the task, by one rule for tables of text, JSON and Parquet.

label_name("entailment", task), label_name(0, task)     # a label's name, or None where the row is left out
label_names(["O", "B-PER"], task)                       # of many values, None where one of them leaves the row out
class_name(0, names, task)                              # the same for data that name their class numbers

Values are compared as `harness.data.values` says.  The first that fits: a key of the task's `label_values`; the data's own name
of a class number; a label's name; -1, which is no label; the place of a label, for tasks that name nothing by a number.
"""

import contextlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from harness.api.errors import UserError, did_you_mean
from harness.data.values import as_integer, compared_as
from harness.specs.task import DROP, TaskSpec

_NO_LABEL = -1


class _Known(NamedTuple):
    """What a task names."""

    values: Mapping[str, str | None]
    "Text that a value of `label_values` is compared as -> label; None = such rows are left out."
    labels: Mapping[str, str]
    "Text that a label is compared as -> label."
    numbers_are_places: bool
    "Nothing has a number for a name."
    found: dict[str, str]
    "Texts in data -> label, of those that were looked up."


def label_name(value: Any, task: TaskSpec) -> str | None:
    """The label of a raw value (None = leave the row out); raises UserError if the task has no such label."""
    text, known = compared_as(value), _known(task.labels, tuple(task.label_values.items()))
    if text in known.values:
        return known.values[text]
    if task.labels_from:
        return text
    if text in known.labels:
        return known.labels[text]
    number = as_integer(value)
    if number == _NO_LABEL:
        return None
    if number is not None and known.numbers_are_places:
        if 0 <= number < len(task.labels):
            return task.labels[number]
        places = f"the places 0 to {len(task.labels) - 1} of the labels {', '.join(task.labels[:20])}"
        raise UserError(f"class number {number} has no name", expected=places, found=f"the raw value {value!r:.60}")
    raise UserError(
        f"'{text}' is no label of task {task.task}",
        expected="one of " + ", ".join(task.labels[:20]),
        found=f"the raw value {value!r:.60}",
        todo=f"{did_you_mean(text, task.labels)}  Or give it a name (or '{DROP}') in the task's label_values",
    )


def label_names(values: Sequence[Any], task: TaskSpec) -> list[str] | None:
    """The labels of raw values; None if one of them leaves the row out."""
    found = {} if task.labels_from else _known(task.labels, tuple(task.label_values.items())).found
    with contextlib.suppress(KeyError, TypeError):  # lists cannot be looked up
        return [found[value] for value in values]
    names: list[str] = []
    for value in values:
        name = label_name(value, task)
        if name is None:
            return None
        names.append(name)
        if type(value) is str:
            found[value] = name
    return names


def class_name(value: Any, names: Sequence[str], task: TaskSpec) -> Any:
    """The data's own name of a class number, None where -1 says that there is none; what the task names stays as it is."""
    known = _known(task.labels, tuple(task.label_values.items()))
    number = None if value is None or isinstance(value, str | bool) else as_integer(value)
    if number is None or compared_as(value) in known.values:
        return value
    if number == _NO_LABEL:
        return None
    if 0 <= number < len(names):
        text = compared_as(names[number])
        if text in known.values or text in known.labels or task.labels_from:
            return names[number]
    if str(number) in known.labels:
        return value
    if not 0 <= number < len(names):
        raise UserError(f"class number {number} has no name", expected=f"0 to {len(names) - 1}", found=_both(names, task))
    todo = f"write the task's labels with the names of the data, or name this one (or '{DROP}') in label_values"
    raise UserError(f"the data's class '{names[number]}' is no label of the task", found=_both(names, task), todo=todo)


def _both(names: Sequence[str], task: TaskSpec) -> str:
    """The classes of the data beside the labels of the task, for an error."""
    return f"classes of the data: {', '.join(names)}; labels of the task: {', '.join(task.labels)}"


@lru_cache(maxsize=64)
def _known(labels: tuple[str, ...], label_values: tuple[tuple[str, str], ...]) -> _Known:
    values = {compared_as(raw): None if name == DROP else name for raw, name in label_values}
    named = [*labels, *(raw for raw, name in label_values if name != DROP)]
    places = not any(as_integer(name) is not None for name in named)
    return _Known(values, {compared_as(label): label for label in labels}, places, {})
