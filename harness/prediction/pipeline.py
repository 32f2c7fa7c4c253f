"""What goes on beside the device that computes: batches are made ready before it wants them, answers are taken away behind it.

    for work, made in ahead(works, make, beside=True): ...      # make(work) of the next works runs in a thread meanwhile
    with Background(beside=True) as background:
        background.do(write, answers)                           # one after the other, in this order, in a thread
    # all is done here, or the first error is raised

With `beside=False` everything is done where it is asked for, one after the other: the results are the same.  Errors come out
as they would have come out so: those of `make` where its work is at hand, those of the background in `do`, or at the end.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

Work = TypeVar("Work")
Made = TypeVar("Made")

AHEAD = 2
"Batches that are made ready before they are wanted."
BEHIND = 4
"Pieces of work that may wait in the background: batches whose answers a killed run computes again, and that lie in memory."


def ahead(
    works: Iterable[Work | None], make: Callable[[Work], Made], *, beside: bool, most: int = AHEAD
) -> Iterator[tuple[Work, Made]]:
    """Each work with what is made of it; `works` is asked in this thread, no more than `most` ahead.

    A work that is None says that it takes time until the next one is there: what was made is given out before.
    """
    if not beside:
        for work in works:
            if work is not None:
                yield work, make(work)
        return
    waiting: deque[tuple[Work, Future[Made]]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        for work in works:
            if work is not None:
                waiting.append((work, pool.submit(make, work)))
            while waiting and (work is None or len(waiting) > most):
                first, made = waiting.popleft()
                yield first, made.result()
        while waiting:
            first, made = waiting.popleft()
            yield first, made.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


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
