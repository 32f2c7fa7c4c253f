"""Jinja2's filters and tests under limits: those that blow up say so before they do, and all pay for what they get.

    environment.filters = limited_filters(environment.filters)
    environment.tests = limited_tests(environment.tests)

Filters that draw at random are left out: a prompt is the same in every run.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jinja2.filters import make_attrgetter
from jinja2.utils import pass_environment

from harness.data.templates.limits import (
    BUDGET,
    MAX_DIGITS,
    LimitExceeded,
    added,
    check_items,
    check_joined,
    check_percent,
    check_replaced,
    check_size,
)

Function = Callable[..., Any]
LEFT_OUT = ("random",)
FREE = frozenset(("length", "count", "first", "last", "default", "d", "int", "float", "abs", "safe"))
"Filters that look at a value, or at one end of it, only."
_TEXT = (
    "capitalize center e escape forceescape format indent join lower replace string striptags title trim truncate upper "
    "urlencode urlize wordcount wordwrap"
)
TEXT = frozenset(_TEXT.split())
"Filters that make a text of what they get: a null would become the word None."
_COMPARING = "in == eq equalto != ne > gt greaterthan >= ge < lt lessthan <= le"
COMPARING = frozenset(_COMPARING.split())
MAX_INDENT = 16


def limited_filters(known: Mapping[str, Function]) -> dict[str, Function]:
    """The filters of an environment with limits."""
    found = {name: function if name in FREE else _paid(name, function) for name, function in known.items()}
    return {name: function for name, function in found.items() if name not in LEFT_OUT} | {"sum": _sum}


def limited_tests(known: Mapping[str, Function]) -> dict[str, Function]:
    """The tests of an environment with limits."""
    return {name: _paid(name, function) if name in COMPARING else function for name, function in known.items()}


def on_null(known: Mapping[str, Function], said: Callable[[], None]) -> dict[str, Function]:
    """The filters of an environment, of which those that make a text call `said` for a null."""
    return {name: _null_told(function, said) if name in TEXT else function for name, function in known.items()}


def _null_told(function: Function, said: Callable[[], None]) -> Function:
    """A filter that tells of nulls among its values: the first of its own arguments, or one of its items."""
    first = 1 if hasattr(function, "jinja_pass_arg") else 0

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        value = args[first] if len(args) > first else ""
        if value is None or (isinstance(value, list | tuple) and None in value):
            said()
        return function(*args, **kwargs)

    return call


def _paid(name: str, function: Function) -> Function:
    """A filter or test that pays for what it gets and gives."""
    first = 1 if hasattr(function, "jinja_pass_arg") else 0
    check = _CHECKS.get(name)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        BUDGET.spend(1)
        for arg in args[first:]:
            BUDGET.charge(arg)
        for arg in kwargs.values():
            BUDGET.charge(arg)
        if check is not None:
            args = check(args, first, kwargs)
        return BUDGET.checked(function(*args, **kwargs))

    return call


Args = tuple[Any, ...]


def _argument(args: Args, place: int, kwargs: Mapping[str, Any], name: str, default: Any) -> Any:
    return args[place] if len(args) > place else kwargs.get(name, default)


def _center(args: Args, first: int, kwargs: Mapping[str, Any]) -> Args:
    check_size(_whole(_argument(args, first + 1, kwargs, "width", 0)))
    return args


def _indent(args: Args, first: int, kwargs: Mapping[str, Any]) -> Args:
    width = _argument(args, first + 1, kwargs, "width", 4)
    lines = str(args[first]).count("\n") + 1
    check_size(lines * (len(width) if isinstance(width, str) else _whole(width)))
    return args


def _batch(args: Args, first: int, kwargs: Mapping[str, Any]) -> Args:
    check_items(_argument(args, first + 1, kwargs, "linecount", 0), "a batch")
    check_items(_argument(args, first + 1, kwargs, "slices", 0), "slices")
    return args


def _format(args: Args, first: int, kwargs: Mapping[str, Any]) -> Args:
    check_percent(str(args[first]), dict(kwargs) if kwargs else args[first + 1 :])
    return args


def _join(args: Args, first: int, kwargs: Mapping[str, Any]) -> Args:
    value = args[first]
    parts = value if isinstance(value, list | tuple | str | Mapping) else list(_counted(value))
    BUDGET.charge(parts)
    check_joined(str(_argument(args, first + 1, kwargs, "d", "")), parts)
    return (*args[:first], parts, *args[first + 1 :])


def _replace(args: Args, first: int, kwargs: Mapping[str, Any]) -> Args:
    old, new = (_argument(args, first + n, kwargs, name, "") for n, name in ((1, "old"), (2, "new")))
    check_replaced(str(args[first]), str(old), str(new))
    return args


def _round(args: Args, first: int, kwargs: Mapping[str, Any]) -> Args:
    digits = _argument(args, first + 1, kwargs, "precision", 0)
    if isinstance(digits, int) and abs(digits) > MAX_DIGITS:
        raise LimitExceeded(f"more than {MAX_DIGITS} digits behind the point")
    return args


def _wordwrap(args: Args, first: int, kwargs: Mapping[str, Any]) -> Args:
    text, width = str(args[first]), _whole(_argument(args, first + 1, kwargs, "width", 79))
    between = _argument(args, first + 3, kwargs, "wrapstring", None) or "\n"
    check_size((len(text) // max(width, 1) + text.count("\n") + 1) * len(str(between)) + len(text))
    return args


def _tojson(args: Args, first: int, kwargs: Mapping[str, Any]) -> Args:
    indent = _argument(args, first + 1, kwargs, "indent", None)
    if (len(indent) if isinstance(indent, str) else _whole(indent)) > MAX_INDENT:
        raise LimitExceeded(f"an indent of more than {MAX_INDENT}")
    return args


def _searched(args: Args, first: int, kwargs: Mapping[str, Any]) -> Args:
    """Their time grows with the square of what they find."""
    text = str(args[first])
    BUDGET.spend((len(text) * (text.count("<") + 1)) >> 6)
    BUDGET.spend(sum(len(word) ** 2 for word in text.split()) >> 6)
    check_size(sum(map(len, map(str, [*args[first + 1 :], *kwargs.values()]))) * len(text.split()))
    return args


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


_CHECKS: Mapping[str, Callable[[Args, int, Mapping[str, Any]], Args]] = {
    "center": _center,
    "indent": _indent,
    "batch": _batch,
    "slice": _batch,
    "format": _format,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "wordwrap": _wordwrap,
    "tojson": _tojson,
    "striptags": _searched,
    "urlize": _searched,
}


@pass_environment
def _sum(environment: Any, iterable: Any, attribute: str | int | None = None, start: Any = 0) -> Any:
    """The sum of some values: each addition pays for its length."""
    if isinstance(start, str | bytes):
        raise TypeError("sum() can't sum strings [use join instead]")
    values = iterable if attribute is None else map(make_attrgetter(environment, attribute), iterable)
    found = start
    for value in _counted(values):
        found = added(found, value)
    return found


def _counted(values: Any, each: int = 1) -> Iterator[Any]:
    """The items of an iterable, each paid for."""
    for value in values:
        BUDGET.spend(each)
        yield value


def counted(values: Any, each: int = 1) -> Any:
    """What a loop goes over, paid for; `each` is the price of a step."""
    if isinstance(values, Sequence | Mapping | range):
        BUDGET.spend(len(values) * each)
        return values
    return _counted(values, each)
