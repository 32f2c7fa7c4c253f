"""Lines of Markdown that are no longer than a terminal is wide: paragraphs, lists and quotes are broken between words.

    print(wrapped("- A note that is longer than a line ..."))      # what goes on below is indented, so that it stays one item

Tables and headings, which Markdown wants on one line, stay as they are: tables are split by `tables.in_blocks`.
"""

import re

from harness.api.text_lines import lines_of

WIDTH = 100
"Columns of a line of what is printed."
_MARKER = re.compile(r" *(?:[-+*] |\d+[.)] |> ?)*")
_KEPT = re.compile(r" {0,3}(?:\||#{1,6} |```)")
_ACTS = re.compile(r"(?:[-+*]|\d+[.)]|#{1,6}|=+|-{2,}|~{3,}.*|`{3,}.*|>.*|\|.*)$")
"A word that would begin a list, a heading, a quote or a table where it begins a line."


def wrapped(page: str, *, width: int = WIDTH) -> str:
    """A page of Markdown on lines of at most so many columns, but for tables, headings and words that are longer."""
    return "\n".join(line for given in page.split("\n") for line in _wrapped_line(given, width))


def _wrapped_line(line: str, width: int) -> list[str]:
    if _KEPT.match(line):
        return [line]
    match = _MARKER.match(line)
    marker = match[0] if match else ""
    below = re.sub(r"[^> ]", " ", marker)
    lines = lines_of(line[len(marker) :], limit=width - len(marker), not_first=_ACTS)
    return [(below if number else marker) + text for number, text in enumerate(lines)]
