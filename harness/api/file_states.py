"""Whether a file is still the one that was looked at, by what its file system says of it, without reading it.

state, looked_at = FileState.of(path), clock()
digest = ...                                                # read the content
later = FileState.of(path)
later == state and later.is_certain(looked_at=looked_at, now=clock())      # else the content decides
"""

import time
from pathlib import Path
from typing import NamedTuple

DOUBT_NS = 2_000_000_000
"Within so many nanoseconds after a change a file may change again and show the same times (FAT counts in steps of 2 s)."
COARSE_NS = 1_000_000
"Times that are all multiples of this come from a file system (FAT, exFAT, HFS+, old ext) whose steps two changes fit in."


class FileState(NamedTuple):
    """What is known of a file without its content: one that is replaced by another has another inode or change time."""

    size: int
    inode: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> "FileState":
        """The state of a file now; raises OSError."""
        stat = path.stat()
        return cls(stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns)

    def is_certain(self, *, looked_at: int, now: int) -> bool:
        """Whether a file that shows this state now, and showed it when it was looked at, cannot have changed in between.

        In doubt are: a file that had just been changed when it was looked at; times without fractions of a second, which a
        second change may show as well; and a clock that was set back since, for it comes by the same times again.
        """
        if self.ctime_ns % COARSE_NS == 0:
            return False
        return max(self.ctime_ns, self.mtime_ns) + DOUBT_NS < looked_at <= now


def clock() -> int:
    """Nanoseconds of the clock that file systems take their times from."""
    return time.time_ns()
