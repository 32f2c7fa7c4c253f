"""What the C library does with blocks of main memory that are freed: kept for the next ones, or returned to the system.

settle_heap(trains=False)       # before the weights of a stage are loaded
return_blocks(1 << 20)          # of so many bytes or more, each when it is freed

By itself glibc lets its settings grow with what is freed: how fast a pass is depends on what went before.  Where another C
library is in use nothing happens.
"""

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD = -1
"Of mallopt(3): how many bytes may be free at the top of the heap; what is above them is returned."
M_MMAP_THRESHOLD = -3
"Of mallopt(3): from how many bytes on a block is mapped, and so returned when it is freed."
MIB = 1 << 20
MAPPED_BYTES = 32 * MIB
"The most that glibc lets it grow to by itself, and that older versions of it take."
LOGITS_BYTES = 64 * MIB
"The same for a prediction: more than models/inference/language_model.py makes of logits at once."
TRAINING_BYTES = 64 * MIB
"""What a training may leave free at the top: twice the former, as glibc has it by itself.  More made no difference
(multilingual-e5-small on PAN-X, two threads)."""
PREDICTING_BYTES = 256 * MIB
"""What a prediction may leave free there, more than a pass and its logits free at once: returned, all of it is asked for again by
the next pass, page by page.  SmolLM2-135M in bfloat16 on one thread answered 12 questions with letters in 6.4 and 6.6 s with 64
MiB, in 4.7 and 5.3 with 256, in 4.8 and 5.0 with 1,024."""


def settle_heap(*, trains: bool) -> None:
    """Fix what this process keeps of freed blocks for a stage, and return what an earlier one left."""
    with suppress(OSError, AttributeError):  # other systems have no such functions
        library = ctypes.CDLL(None)
        if trains or not library.mallopt(M_MMAP_THRESHOLD, LOGITS_BYTES):
            library.mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, TRAINING_BYTES if trains else PREDICTING_BYTES)
        library.malloc_trim(0)


def return_blocks(num_bytes: int) -> None:
    """Have blocks of so many bytes or more returned to the system as soon as they are freed."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, num_bytes)
