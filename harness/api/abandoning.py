"""Work in a thread that nobody wants any more ends by itself, at the next place that asks.

with abandoned_when(closed.is_set): ...      # in the thread
check_wanted()                               # Abandoned once that is so; nothing elsewhere
"""

import contextlib
import threading
from collections.abc import Callable, Iterator


class Abandoned(Exception):
    """Nobody wants what a thread is at."""


class _Asked(threading.local):
    """Whether the work of this thread is abandoned."""

    is_abandoned: Callable[[], bool] | None = None


_ASKED = _Asked()


@contextlib.contextmanager
def abandoned_when(is_abandoned: Callable[[], bool]) -> Iterator[None]:
    """Let `check_wanted` ask this, in this thread."""
    before, _ASKED.is_abandoned = _ASKED.is_abandoned, is_abandoned
    try:
        yield
    finally:
        _ASKED.is_abandoned = before


def check_wanted() -> None:
    """Raise Abandoned where the work of this thread is; to be called some times a second where rows go by."""
    if _ASKED.is_abandoned is not None and _ASKED.is_abandoned():
        raise Abandoned
