"""How much a template may do, counted and not timed, so that what works on one machine works on every other.

    BUDGET.start(); BUDGET.spend(1); BUDGET.charge(value)           # raises LimitExceeded
    multiplied("a", 10**10)                                         # LimitExceeded, before anything is allocated

An operation is a call, a filter, an operator or a step of a loop; long texts and lists are paid for by their length.  The clock
is the last resort, for what a count does not see.
"""

import operator
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MAX_OPERATIONS = 2_000_000
"Operations of one rendering."
MAX_CHARACTERS = 1_000_000
"Of an output, and of each text on the way."
MAX_ITEMS = 100_000
"Of a range, and of a list that is made by repetition."
MAX_DEPTH = 40
"Macros, blocks and recursive loops inside each other."
MAX_BITS = 100_000
"Of a whole number."
MAX_DIGITS = 400
"Places behind the point to which a number is rounded; more than a float has."
MAX_SECONDS = 10.0
"Of one rendering, in time of the processor, so that other programs take none of it; of one regular expression on one text."

_CHARACTERS_A_UNIT = 6
"Copying 2^6 characters costs as much as one operation."
_ITEMS_A_UNIT = 2
_A_CONTAINER = 10
"Items that are looked at in the time that a list or mapping takes by itself."
_LOOK_EVERY = 1000
"Operations between two looks at the clock."
_NUMBERS = re.compile(r"\d+")
_PERCENT = re.compile(r"%(?:\([^)]*\))?[#0\- +]*(\*|\d+)?(?:\.(\*|\d+)?)?")


class LimitExceeded(Exception):
    """A template does more than it may; the message says what."""


class Budget:
    """What a rendering has left; renderings of several threads take turns."""

    __slots__ = ("deadline", "depth", "left", "lock", "look_at")

    def __init__(self) -> None:
        self.left = self.depth = self.look_at = 0
        self.deadline = 0.0
        self.lock = threading.RLock()

    def start(self) -> None:
        """Begin a rendering."""
        self.left, self.depth = MAX_OPERATIONS, 0
        self.look_at = MAX_OPERATIONS - _LOOK_EVERY
        self.deadline = time.thread_time() + MAX_SECONDS

    def spend(self, number: int) -> None:
        """Count operations."""
        self.left = left = self.left - number
        if left < self.look_at:
            self._look(left)

    def _look(self, left: int) -> None:
        if left < 0:
            raise LimitExceeded(f"more than {MAX_OPERATIONS:,} operations")
        self.look_at = left - _LOOK_EVERY
        if time.thread_time() > self.deadline:
            raise LimitExceeded(f"more than {MAX_SECONDS:g} seconds")

    def charge(self, value: Any) -> None:
        """Count what it costs to look at a value, what is inside of it included."""
        kind = type(value)
        if kind is str or kind is bytes:
            if len(value) > 64:
                self.spend(len(value) >> _CHARACTERS_A_UNIT)
        elif kind in _CONTAINERS or isinstance(value, str | Mapping | list | tuple):
            self._walk(value)

    def _walk(self, value: Any) -> None:
        """Count every part of a container as often as it is in it: parts that are shared are written as often."""
        stack, parts, most = [value], 0, max(self.left, 0) << _ITEMS_A_UNIT
        while stack:
            one = stack.pop()
            if isinstance(one, str | bytes):
                parts += len(one) >> (_CHARACTERS_A_UNIT - _ITEMS_A_UNIT)
            elif isinstance(one, range):
                parts += len(one)
            elif isinstance(one, Mapping):
                parts += _A_CONTAINER + 2 * len(one)
                stack += [*one.keys(), *one.values()]
            elif isinstance(one, list | tuple | set | frozenset):
                parts += _A_CONTAINER + len(one)
                stack += one
            if parts > most:
                break
        self.spend(1 + (parts >> _ITEMS_A_UNIT))

    def checked(self, value: Any) -> Any:
        """The value that an operation gave, paid for; raises LimitExceeded for a text or list that is too long."""
        kind = type(value)
        if kind is str or kind is bytes or kind is list or kind is tuple:
            size = len(value)
            if size > 64:
                if size > MAX_CHARACTERS:
                    raise too_long()
                self.spend(size >> (_CHARACTERS_A_UNIT if kind is str or kind is bytes else _ITEMS_A_UNIT))
        return value


_CONTAINERS = frozenset((list, tuple, dict, set, frozenset, range))
A_CALL = 5
"Operations of a call."
BUDGET = Budget()


def too_long() -> LimitExceeded:
    """The error for a text or list that is too long."""
    return LimitExceeded(f"a text or list of more than {MAX_CHARACTERS:,}")


def check_size(size: int) -> None:
    """Raise LimitExceeded for a text that would be too long."""
    if size > MAX_CHARACTERS:
        raise too_long()


def check_items(number: Any, what: str) -> None:
    """Raise LimitExceeded for a number of items that is too large."""
    if isinstance(number, int) and abs(number) > MAX_ITEMS:
        raise LimitExceeded(f"{what} of more than {MAX_ITEMS:,}")


def limited_range(*args: Any) -> range:
    """A range of at most MAX_ITEMS."""
    found = range(*args)
    if found and (found[-1] - found[0]) // found.step >= MAX_ITEMS:  # len() fails for what is larger than a machine word
        raise LimitExceeded(f"a range of more than {MAX_ITEMS:,}")
    return found


def multiplied(left: Any, right: Any) -> Any:
    """The product: repetition of texts and lists is limited, and so are whole numbers."""
    for one, times in ((left, right), (right, left)):
        if isinstance(one, str | bytes) and isinstance(times, int):
            check_size(len(one) * max(times, 0))
        elif isinstance(one, list | tuple) and isinstance(times, int):
            check_items(len(one) * max(times, 0), "a list")
    _check_bits(left, right, lambda a, b: a + b)
    return BUDGET.checked(left * right)


def added(left: Any, right: Any) -> Any:
    """The sum, of texts and lists too."""
    if isinstance(left, str | list | tuple | bytes) and isinstance(right, str | list | tuple | bytes):
        check_size(len(left) + len(right))
    return BUDGET.checked(left + right)


def to_the_power(left: Any, right: Any) -> Any:
    """The power, of which whole numbers are limited."""
    if isinstance(left, int) and isinstance(right, int) and right > 0 and abs(left) > 1:
        _check_bits(left, right, lambda bits, _: bits * right)
    return left**right


def _check_bits(left: Any, right: Any, bits: Callable[[int, int], int]) -> None:
    if isinstance(left, int) and isinstance(right, int) and bits(left.bit_length(), right.bit_length()) > MAX_BITS:
        raise LimitExceeded(f"a whole number of more than {MAX_BITS:,} bits")


def remainder_or_format(left: Any, right: Any) -> Any:
    """The remainder of numbers, or a text with values put in, whose widths are limited."""
    if isinstance(left, str | bytes):
        check_percent(left, right)
    return BUDGET.checked(left % right)


def check_percent(text: str | bytes, values: Any) -> None:
    """Raise LimitExceeded where `text % values` would be too long."""
    BUDGET.charge(values)
    several = list(values.values()) if isinstance(values, Mapping) else list(values) if isinstance(values, tuple) else [values]
    longest = max((len(value) for value in several if isinstance(value, str | bytes)), default=0)
    stars = max((value for value in several if isinstance(value, int)), default=0)
    found = _PERCENT.findall(text if isinstance(text, str) else text.decode("latin-1"))
    sizes = [longest + sum(stars if part == "*" else _number(part) for part in parts) for parts in found]
    check_size(len(text) + sum(sizes))


def check_format(spec: str) -> None:
    """Raise LimitExceeded for a width or precision behind the colon of `{:...}` that is too large."""
    check_size(max(map(_number, _NUMBERS.findall(spec)), default=0))


def _number(digits: str) -> int:
    return 0 if not digits else MAX_CHARACTERS + 1 if len(digits) > 9 else int(digits)


def check_replaced(text: str, old: str, new: str) -> None:
    """Raise LimitExceeded where `text.replace(old, new)` would be too long."""
    if len(new) > len(old):
        check_size(len(text) + text.count(old) * (len(new) - len(old)))


def check_joined(separator: str, parts: Iterable[Any]) -> None:
    """Raise LimitExceeded where `separator.join(parts)` would be too long."""
    sizes = [len(part) if isinstance(part, str | bytes) else 1 for part in parts]
    check_size(sum(sizes) + len(separator) * len(sizes))


def check_method(owner: Any, name: str, args: tuple[Any, ...]) -> None:
    """Raise LimitExceeded for a method of a text, list or number that would give too much."""
    BUDGET.charge(owner)
    first = args[0] if args else None
    if name in ("center", "ljust", "rjust", "zfill") and isinstance(first, int):
        check_size(first)
    elif name == "expandtabs":
        check_size(
            len(owner) + owner.count(type(owner)("\t")) * first if isinstance(owner, str) and isinstance(first, int) else 0
        )
    elif name == "replace" and len(args) > 1 and isinstance(first, type(owner)) and isinstance(args[1], type(owner)):
        check_replaced(owner, first, args[1])
    elif name == "join" and isinstance(first, list | tuple):
        check_joined(owner, first)
    elif name == "translate" and isinstance(first, Mapping):
        longest = max((len(text) for text in first.values() if isinstance(text, str)), default=1)
        check_size(len(owner) * max(longest, 1))
    elif name == "to_bytes" and isinstance(first, int):
        check_size(first)


OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "*": multiplied,
    "+": added,
    "%": remainder_or_format,
    "**": to_the_power,
    "-": operator.sub,
    "/": operator.truediv,
    "//": operator.floordiv,
}
