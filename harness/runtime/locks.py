"""Who works in a stage's folder: a lock that the operating system holds, so that a killed process leaves nothing to remove.

with lock(folder, wait=False) as held:
    ...                             # held: False where another process has it
is_held(folder)
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from harness.runtime.outputs import failed_output

LOCK_FILE = "lock"


@contextlib.contextmanager
def lock(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the stage's lock; yields False at once if another process has it and `wait` is off."""
    while True:
        with _lock_file(folder) as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            except OSError as error:  # a file system that has no locks
                raise failed_output(error, folder) from error
            if not _is_same_file(folder / LOCK_FILE, handle.fileno()):
                continue  # removed while this process waited: a lock on it would keep nobody out
            try:
                yield True
            finally:
                fcntl.flock(handle, fcntl.LOCK_UN)
            return


def _lock_file(folder: Path) -> IO[str]:
    """The open lock file of a stage, whose folder may be removed at any moment: see harness/report/cleaning.py."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return (folder / LOCK_FILE).open("a")
        except FileNotFoundError as error:
            if (folder / LOCK_FILE).is_symlink():
                raise failed_output(error, folder) from error
        except OSError as error:
            raise failed_output(error, folder) from error


def _is_same_file(path: Path, handle: int) -> bool:
    """Whether a path still is the file that was opened."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(handle))


def is_held(folder: Path) -> bool:
    """Whether some process has the lock of a stage; the folder is left as it is."""
    try:
        with (folder / LOCK_FILE).open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
