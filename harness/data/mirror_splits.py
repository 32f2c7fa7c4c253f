"""Splits of a local mirror, and slices of them as `datasets` writes them: `test`, `test[:100]`, `train[50%:]+validation`.

parts = split_parts(source, place=place)
together(parts).paths, rows_of(parts)     # the files and the rows of all parts
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from harness.api.errors import UserError
from harness.data.arrow import read_parquet
from harness.data.locations import DataPlace, Found
from harness.specs.task import Source


class SplitPart(NamedTuple):
    """A split of the mirror, or a slice of one."""

    split: str
    "Its name, without brackets."
    found: Found
    "Its files, or where they were looked for."
    instruction: Any = None
    "What `datasets` makes of the text between brackets; None for the whole split."


def split_parts(source: Source, *, place: DataPlace) -> list[SplitPart]:
    """The parts that a source's split is made of, mostly one; raises UserError for a slice that is none."""
    hub, config = source.hub or "", source.config
    if not any(mark in source.split for mark in "[+"):
        return [SplitPart(source.split, place.mirror_files(hub, config=config, split=source.split))]
    from datasets import ReadInstruction

    parts = []
    for text in source.split.split("+"):
        try:
            instruction = ReadInstruction.from_spec(text.strip())
        except (ValueError, AssertionError) as error:
            where, expected = f"split '{source.split}' of {hub}/{config}", "a slice such as test[:100] or test[50%:]"
            raise UserError("not a slice of a split", where=where, found=f"{text}: {error}", expected=expected) from None
        name = text.split("[")[0].strip()
        parts.append(SplitPart(name, place.mirror_files(hub, config=config, split=name), instruction))
    return parts


def together(parts: Sequence[SplitPart]) -> Found:
    """The files of all parts; none of them where one part is not there."""
    is_complete = all(part.found.paths for part in parts)
    return Found(
        paths=tuple(path for part in parts for path in part.found.paths) if is_complete else (),
        looked=tuple(text for part in parts for text in part.found.looked),
        unread=tuple(path for part in parts for path in part.found.unread),
    )


def rows_of(parts: Sequence[SplitPart]) -> pa.Table:
    """The rows of all parts, one after the other."""
    tables = []
    for part in parts:
        table = read_parquet(part.found.paths)
        for piece in _absolute(part, table.num_rows):
            begin, end = piece.from_ or 0, table.num_rows if piece.to is None else piece.to
            table = table.slice(begin, end - begin)
        tables.append(table)
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive")


def _absolute(part: SplitPart, num_rows: int) -> Sequence[Any]:
    """The slices of a part in numbers of rows; raises UserError for one that `datasets` does not take."""
    if part.instruction is None:
        return ()
    try:
        found: Sequence[Any] = part.instruction.to_absolute({part.split: num_rows})
    except (ValueError, AssertionError, OverflowError) as error:
        raise UserError("not a slice of a split", where=f"split '{part.split}' of {num_rows} rows", found=str(error)) from None
    return found
