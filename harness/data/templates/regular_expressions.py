r"""Regular expressions that other people wrote, on texts that models wrote: with a limit of time, for a count there is none.

    find_all(re.compile(r"(a+)+b"), "a" * 40)            # UserError after MAX_SECONDS
    substitute(r"\s+", " ", text, count=0, most=1_000_000)

They are matched by `re` itself, so that the matches are those of other harnesses.  Its engine looks for signals while it
searches, so that in the main thread an alarm ends it.  In other threads, and where there are no alarms, a process of its own
matches (`matching_process.py`).
"""

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from harness.api.errors import UserError
from harness.data.templates.limits import MAX_SECONDS, LimitExceeded
from harness.data.templates.matching_process import MATCHING, TookTooLong

SHORT = 16
"Characters of a replacement that need no count."


class _Alarm(Exception):
    """The time is up."""


def find_all(pattern: re.Pattern[str], text: str, *, seconds: float = MAX_SECONDS) -> list[Any]:
    """re.findall; raises UserError where it takes longer than the limit."""
    found: list[Any] = _in_time(pattern, _find_all, (pattern, text), seconds)
    return found


def substitute(
    pattern: str, replacement: str, text: str, *, count: int = 0, most: int | None = None, seconds: float = MAX_SECONDS
) -> str:
    """re.sub; raises UserError where it takes longer than the limit, LimitExceeded where it gives more than `most` characters."""
    compiled = re.compile(pattern)
    return str(_in_time(compiled, _substitute, (compiled, replacement, text, count, most), seconds))


def _find_all(pattern: re.Pattern[str], text: str) -> list[Any]:
    return pattern.findall(text)


def _substitute(pattern: re.Pattern[str], replacement: str, text: str, count: int, most: int | None) -> str:
    if most is None or (len(replacement) <= SHORT and "\\" not in replacement and len(text) * (SHORT + 1) < most):
        return pattern.sub(replacement, text, count=count)
    size = 0

    def expanded(match: re.Match[str]) -> str:
        nonlocal size
        part = match.expand(replacement)
        size += len(part)
        if size > most:
            raise LimitExceeded(f"a text of more than {most:,} characters")
        return part

    return pattern.sub(expanded, text, count=count)


def _in_time(pattern: re.Pattern[str], function: Callable[..., Any], args: tuple[Any, ...], seconds: float) -> Any:
    """What a function gives; raises UserError where it takes too long."""
    try:
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
            with _alarm(seconds):
                return function(*args)
        return MATCHING.call(function, args, seconds=seconds)
    except (_Alarm, TookTooLong):
        raise UserError(
            f"a regular expression takes longer than {seconds:g} seconds",
            found=f"{pattern.pattern[:200]!r}",
            todo="write it so that no repetition stands inside another one",
        ) from None


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise _Alarm in this block when the time is up; an alarm that somebody else has set goes on afterwards."""
    active = True

    def ring(number: int, frame: Any) -> None:
        if active:
            raise _Alarm

    before = signal.signal(signal.SIGALRM, ring)
    began = time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        active = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before if before is not None else signal.SIG_DFL)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, left - (time.monotonic() - began)), interval)
