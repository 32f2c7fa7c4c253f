"""Markdown tables that fit a terminal: split into blocks of columns, or folded so that a long list stays short.

in_blocks([Column("model", ["xlmr"], left=True)], [Column("xnli", ["74.0 ±1.2"]), ...])      # one table a block
folded([Column("", ["de", "sw", ...], left=True), Column("none", [...])])                    # several lists side by side
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.api.text_lines import lines_of, width
from harness.report.board.prose import WIDTH

_BAR = re.compile(r"(?<!\\)\|")
LEAST_ROWS = 10
"A list is not folded below this length."
_LEAST_TEXT = 20
"A column of text is not made narrower than this."


@dataclass(frozen=True)
class Column:
    """A column of finished texts."""

    title: str
    cells: Sequence[str]
    left: bool = False
    joined: bool = False
    "It says something of the column to its left, and is never parted from it."

    @property
    def width(self) -> int:
        """Characters of the widest text, at least the three that the rule below the title needs."""
        return max(3, *(width(_escaped(text)) for text in (self.title, *self.cells)))


def render(columns: Sequence[Column]) -> str:
    """One Markdown table, padded so that it reads as plain text too."""
    rows = [[column.title for column in columns], *zip(*(column.cells for column in columns), strict=True)]
    lines = [_line([_padded(text, column) for text, column in zip(row, columns, strict=True)]) for row in rows]
    rule = [":" + "-" * (column.width - 1) if column.left else "-" * (column.width - 1) + ":" for column in columns]
    return "\n".join([lines[0], _line(rule), *lines[1:]])


def in_blocks(keys: Sequence[Column], columns: Sequence[Column], *, limit: int = WIDTH, blank: str | None = None) -> str:
    """As many tables as the width asks for, each with the key columns; columns keep their order.

    Rows of a table of which all cells are `blank` are left out.  Texts too long for any table go on in further rows, in which
    the other cells are empty.
    """
    units: list[list[Column]] = []
    for column in columns:
        if column.joined and units:
            units[-1].append(column)
        else:
            units.append([column])
    blocks: list[list[Column]] = [[]]
    for unit in units:
        if blocks[-1] and total_width([*keys, *blocks[-1], *unit]) > limit:
            blocks.append([])
        blocks[-1] += unit
    return "\n\n".join(render(_narrowed(_told(keys, block, blank), limit)) for block in blocks)


def _told(keys: Sequence[Column], columns: Sequence[Column], blank: str | None) -> list[Column]:
    """The columns of a table without rows in which nothing stands."""
    rows = zip(*(column.cells for column in columns), strict=True)
    kept = [number for number, row in enumerate(rows) if set(row) != {blank}] if columns else range(len(keys[0].cells))
    return [replace(column, cells=[column.cells[number] for number in kept]) for column in (*keys, *columns)]


def _narrowed(columns: Sequence[Column], limit: int) -> list[Column]:
    """The columns of a table that fits: where it does not, columns of text are broken into further rows, the widest first."""
    for text in sorted((column for column in columns if column.left), key=lambda column: -column.width):
        excess = total_width(columns) - limit
        if excess <= 0:
            break
        broken = _broken(columns, text, room=max(_LEAST_TEXT, width(text.title), text.width - excess))
        if total_width(broken) < total_width(columns):
            return _narrowed(broken, limit)
    return list(columns)


def _broken(columns: Sequence[Column], text: Column, *, room: int) -> list[Column]:
    """The columns of a table in which the cells of one go on in further rows."""
    cells: list[list[str]] = [[] for _ in columns]
    for row, cell in enumerate(text.cells):
        lines = lines_of(cell, limit=room)
        for own, column in zip(cells, columns, strict=True):
            own += lines if column is text else [column.cells[row], *[""] * (len(lines) - 1)]
    return [replace(column, cells=own) for column, own in zip(columns, cells, strict=True)]


def folded(columns: Sequence[Column], *, limit: int = WIDTH) -> str:
    """One table in which a long list stands several times side by side, read downwards; wider ones are split into blocks."""
    num_rows = len(columns[0].cells)
    # Outer borders are shared, so a further copy costs one less character than the first.
    across = max(1, min((limit - 1) // (total_width(columns) - 1), -(-num_rows // LEAST_ROWS)))
    if across == 1:
        return in_blocks(columns[:1], columns[1:], limit=limit)
    rows = -(-num_rows // across)
    parts = []
    for start in range(0, num_rows, rows):
        for column in columns:
            cells = list(column.cells[start : start + rows])
            wide = _padded(column.title, column)
            parts.append(Column(wide, cells + [""] * (rows - len(cells)), left=column.left))
    return render(parts)


def total_width(columns: Sequence[Column]) -> int:
    """Characters of a line of the table."""
    return sum(column.width + 3 for column in columns) + 1


def _escaped(text: str) -> str:
    """A finished text in a cell; one that was escaped as Markdown stays as it is."""
    return _BAR.sub(r"\\|", text).replace("\n", " ")


def _padded(text: str, column: Column) -> str:
    text = _escaped(text)
    space = " " * (column.width - width(text))
    return text + space if column.left else space + text


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
