"""The one rule that says which values of a row are the same: each is compared as a text, whatever file it came from.

compared_as(True), compared_as("True")                   # 'true', 'true'
compared_as(1), compared_as(1.0), compared_as("1.0")     # '1', '1', '1'
compared_as(datetime.date(2024, 1, 31))                  # '2024-01-31'

A table of text knows no types, JSON has numbers and booleans, Parquet has dates as well: a row must mean the same in all of them.
So true and false are compared without regard to case, decimal numbers without the zeros at their end, and every other text letter
by letter: '01' is not '1', and 'yes' is not 'true'.
"""

import datetime
import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

from harness.api.errors import UserError

READING = 2
"Raise it when rows come to mean something else: what caches remember of rows is then made again."
_DECIMAL = re.compile(r"-?\d+\.\d+")
_INTEGER = re.compile(r"0|-?[1-9]\d{0,17}")
"Of 64 bits: thousands of digits are a text like any other."


def compared_as(value: Any) -> str:
    """The text that a value is compared as; raises UserError for what is no single value: nothing, a list, a structure."""
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < 1 << 4096 else hex(value)  # Python writes no more than 4,300 digits
    if isinstance(value, float | Decimal):
        number = Decimal(repr(value)) if isinstance(value, float) else value
        return _of_text(format(number, "f")) if number.is_finite() else str(number).lower()
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    expected = "a text, a number, true or false, or a date"
    raise UserError("this value cannot be compared", expected=expected, found=f"{type(value).__name__} {value!r:.60}")


def as_integer(value: Any) -> int | None:
    """The integer that a value is compared as, None where it is none."""
    text = compared_as(value)
    return int(text) if _INTEGER.fullmatch(text) else None


@lru_cache(maxsize=65536)
def _of_text(text: str) -> str:
    if text.lower() in ("true", "false"):
        return text.lower()
    if _DECIMAL.fullmatch(text):
        short = text.rstrip("0").rstrip(".")
        return "0" if short == "-0" else short
    return text
