"""Texts and larger values that come many times, each kept once: what the page holds instead is its number.

texts = Once()
texts.number("mini/nli"), texts.number({"max_length": 64})        # 0, 1
texts.values                                                      # ['mini/nli', {'max_length': 64}]
"""

from collections.abc import Mapping
from typing import Any

from harness.api.protocols import Json
from harness.runtime.stages import canonical

DIGITS = 4
"Decimals of a number on the page: four of a score between 0 and 100 are far below its interval."


class Once:
    """Values by number, in the order in which they came."""

    def __init__(self) -> None:
        self.values: list[Json] = []
        self._numbers: dict[str, int] = {}

    def number(self, value: Json) -> int:
        """The number of a value."""
        text = canonical(value)
        if text not in self._numbers:
            self._numbers[text] = len(self.values)
            self.values.append(value)
        return self._numbers[text]


def triple(interval: Mapping[str, Any] | None) -> list[float | None] | None:
    """A number with the ends of its interval; None for none."""
    if interval is None:
        return None
    return [short(interval["value"]), short(interval["low"]), short(interval["high"])]


def short(value: float | None) -> float | None:
    """A number with few decimals, never a negative zero."""
    return None if value is None else round(value, DIGITS) + 0.0


def without_empty(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry without what says nothing: None, False, empty texts and collections; numbers stay, 0 included."""
    return {key: value for key, value in entry.items() if value or (value == 0 and value is not False)}
