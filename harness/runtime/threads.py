"""How many threads compute and how they wait for each other: settled before torch is loaded, which reads it once.

settle_threads(os.environ)      # sets OMP_NUM_THREADS, OMP_WAIT_POLICY and RAYON_NUM_THREADS, where the user has not
usable_cores()                  # physical cores that this process may use; never what happens to be idle just now
with short_turns(): ...         # Python code of other threads keeps the one that feeds a device waiting for a moment only

The number of threads rounds results, so it hangs on the machine alone and not on its load.  Threads that wait in a loop for the
others of their team, which is the default of OpenMP, take the cores that these need wherever something else runs beside them.
"""

import contextlib
import math
import os
import sys
import threading
from collections.abc import Collection, Iterator, MutableMapping
from pathlib import Path

NUMBERS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"Variables by which a user says how many threads compute."
TOKENIZERS = "RAYON_NUM_THREADS"
"Variable by which a user says how many threads cut texts into tokens."
WAITS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"Variables by which a user says how threads wait."
TURN = 5e-5
"Seconds for which a thread runs Python while another wants to; Python's own 5 ms are longer than most operations of a device."


def settle_threads(environment: MutableMapping[str, str]) -> None:
    """Say in the environment how many threads compute and that they sleep while they wait, where the user says nothing."""
    if not any(environment.get(name) for name in WAITS):
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
    if not any(environment.get(name) for name in NUMBERS):
        beside = environment.get("LOCAL_WORLD_SIZE", "1")  # processes of this job on this machine
        environment["OMP_NUM_THREADS"] = str(max(1, usable_cores() // (int(beside) if beside.isdigit() and int(beside) else 1)))
    chosen = next((environment[name] for name in NUMBERS if environment.get(name, "").isdigit()), None)
    if chosen and not environment.get(TOKENIZERS):
        environment[TOKENIZERS] = chosen


@contextlib.contextmanager
def short_turns(wanted: bool = True) -> Iterator[None]:
    """Let threads that run Python take turns often.

    Each operation of torch gives the interpreter away and waits for it again: beside a thread that reads rows a forward pass of
    some hundred operations would otherwise wait for hundreds of its turns.
    """
    if not wanted:
        yield
        return
    with _TURNS.lock:
        if not _TURNS.wanted_by:
            _TURNS.before = sys.getswitchinterval()
            sys.setswitchinterval(min(_TURNS.before, TURN))
        _TURNS.wanted_by += 1
    try:
        yield
    finally:
        with _TURNS.lock:
            _TURNS.wanted_by -= 1
            if not _TURNS.wanted_by:
                sys.setswitchinterval(_TURNS.before)


class _Turns:
    """Who wants short turns: the interpreter has one length for all threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted_by = 0
        self.before = 0.0


_TURNS = _Turns()


def usable_cores(*, system: Path = Path("/"), allowed: Collection[int] | None = None) -> int:
    """Physical cores among the processors that this process may run on, at most what its cgroups allow; at least 1.

    `system` is the folder that holds `sys` and `proc`; `allowed` the processors (default: those of the process's affinity).
    """
    if allowed is None:
        own = getattr(os, "sched_getaffinity", None)  # not on macOS
        allowed = own(0) if own else range(os.cpu_count() or 1)
    cores = {_siblings(system, number) for number in allowed}
    quota = cpu_quota(system=system)
    return max(1, min(len(cores), math.ceil(quota)) if quota else len(cores))


def _siblings(system: Path, number: int) -> str:
    """The processors of the core that a processor belongs to; itself where the system does not say."""
    return _line(system / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list") or str(number)


def cpu_quota(*, system: Path = Path("/")) -> float | None:
    """Processors' worth of time that the cgroups of this process and those above them allow; None where nothing limits it."""
    found = []
    for line in _text(system / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0":
            top, second = system / "sys/fs/cgroup", False
        elif "cpu" in names.split(","):
            top, second = system / "sys/fs/cgroup" / "cpu", True
        else:
            continue
        folder = top / path.lstrip("/")
        for each in (folder, *folder.parents):
            found.append(_quota_of_first_version(each) if second else _quota_of_second_version(each))
            if each == top:
                break
    limits = [quota for quota in found if quota]
    return min(limits) if limits else None


def _quota_of_second_version(folder: Path) -> float | None:
    """`cpu.max`: microseconds of a period, or `max`."""
    quota, _, period = _line(folder / "cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _quota_of_first_version(folder: Path) -> float | None:
    quota, period = (_line(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _line(path: Path) -> str:
    return _text(path).strip()


def _text(path: Path) -> str:
    """A file of the system; empty where it is not there."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
