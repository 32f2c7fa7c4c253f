"""A run that is told to end (Ctrl-C, SIGTERM, SIGHUP, a reader that closed the pipe) ends at once, in good order.

    with ending_signals():               # each of them raises Interrupted in the main thread
        with held():                     # ... but here, only once the block is done
            optimizer.step()

What is on disk at that moment serves the next run, so nothing has to be put in order; a training saves its state where that is
cheap.  A second signal does not wait for anything.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """The process was told to end."""

    def __init__(self, by: signal.Signals) -> None:
        """`by`: the signal; SIGPIPE stands for a closed stdout or stderr, which is what ends programs that do not ignore it."""
        super().__init__(by.name)
        self.by = by

    @property
    def exit_code(self) -> int:
        """As shells show it: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP, 141 for a closed pipe."""
        return 128 + self.by


_held = 0
_waiting: list[signal.Signals] = []


@contextlib.contextmanager
def ending_signals() -> Iterator[None]:
    """Turn the signals that end a process into Interrupted; those that it was started to ignore (nohup, &) stay ignored."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        _waiting.clear()
        before = {each: signal.signal(each, _end) for each in ENDING if signal.getsignal(each) not in (signal.SIG_IGN, None)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """A block of a moment that is done wholly or not at all: the first signal waits for its end."""
    global _held
    _held += 1
    try:
        yield
    finally:
        _held -= 1
        if _waiting and not _held:
            raise Interrupted(_waiting.pop())


def _end(number: int, frame: FrameType | None) -> None:
    by = signal.Signals(number)
    if _held and not _waiting:
        _waiting.append(by)
        return
    _waiting.clear()
    raise Interrupted(by)
