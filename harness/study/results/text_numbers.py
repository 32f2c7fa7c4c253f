"""Numbers of a study's printed text.

span({"value": 3.1, "low": 1.2, "high": 5.0})        # '3.1 [1.2, 5.0]'
parameters(3e8), counted(1, "seed")                  # '300M', '1 seed'
"""

from collections.abc import Mapping

from harness.api.protocols import Json

NOTHING = "–"


def span(entry: Mapping[str, Json]) -> str:
    """A number with its interval in brackets, where it has one."""
    if entry["low"] is None:
        return f"{number(entry['value'])} [no interval]"
    return f"{number(entry['value'])} [{number(entry['low'])}, {number(entry['high'])}]"


def number(value: float) -> str:
    """One decimal; two significant digits of what is smaller; never a negative zero."""
    if abs(value) >= 1 or value == 0:
        return f"{round(value, 1) + 0.0:.1f}"
    return f"{round(value, 2) + 0.0:.2f}" if abs(value) >= 0.01 else f"{value:.1g}"


def parameters(size: float) -> str:
    """A number of parameters, e.g. '86M' or '13.2B'."""
    unit, name = (1e9, "B") if size >= 1e9 else (1e6, "M") if size >= 1e6 else (1e3, "K")
    scaled = size / unit
    return f"{scaled:.0f}{name}" if scaled >= 100 else f"{scaled:.3g}{name}"


def amount(count: int) -> str:
    """A count with its thousands set off."""
    return f"{count:,}"


def counted(count: int, one: str, many: str = "") -> str:
    """A count of things."""
    return f"{amount(count)} {one if count == 1 else many or one + 's'}"
