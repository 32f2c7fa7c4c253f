"""Texts on lines of so many columns of a terminal, where a wide character takes two; words stay whole.

width("日本")                              # 4
lines_of("A longer text.", limit=10)       # ['A longer', 'text.']
"""

import re
import unicodedata

_WORDS = re.compile(r" *[^ ]+")
_WIDE = "WF"


def width(text: str) -> int:
    """Columns that a text takes on a terminal: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in _WIDE else 1 for c in text)


def lines_of(text: str, *, limit: int, not_first: re.Pattern[str] | None = None) -> list[str]:
    """A text on lines of at most `limit` columns, broken at spaces.

    A word that is longer stands out, unless it is of wide letters.  No line but the first begins with a word that `not_first`
    matches.
    """
    if width(text) <= limit:
        return [text]
    units: list[str] = []
    for word in _WORDS.findall(text):
        if units and not_first and not_first.match(word.lstrip()):
            units[-1] += word
        else:
            units.append(word)
    lines = [""]
    for word in (part for unit in units for part in _broken(unit, limit)):
        if lines[-1] and width(lines[-1]) + width(word) > limit:
            lines.append(word.lstrip())
        else:
            lines[-1] += word
    return lines


def _broken(word: str, limit: int) -> list[str]:
    """A word; one that is longer than a line and written without spaces (zh, ja) in pieces of a line."""
    if width(word) <= limit or not any(unicodedata.east_asian_width(c) in _WIDE for c in word):
        return [word]
    pieces = [""]
    for letter in word:
        if pieces[-1] and width(pieces[-1] + letter) > limit:
            pieces.append("")
        pieces[-1] += letter
    return pieces
