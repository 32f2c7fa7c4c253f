"""What goes on beside the device that computes: batches are made ready before it wants them, answers are taken away behind it.

    for work, made in ahead(works, make, beside=True): ...      # the next works are found and made in a thread meanwhile
    with Background(beside=True) as background:
        background.do(write, answers)                           # one after the other, in this order, in a thread
    # all is done here, or the first error is raised

With `beside=False` everything is done where it is asked for, one after the other: the results are the same.  Errors come out
as they would have come out so: those of `make` where its work is at hand, those of the background in `do`, or at the end.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Any, TypeVar

from harness.api.abandoning import Abandoned, abandoned_when, check_wanted
from harness.runtime.threads import short_turns

Work = TypeVar("Work")
Made = TypeVar("Made")

AHEAD = 2
"Batches that are made ready before they are wanted."
BEHIND = 4
"Pieces of work that may wait in the background: batches whose answers a killed run computes again, and that lie in memory."


def ahead(
    works: Iterable[Work], make: Callable[[Work], Made], *, beside: bool, most: int = AHEAD
) -> Generator[tuple[Work, Made], None, None]:
    """Each work with what is made of it; a thread asks for works and makes of them, no more than `most` ahead.

    Close it where it is left early: the thread ends, and what it made is forgotten.
    """
    if not beside:
        for work in works:
            yield work, make(work)
        return
    found: queue.SimpleQueue[tuple[Work, Made] | BaseException | None] = queue.SimpleQueue()
    room, closed = threading.Semaphore(most - 1), threading.Event()

    def run() -> None:
        error = None
        try:
            with abandoned_when(closed.is_set):
                for work in works:
                    found.put((work, make(work)))
                    room.acquire()
                    check_wanted()
        except Abandoned:
            pass
        except BaseException as caught:
            error = caught
        found.put(error)

    thread = threading.Thread(target=run, name="batches", daemon=True)
    thread.start()
    try:
        while isinstance(ready := _next(found), tuple):
            room.release()
            yield ready
            del ready
        if ready is not None:
            raise ready
    finally:
        closed.set()
        room.release()
        thread.join()


def _next(found: queue.SimpleQueue[Any]) -> Any:
    """The next one; who has to wait for it goes on as soon as it is there."""
    with short_turns():
        return found.get()


class Background:
    """Work that is done in a thread, one piece after the other; `do` waits where `most` pieces wait already (0 = any number)."""

    def __init__(self, *, beside: bool, most: int = BEHIND, may_be_left: bool = False) -> None:
        """`may_be_left`: what has not begun is left undone where the run is told to end."""
        self._error: BaseException | None = None
        self._failed, self._may_be_left = False, may_be_left
        self._queue: queue.Queue[tuple[Callable[..., Any], tuple[Any, ...]] | None] = queue.Queue(most)
        self._thread = threading.Thread(target=self._work, name="answers", daemon=True) if beside else None
        if self._thread:
            self._thread.start()

    def do(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have it done; raises the error of what was asked for before."""
        if self._thread is None:
            function(*arguments)
            return
        self._raise()
        self._queue.put((function, arguments))

    def _work(self) -> None:
        while (asked := self._queue.get()) is not None:
            function, arguments = asked
            if not self._failed:  # after an error what was asked for later is left undone, as it would be without a thread
                try:
                    function(*arguments)
                except BaseException as error:
                    self._error, self._failed = error, True
            self._queue.task_done()

    def settle(self) -> None:
        """Wait until nothing waits any more; what went wrong is told later."""
        if self._thread is not None:
            self._queue.join()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            self._finish()
            raise error

    def _finish(self) -> None:
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Background:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Wait until all is done, also where an error ends the work: what was computed before it counts."""
        if self._may_be_left and kind is not None and not issubclass(kind, Exception):
            self._failed = True
        self._finish()
        if kind is None:
            self._raise()
