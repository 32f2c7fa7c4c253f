"""Checked access to the mapped fields of a row, and how the features of one cell find back to their examples.

text = text_field(row, "text"); options = list_field(row, "options", str)
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness.api.errors import UserError
from harness.api.protocols import Feature, Partial


class Part(NamedTuple):
    """A feature with what `reduce` kept of its output."""

    feature: Feature
    partial: Partial


def text_field(row: Mapping[str, Any], name: str) -> str:
    """The text of a required field, unchanged; raises UserError if there is none."""
    text = optional_text(row, name)
    if text is None:
        raise UserError(f"field '{name}' has no value", expected="a text", todo=f"check the task's fields.{name}")
    return text


def optional_text(row: Mapping[str, Any], name: str) -> str | None:
    """The text of an optional field or None; raises UserError for anything but text."""
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise UserError(f"field '{name}' is no text", expected="a text", found=f"{type(value).__name__} {value!r:.60}")
    return value


def list_field(row: Mapping[str, Any], name: str, kind: type) -> list[Any]:
    """A required field that is a list of `kind`; raises UserError for anything else."""
    value = row.get(name)
    if not isinstance(value, list | tuple) or not (
        set(map(type, value)) == {kind} or all(isinstance(one, kind) for one in value)
    ):
        expected = f"a list of {kind.__name__}"
        raise UserError(f"field '{name}' does not fit", expected=expected, found=f"{type(value).__name__} {value!r:.60}")
    return list(value)


def example_id(row: Mapping[str, Any], row_id: str) -> str:
    """The row's own id where the task maps one, else the id made from its place."""
    return row_id if row.get("id") in (None, "") else str(row["id"])


def by_example(features: Sequence[Feature], partials: Sequence[Partial], num_examples: int) -> list[list[Part]]:
    """The parts of each example, in the order of their part numbers."""
    assert len(features) == len(partials)
    parts: list[list[Part]] = [[] for _ in range(num_examples)]
    for feature, partial in zip(features, partials):
        parts[feature.example].append(Part(feature, partial))
    for own in parts:
        own.sort(key=lambda part: part.feature.part)
    return parts


def num_truncated(parts: Sequence[Part]) -> int:
    """Tokens cut away from an example."""
    return sum(part.feature.num_truncated for part in parts)
