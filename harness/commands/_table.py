"""Plain tables for the terminal.

table(["task", "type"], [["xnli", "classification"]])
"""

import json
import shutil
import unicodedata
from collections.abc import Sequence
from typing import Any

from harness.api.escaping import visible


def on_one_line(value: Any) -> str:
    """A value on one line, as it is: JSON."""
    return json.dumps(value, ensure_ascii=False)


def width(text: str) -> int:
    """Columns that a text takes on a terminal: wide characters take two, combining ones none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, cut: bool = True) -> str:
    """Left-aligned columns; lines are cut to the terminal's width, unless `cut` is off."""
    rows = [[visible(cell.replace("\n", "\\n")) for cell in row] for row in rows]
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(width, column)) for column in columns]
    limit = shutil.get_terminal_size((160, 50)).columns
    lines = []
    for row in [header, ["-" * size for size in widths], *rows]:
        line = "  ".join(cell + " " * (size - width(cell)) for cell, size in zip(row, widths, strict=True)).rstrip()
        lines.append(line if not cut or width(line) <= limit else line[: limit - 3] + "...")
    return "\n".join(lines)
