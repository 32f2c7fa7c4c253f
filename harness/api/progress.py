"""Progress on stderr: a bar on a terminal; elsewhere, in a log file, a line every half minute.

with progress_bar("train xnli", total=1000, unit="step", shown=True) as bar:
bar.update(1)
for part in progress_over(parts, "check rows", shown=True): ...
tell("a line beside the bar")
with hearing() as lines: ...          # what is told meanwhile goes there, in place of stderr
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, cast

EVERY = 30.0
"Seconds between lines."
DELAY = 2
"Seconds after which a bar appears."

T = TypeVar("T")

_ears: list[list[str]] = []


class ProgressBar(Protocol):
    """What shows how far something is; a context manager."""

    total: Any
    "What there is to do in all, as far as it is known."

    def update(self, n: int = 1) -> Any:
        """So much more is done."""

    def set_postfix(self, **values: Any) -> Any:
        """What stands behind the numbers from now on."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> Any: ...


class ProgressLines:
    """The same as lines."""

    def __init__(
        self,
        title: str,
        *,
        total: int,
        unit: str,
        initial: int = 0,
        last_line: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`last_line`: one at the end in any case, not only where there were some before; `clock` counts seconds."""
        self._title, self.total, self._unit, self._clock = title, total, unit, clock
        self._done = self._initial = initial
        self._last_line = last_line
        self._begin = self._told = clock()
        self._values: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Say what it was in all."""
        if not (self._last_line or self._told > self._begin):
            return
        seconds = self._clock() - self._begin
        of = f" of {self.total:,}" if self._done < self.total else ""
        tell(f"{self._title}: {self._done:,}{of} {self._unit}s in {duration(seconds)}{self._rate(seconds)}{self._behind()}")

    def update(self, n: int = 1) -> None:
        """So much more is done."""
        self._done += n
        now = self._clock()
        if now - self._told < EVERY:
            return
        self._told = now
        seconds, more = now - self._begin, self._done - self._initial
        share = f" ({self._done / self.total:.0%})" if self.total else ""
        left = f", {duration(seconds * (self.total - self._done) / more)} to go" if more > 0 else ""
        done = f"{self._done:,} of {self.total:,} {self._unit}s"
        tell(f"{self._title}: {done}{share}{self._rate(seconds)}{left}{self._behind()}")

    def set_postfix(self, **values: Any) -> None:
        """What stands behind the numbers from now on."""
        self._values = {name: value for name, value in values.items() if name != "refresh"}

    def _rate(self, seconds: float) -> str:
        more = self._done - self._initial
        return f", {pace(more / seconds, self._unit)}" if more > 0 and seconds > 0 else ""

    def _behind(self) -> str:
        return "".join(f", {name} {value}" for name, value in self._values.items())


def progress_bar(
    title: str, *, total: int, unit: str, initial: int = 0, scaled: bool = False, stays: bool = False, shown: bool = True
) -> ProgressBar:
    """How far something is.  `scaled`: large numbers as 1.2M; `stays`: what it was in all is still to be read at the end."""
    if shown and not is_terminal():
        return ProgressLines(title, total=total, unit=unit, initial=initial, last_line=stays)
    from tqdm import tqdm  # most commands show no bar

    bar = tqdm(
        total=total, initial=initial, desc=title, unit=unit, unit_scale=scaled, delay=DELAY, leave=stays, disable=not shown
    )
    return cast(ProgressBar, bar)


def progress_over(parts: Iterable[T], title: str, *, unit: str = "part", shown: bool = True) -> Iterator[T]:
    """The parts (of a known number), each counted when the next is asked for."""
    assert isinstance(parts, Sized)
    with progress_bar(title, total=len(parts), unit=unit, shown=shown) as bar:
        for part in parts:
            yield part
            bar.update()


def is_terminal() -> bool:
    """Whether somebody looks on: stderr is a terminal."""
    return sys.stderr.isatty()


@contextlib.contextmanager
def hearing() -> Iterator[list[str]]:
    """Have the lines that are told within the block in a list, and nothing of them on stderr."""
    lines: list[str] = []
    _ears.append(lines)
    try:
        yield lines
    finally:
        _ears.remove(lines)


def is_heard(text: str) -> bool:
    """Whether somebody takes a line in place of stderr."""
    if _ears:
        _ears[-1].append(text)
    return bool(_ears)


def tell(text: str) -> None:
    """A line on stderr, beside the bars that may stand there."""
    if is_heard(text):
        return
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)
    sys.stderr.flush()


def duration(seconds: float) -> str:
    """1:02:03, 2:03 or 0:03; below ten seconds with a decimal."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def pace(per_second: float, unit: str) -> str:
    """3.2 steps/s, or 4.1 s a step."""
    if per_second >= 1:
        return f"{per_second:,.1f} {unit}s/s" if per_second < 100 else f"{per_second:,.0f} {unit}s/s"
    return f"{1 / per_second:,.1f} s a {unit}"
