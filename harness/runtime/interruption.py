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
import time
from collections.abc import Iterator
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """The process was told to end."""

    def __init__(self, by: signal.Signals, *, everywhere: bool = False) -> None:
        """`by`: the signal; SIGPIPE stands for a closed stdout or stderr, which is what ends programs that do not ignore it.

        `everywhere`: all processes that work together end at this place.
        """
        super().__init__(by.name)
        self.by = by
        self.everywhere = everywhere

    @property
    def exit_code(self) -> int:
        """As shells show it: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP, 141 for a closed pipe."""
        return 128 + self.by


ECHO = 2.0
"Seconds in which signals to one of several processes are one: Ctrl-C reaches them and torchrun, which passes it on."

_held = 0
_waiting: list[signal.Signals] = []
_heard = _echo = 0.0


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
def held(*, echo: float = 0.0) -> Iterator[None]:
    """A block of a moment that is done wholly or not at all: the first signal waits for its end.

    Others that follow within `echo` seconds are taken for the same one.
    """
    global _held, _echo
    _held, _echo, before = _held + 1, max(echo, _echo), _echo
    try:
        yield
    finally:
        _held, _echo = _held - 1, before
        if _waiting and not _held:
            raise Interrupted(_waiting.pop())


def waiting() -> signal.Signals | None:
    """The signal that waits for the end of a `held` block; None where none does."""
    return _waiting[0] if _waiting else None


def end(by: signal.Signals) -> None:
    """Raise Interrupted, in a `held` block at its end."""
    if not _held:
        raise Interrupted(by)
    if not _waiting:
        _waiting.append(by)


def _end(number: int, frame: FrameType | None) -> None:
    global _heard
    by, now = signal.Signals(number), time.monotonic()
    if _held and not _waiting:
        _waiting.append(by)
        _heard = now
        return
    if _held and now - _heard < _echo:
        return
    _waiting.clear()
    raise Interrupted(by)
