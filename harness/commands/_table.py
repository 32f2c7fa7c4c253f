"""Plain tables and texts for the terminal: what is wider than it goes on in the next line, nothing is cut.

table(["task", "type"], [["xnli", "classification"]])
paragraphs("A longer text ...")

Where no terminal is known (output into a pipe or a file) lines have no end: a row is a line, for grep and the like.
"""

import json
import re
import shutil
from collections.abc import Sequence
from typing import Any

from harness.api.escaping import visible
from harness.api.text_lines import lines_of, width

GAP = 2
"Columns between two columns of a table."
_LEAST = 20
"The last column, whose words may stand out, is not made narrower than this."


def on_one_line(value: Any) -> str:
    """A value on one line, as it is: JSON."""
    return json.dumps(value, ensure_ascii=False)


def terminal_width() -> int | None:
    """Columns of the terminal (or of $COLUMNS); None where there is none."""
    return shutil.get_terminal_size((0, 0)).columns or None


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns; cells that make a line wider than the terminal go on below, words stay whole."""
    rows = [[visible(cell.replace("\n", "\\n")) for cell in row] for row in rows]
    widths = _widths([list(column) for column in zip(header, *rows, strict=True)], terminal_width())
    lines = []
    for row in [header, ["-" * size for size in widths], *rows]:
        cells = [lines_of(cell, limit=size) for cell, size in zip(row, widths, strict=True)]
        for number in range(max(map(len, cells))):
            parts = [cell[number] if number < len(cell) else "" for cell in cells]
            padded = [part + " " * (size - width(part)) for part, size in zip(parts, widths, strict=True)]
            lines.append((" " * GAP).join(padded).rstrip())
    return "\n".join(lines)


def first_sentence(docstring: str) -> str:
    """What a docstring says first, on one line."""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    return re.split(r"(?<=[^.])(?<=\.)\s", paragraph)[0]


def prose(docstring: str) -> str:
    """A docstring for the terminal: paragraphs are filled anew, examples keep their lines."""
    found = []
    for paragraph in docstring.strip().split("\n\n"):
        is_example = re.match(r" {4}|\w[\w.]*(?:\(| = )", paragraph)
        found.append(paragraphs(paragraph if is_example else " ".join(paragraph.split())))
    return "\n\n".join(found)


def paragraphs(text: str) -> str:
    """A text whose lines are no wider than the terminal; what goes on below is indented as its line is."""
    limit = terminal_width()
    if limit is None:
        return text
    lines: list[str] = []
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip(" ")))
        parts = lines_of(line.lstrip(" "), limit=max(_LEAST, limit - len(indent)))
        lines += [indent + part for part in parts]
    return "\n".join(lines)


def fits(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a table stands on the terminal as it is, a line a row."""
    limit = terminal_width()
    widths = [max(map(width, column)) for column in zip(header, *rows, strict=True)]
    return limit is None or sum(widths) + GAP * (len(widths) - 1) <= limit


def _widths(columns: Sequence[Sequence[str]], limit: int | None) -> list[int]:
    """The width of each column: of its widest cell, less where the table is wider than the terminal.

    The widest columns give way first, down to their longest word.
    """
    found = [max(map(width, column)) for column in columns]
    if limit is None:
        return found
    least = [max((width(word) for cell in column for word in cell.split()), default=0) for column in columns]
    least[-1] = min(least[-1], _LEAST)
    room = limit - GAP * (len(columns) - 1)
    found = [max(small, min(size, room)) for small, size in zip(least, found, strict=True)]
    while sum(found) > room:
        shrinkable = [number for number, size in enumerate(found) if size > least[number]]
        if not shrinkable:
            break
        found[max(shrinkable, key=lambda number: found[number])] -= 1
    return found
