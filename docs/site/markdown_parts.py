"""Pieces of Markdown pages: tables, texts of the code, docstrings.

page = joined(["# Metrics", table(["key", "meaning"], rows), docstring(facts.doc)])
"""

import inspect
import re
from collections.abc import Iterable

WRITTEN = "This page is made of the code (`docs/site/reference.py`).\n"
Row = Iterable[str]


def table(header: Row, rows: Iterable[Row]) -> str:
    """A Markdown table; a bar or a line break in a cell does not end it."""
    lines = [header, ["---"] * len(list(header)), *rows]
    return "\n".join("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(text: str) -> str:
    """A word of the code."""
    return f"`{text}`"


def prose(text: str) -> str:
    """Text of the code in a page: angle brackets and stars are letters."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*_{}])", r"\\\1", part.replace("<", "&lt;")) for part in parts)


def docstring(text: str) -> str:
    """A docstring as Markdown: what is indented or reads as a command or call is code."""
    parts = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        lines = paragraph.split("\n")
        is_code = all(line.startswith("    ") or not line.strip() for line in lines) or re.match(
            r"python |[\w.]+\(|\w+ = |#", lines[0]
        )
        is_table = bool(re.match(r"\s*\||## ", lines[0]))
        parts.append(f"```\n{inspect.cleandoc(chr(10) + paragraph)}\n```" if is_code or is_table else prose(paragraph))
    return "\n\n".join(parts)


def joined(parts: Iterable[str]) -> str:
    """Paragraphs of a page; empty ones are left out."""
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"
