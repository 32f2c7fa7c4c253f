"""Printed pages as tests read them: prose without its line breaks, and lines that are wider than a terminal."""

import re

from harness.api.text_lines import width

BREAKABLE = 20
"A word of so many columns has a place on every line."


def unbroken(page: str) -> str:
    """A page whose paragraphs and items each stand on one line, as if a terminal had no end."""
    return re.sub(r"(?<=\S)\n *(?=[^\s|#>*+-]|[-*+]\S)", " ", page)


def too_wide(page: str, *, limit: int = 100) -> list[str]:
    """Lines that are wider than the limit, but for those whose last word has no place on any (a path, an address, a key)."""
    found = []
    for line in page.splitlines():
        before, _, last = line.rpartition(" ")
        if width(line) > limit and (width(last) <= BREAKABLE or width(before.rstrip()) > limit):
            found.append(line)
    return found
