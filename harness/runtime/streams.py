"""Stdout and stderr as a run finds them: closed, closed by their reader half-way, or on a full disk.

    with standard_streams():
        sys.stdout.write("a result")     # Interrupted where the reader has closed the pipe, OutputFailed on a full disk

A reader that has seen enough (`| head`) ends the process, as it ends every program of the shell; a training saves its state.
"""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from harness.runtime.interruption import end
from harness.runtime.outputs import OutputFailed


class WatchedStream:
    """A text stream whose failures are said in words of ours; in all else it is the stream itself."""

    def __init__(self, stream: TextIO, *, is_result: bool) -> None:
        """`is_result`: what is written must arrive; progress that cannot be shown is no reason to end."""
        self._stream, self._is_result = stream, is_result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As the stream does it."""
        with self._said():
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As the stream does it."""
        with self._said():
            self._stream.flush()

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._abandon()
            end(signal.SIGPIPE)
        except OSError as error:  # a full disk, a terminal that is gone
            self._abandon()
            if self._is_result:
                raise OutputFailed("stdout cannot be written", found=error.strerror or str(error)) from None

    def _abandon(self) -> None:
        """Send what the stream still holds to nowhere: the interpreter would complain of it at its end."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Have an stdout and an stderr to write to, and hear of it where that fails."""
    _open_closed()
    before = sys.stdout, sys.stderr
    with _buffered(before[0]) as results:
        sys.stdout = cast(TextIO, WatchedStream(results, is_result=True))
        sys.stderr = cast(TextIO, WatchedStream(before[1], is_result=False))
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


@contextlib.contextmanager
def _buffered(stream: TextIO) -> Iterator[TextIO]:
    """The stream with a buffer where it has none (PYTHONUNBUFFERED): half a write to a closed pipe counts as whole there."""
    raw = getattr(stream, "buffer", None)
    if not isinstance(raw, io.RawIOBase):
        yield stream
        return
    own = io.TextIOWrapper(io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors, line_buffering=True)
    try:
        yield own
    finally:
        with contextlib.suppress(OSError, ValueError):
            own.detach().detach()  # it is not ours to close


def _open_closed() -> None:
    """Open what the process was started without (`>&-`) to nowhere: the next file it opens would be written to instead."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
