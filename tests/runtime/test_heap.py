"""What is kept of freed memory: a pass asks the system for nothing that the one before it had; another stage gets it all."""

import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")

MIB = 1 << 20
SCRIPT = """
import ctypes, resource, sys
from harness.runtime.heap import return_blocks, settle_heap

library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes, library.memset.argtypes = [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
MIB = 1 << 20

def blocks(sizes):
    found = [library.malloc(size * MIB) for size in sizes]
    for block, size in zip(found, sizes):
        library.memset(block, 1, size * MIB)
    return found

def free(found):
    for block in reversed(found):
        library.free(block)

def faults(sizes):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    free(blocks(sizes))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * resource.getpagesize() // MIB

"""


def said(script: str) -> list[int]:
    """The numbers that a process of its own prints: settings are those of a process."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_", "LD_PRELOAD"))}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + script], capture_output=True, text=True, check=True, cwd=root, env=plain
    )
    return [int(number) for number in done.stdout.split()]


def test_a_pass_asks_for_nothing_that_the_one_before_it_freed():
    pages = sum(range(16, 29, 4)) * MIB // resource.getpagesize()
    by_itself, first, second = said(
        "pass_ = [16, 20, 24, 28]; faults(pass_); faults(pass_)\n"
        "print(faults(pass_)); settle_heap(trains=False); print(faults(pass_), faults(pass_))"
    )
    assert by_itself > 0.5 * pages  # what is above 64 MiB at the top of the heap is returned, and asked for again
    assert first > 0.9 * pages  # an earlier stage left nothing
    assert second < 0.01 * pages


def test_what_a_stage_kept_is_returned_before_the_next_one():
    start, kept, left = said(
        "print(resident()); settle_heap(trains=False); faults([24] * 8); print(resident())\n"
        "settle_heap(trains=True); print(resident())"
    )
    assert kept > start + 180
    assert left < start + 20


def test_a_training_keeps_what_glibc_would_keep_by_itself():
    start, little, much = said(
        "settle_heap(trains=True); print(resident()); faults([24, 24]); print(resident()); faults([24] * 8); print(resident())"
    )
    assert little > start + 40
    assert much < start + 70


def test_blocks_of_a_size_are_returned_when_they_are_freed_whatever_lies_above_them():
    start, left = said(
        "return_blocks(MIB); print(resident()); found = blocks([2] * 50 + [2]); free(found[:-1]); print(resident())"
    )
    assert left < start + 10
