"""A process beside this one that matches regular expressions, so that it can be ended where one takes too long.

    found = MATCHING.call(find_all, (pattern, text), seconds=10.0)      # TookTooLong; what the function raises

It is started when it is first asked, answers one call after the other, and ends with this process.  A call takes a tenth of a
millisecond, where starting a process takes a thousand times as long.
"""

import contextlib
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

from harness.api.registry import ROOT

STARTS = 60.0
"Seconds in which the process starts, on a machine with much else to do."
_SERVES = "import sys; sys.path.append(sys.argv[1]); from harness.data.templates.matching_process import serve; serve()"


class TookTooLong(Exception):
    """A call was not answered in its time."""


class MatchingProcess:
    """Calls functions of modules of this project in a process of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        "The process that started it: one that begins as a copy of that has no share in it."

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], *, seconds: float) -> Any:
        """What the function gives; raises TookTooLong where that takes longer, and what the function raises."""
        with self._lock:
            try:
                kind, value = self._asked(function, args, seconds)
            except (EOFError, BrokenPipeError):  # somebody killed it: once more with a fresh one
                kind, value = self._asked(function, args, seconds)
        if kind == "error":
            raise value
        return value

    def _asked(self, function: Callable[..., Any], args: tuple[Any, ...], seconds: float) -> tuple[str, Any]:
        if self._process is None or self._owner != os.getpid():
            self._process, self._owner = _started(), os.getpid()
        try:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            pickle.dump((function, args, seconds), self._process.stdin, pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
            answer: tuple[str, Any] = _received(self._process.stdout, seconds=seconds)
        except BaseException:  # an answer that is not taken would be that of the next call
            self.end()
            raise
        return answer

    def end(self) -> None:
        """End the process, if there is one; the next call starts another."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            _killed(process)


def _started() -> "subprocess.Popen[bytes]":
    """A process that is ready to be asked; the signals of a terminal do not reach it."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _SERVES, str(ROOT)],  # -P: files where the user is are no modules
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        _received(process.stdout, seconds=STARTS)
    except (TookTooLong, EOFError) as error:
        how = "does not answer" if isinstance(error, TookTooLong) else f"ended with code {process.wait(STARTS)}"
        _killed(process)
        raise RuntimeError(f"the process that matches regular expressions {how}") from error
    return process


def _killed(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _received(pipe: IO[bytes], *, seconds: float) -> Any:
    """What comes next out of a pipe; raises TookTooLong where nothing does in time, EOFError where nobody is at its other end."""
    waiting = select.poll()  # select.select takes none of a process with many open files
    waiting.register(pipe, select.POLLIN)
    if not waiting.poll(seconds * 1000):
        raise TookTooLong
    return pickle.load(pipe)


def serve() -> None:
    """In the process: answer until nobody is there to ask."""
    pipe = sys.stdout.buffer
    answer: tuple[str, Any] = ("ready", None)
    while True:
        pickle.dump(answer, pipe, pickle.HIGHEST_PROTOCOL)
        pipe.flush()
        try:
            function, args, seconds = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_REAL, 2 * seconds + 1)  # ends the process where nobody is there any more to end it
        try:
            answer = ("value", function(*args))
        except Exception as error:
            answer = ("error", error)
        signal.setitimer(signal.ITIMER_REAL, 0)


MATCHING = MatchingProcess()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=MATCHING.__init__)  # type: ignore[misc]  # its lock may be held by a thread that is no more
