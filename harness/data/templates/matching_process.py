"""A process beside this one that matches regular expressions, so that it can be ended where one takes too long.

    found = MATCHING.call(find_all, (pattern, text), seconds=10.0)      # TookTooLong; what the function raises

It is started when it is first asked, answers one call after the other, and ends with this process.  A call takes a tenth of a
millisecond, where starting a process takes a thousand times as long.
"""

import contextlib
import os
import pickle
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

from harness.api.registry import ROOT

_SERVES = "import sys; sys.path.append(sys.argv[1]); from harness.data.templates.matching_process import serve; serve()"


class TookTooLong(Exception):
    """A call was not answered in its time."""


class _Ended(Exception):
    """The process is there no more."""


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
            except (_Ended, OSError):  # somebody killed it: once more with a fresh one
                self.end()
                kind, value = self._asked(function, args, seconds)
        if kind == "error":
            raise value
        return value

    def _asked(self, function: Callable[..., Any], args: tuple[Any, ...], seconds: float) -> tuple[str, Any]:
        if self._process is None or self._owner != os.getpid():
            self._process, self._owner = _started(), os.getpid()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump((function, args), self._process.stdin, pickle.HIGHEST_PROTOCOL)
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            self.end()
            raise TookTooLong
        return _received(self._process.stdout)

    def end(self) -> None:
        """End the process, if there is one; the next call starts another."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _started() -> "subprocess.Popen[bytes]":
    """A process that is ready to be asked; the signals of a terminal do not reach it."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _SERVES, str(ROOT)],  # -P: files where the user is are no modules
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    _received(process.stdout)
    return process


def _received(pipe: IO[bytes]) -> Any:
    try:
        return pickle.load(pipe)
    except EOFError:
        raise _Ended from None


def serve() -> None:
    """In the process: answer until nobody is there to ask."""
    pipe = sys.stdout.buffer
    answer: tuple[str, Any] = ("ready", None)
    while True:
        pickle.dump(answer, pipe, pickle.HIGHEST_PROTOCOL)
        pipe.flush()
        try:
            function, args = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = ("value", function(*args))
        except Exception as error:
            answer = ("error", error)


MATCHING = MatchingProcess()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=MATCHING.__init__)  # type: ignore[misc]  # its lock may be held by a thread that is no more
