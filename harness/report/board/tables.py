"""Markdown tables that fit a wide terminal: split into blocks of columns, or folded so that a long list stays short.

in_blocks([Column("model", ["xlmr"], left=True)], [Column("xnli", ["74.0 ±1.2"]), ...])      # one table a block
folded([Column("", ["de", "sw", ...], left=True), Column("none", [...])])                    # several lists side by side
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 160
"Characters of a line."
_BAR = re.compile(r"(?<!\\)\|")
LEAST_ROWS = 10
"A list is not folded below this length."


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
        return max(3, *(len(_escaped(text)) for text in (self.title, *self.cells)))


def render(columns: Sequence[Column]) -> str:
    """One Markdown table, padded so that it reads as plain text too."""
    rows = [[column.title for column in columns], *zip(*(column.cells for column in columns), strict=True)]
    lines = [_line([_padded(text, column) for text, column in zip(row, columns, strict=True)]) for row in rows]
    rule = [":" + "-" * (column.width - 1) if column.left else "-" * (column.width - 1) + ":" for column in columns]
    return "\n".join([lines[0], _line(rule), *lines[1:]])


def in_blocks(keys: Sequence[Column], columns: Sequence[Column], *, width: int = WIDTH) -> str:
    """As many tables as the width asks for, each with the key columns; columns keep their order."""
    units: list[list[Column]] = []
    for column in columns:
        if column.joined and units:
            units[-1].append(column)
        else:
            units.append([column])
    blocks: list[list[Column]] = [[]]
    for unit in units:
        if blocks[-1] and total_width([*keys, *blocks[-1], *unit]) > width:
            blocks.append([])
        blocks[-1] += unit
    return "\n\n".join(render([*keys, *block]) for block in blocks)


def folded(columns: Sequence[Column], *, width: int = WIDTH) -> str:
    """One table in which a long list stands several times side by side, read downwards; wider ones are split into blocks."""
    num_rows = len(columns[0].cells)
    # Outer borders are shared, so a further copy costs one less character than the first.
    across = max(1, min((width - 1) // (total_width(columns) - 1), -(-num_rows // LEAST_ROWS)))
    if across == 1:
        return in_blocks(columns[:1], columns[1:], width=width)
    rows = -(-num_rows // across)
    parts = []
    for start in range(0, num_rows, rows):
        for column in columns:
            cells = list(column.cells[start : start + rows])
            wide = column.title.ljust(column.width) if column.left else column.title.rjust(column.width)
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
    return text.ljust(column.width) if column.left else text.rjust(column.width)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
