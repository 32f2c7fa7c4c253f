"""Memory-mapped arrays that are read once, piece by piece: the pages of a piece are given back when it was read.

    part = vectors[first : first + 1000]     # a slice of a read-only np.memmap, or of any array
    total = part.sum()
    forget(part)                             # reading it again reads the file again

Pages of a mapped file count as memory of the process for as long as the system likes, so that a file as large as the memory
would look, to a limit on memory, like memory in use.
"""

import mmap

import numpy as np


def forget(part: np.ndarray) -> None:
    """Give back the pages under a slice of a read-only mapping; nothing happens to any other array."""
    owner: object = part
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if not isinstance(owner, mmap.mmap) or part.flags.writeable or not part.size:
        return
    low, high = np.lib.array_utils.byte_bounds(part)
    begin = np.frombuffer(owner, dtype=np.uint8).ctypes.data
    start = (low - begin) // mmap.PAGESIZE * mmap.PAGESIZE
    owner.madvise(mmap.MADV_DONTNEED, start, high - begin - start)
