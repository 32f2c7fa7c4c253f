"""Whether the steps of a training take far longer than they should, and why: said once.

pace = Pace(threads=2, cores=2)
with pace.step(tokens=4096):          # around the work of each step
    ...
pace.remark()                         # None, or 'a step takes 40.0 s, 11.4 times as long as before: the machine is busy ...'
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator

WINDOW = 20.0
"Seconds of work after which it is looked at."
FAR = 3.0
"Times as long as in the fastest window so far, for the same number of tokens."
SHARE = 0.6
"Share of the time of its threads that a process of a busy machine gets at most."
BUSY = 1.2
"Load of each core from which a machine is busy."


class Pace:
    """Times the steps of a training."""

    def __init__(
        self,
        *,
        threads: int,
        cores: int,
        clock: Callable[[], float] = time.monotonic,
        worked: Callable[[], float] = time.process_time,
        load: Callable[[], float] = lambda: os.getloadavg()[0],
    ) -> None:
        """`threads` compute on a machine of so many `cores` (0: a GPU does); the rest are the clocks of the system."""
        self._threads, self._cores = threads, cores
        self._clock, self._worked, self._load = clock, worked, load
        self._seconds = self._cpu = 0.0
        self._tokens = self._steps = 0
        self._fastest: float | None = None
        self._remark: str | None = None
        self._said = False

    @contextlib.contextmanager
    def step(self, *, tokens: int) -> Iterator[None]:
        """A step over so many tokens."""
        begin, worked = self._clock(), self._worked()
        yield
        self._seconds += self._clock() - begin
        self._cpu += self._worked() - worked
        self._tokens += max(1, tokens)
        self._steps += 1
        if self._seconds >= WINDOW:
            self._look()
            self._seconds = self._cpu = 0.0
            self._tokens = self._steps = 0

    def remark(self) -> str | None:
        """What is to be said, the first time that there is something."""
        found, self._remark = self._remark, None
        self._said = self._said or found is not None
        return found

    def _look(self) -> None:
        """Compare a window with the fastest one, and the time of the processors with the time that went by."""
        own = self._seconds / self._tokens
        times = own / self._fastest if self._fastest else 1.0
        self._fastest = min(own, self._fastest or own)
        got = self._cpu / (self._seconds * self._threads) if self._threads else 1.0
        load = self._load()
        is_busy = self._cores > 0 and load > BUSY * self._cores
        if self._said or not (times >= FAR or (is_busy and got < SHARE)):
            return
        slower = f", {times:.1f} times as long as before" if times >= FAR else ""
        if is_busy:
            why = f"the machine is busy: a load of {load:.1f} on {self._cores} cores, of which this process gets {got:.0%} of its"
            why += f" {self._threads} threads' time; less beside it, or OMP_NUM_THREADS=1, makes it faster"
        elif self._cores:
            why = f"not for want of processors (a load of {load:.1f} on {self._cores} cores): memory, disk or heat may be short"
        else:
            why = "something else may use the device"
        self._remark = f"a step takes {self._seconds / self._steps:.1f} s{slower}: {why}"
