"""Rows by column, a block of them at a time: what many rows have in common is done once for all, not row by row.

    for block in blocks(rows):
        block.column("premise"), block.column("answers.text")      # lists of values, or NotColumnar
        block.rows()                                               # the same as rows

Whoever works by column must give what going row by row gives.  Where that cannot be seen beforehand it goes row by row: so it
is where NotColumnar is raised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

from harness.api.errors import UserError

if TYPE_CHECKING:  # lists of what is shipped know of columns, and open no table
    import pyarrow as pa

Row = Mapping[str, Any]
BLOCK = 4096
"Rows that are held as Python values at a time."


class NotColumnar(Exception):
    """What was asked of a block has to be asked of each row."""


class TableRows(Sequence[Row]):
    """The rows of an Arrow table, made when they are asked for."""

    def __init__(self, table: pa.Table, *, where: str) -> None:
        """Takes the table, and where it is from, for errors."""
        self.table, self.where = table, where
        self._begin, self._made = 0, list[Row]()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def _rows(self, begin: int, end: int) -> list[Row]:
        from harness.data.arrow import readable, to_rows

        with readable("rows that cannot be read", where=self.where, todo="look at the types of the columns"):
            return list(to_rows(self.table.slice(begin, end - begin)))

    def __iter__(self) -> Iterator[Row]:
        for begin in range(0, len(self), BLOCK):
            yield from self._rows(begin, begin + BLOCK)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...

    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        number = place + len(self) if place < 0 else place
        if not 0 <= number < len(self):
            raise IndexError(f"row {place} of {len(self)}")
        if not self._begin <= number < self._begin + len(self._made):
            self._begin = number // BLOCK * BLOCK
            self._made = self._rows(self._begin, self._begin + BLOCK)
        return self._made[number - self._begin]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(own == its for own, its in zip(self, other))

    __hash__ = None  # type: ignore[assignment]  # as a list


class Block:
    """Some rows that stand one behind the other."""

    def __init__(self, rows: Sequence[Row] | TableRows) -> None:
        self._rows = rows
        self._columns: dict[str, list[Any]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def is_typed(self) -> bool:
        """Whether all values of a column are of one type, and its texts whole ones."""
        return isinstance(self._rows, TableRows)

    def rows(self) -> Sequence[Row]:
        """The rows themselves."""
        return self._rows

    def column(self, path: str) -> list[Any]:
        """The values at a column, or below it; raises NotColumnar where not all rows have it."""
        if path not in self._columns:
            self._columns[path] = self._read(path)
        return self._columns[path]

    def _read(self, path: str) -> list[Any]:
        if isinstance(self._rows, TableRows):
            return _of_table(self._rows.table, path)
        try:
            return [row[path] for row in self._rows]
        except KeyError:
            raise NotColumnar from None


def blocks(rows: Sequence[Row]) -> Iterator[Block]:
    """The rows of a source, a block at a time."""
    if isinstance(rows, TableRows):
        for begin in range(0, len(rows), BLOCK):
            yield Block(TableRows(rows.table.slice(begin, BLOCK), where=rows.where))
        return
    if isinstance(rows, list) and len(rows) <= BLOCK:
        yield Block(rows)
        return
    everything = iter(rows)
    while some := list(islice(everything, BLOCK)):
        yield Block(some)


def _of_table(table: pa.Table, path: str) -> list[Any]:
    from harness.data.arrow import readable

    if path in table.column_names:
        head, parts = path, []
    else:
        head, *parts = path.split(".")
    if table.column_names.count(head) != 1:
        raise NotColumnar
    chunks = table[head].chunks
    if parts:
        chunks = [_below(chunk, parts) for chunk in chunks]
    try:
        with readable("a column", where=""):
            return [value for chunk in chunks for value in chunk.to_pylist()]
    except UserError:
        raise NotColumnar from None


def _below(array: pa.Array, parts: Sequence[str]) -> pa.Array:
    """The part of each structure that a path leads to."""
    import pyarrow as pa

    for part in parts:
        if not pa.types.is_struct(array.type) or array.null_count or array.type.get_field_index(part) < 0:
            raise NotColumnar
        array = array.field(part)
    return array
