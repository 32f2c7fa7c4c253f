"""Disks of a few kilobytes, for tests that fill them.

with small_disk(tmp_path / "disk", kib=300) as disk:       # skipped with a reason where none can be mounted
    disk.resize(kib=9000); disk.read_only()
"""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Disk:
    folder: Path

    def resize(self, *, kib: int) -> None:
        _run("mount", "-o", f"remount,rw,size={kib}k", str(self.folder))

    def read_only(self) -> None:
        _run("mount", "-o", "remount,ro", str(self.folder))

    def fill(self) -> Path:
        """A file that takes all that is left."""
        path = self.folder / "full"
        with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        return path


@contextlib.contextmanager
def small_disk(folder: Path, *, kib: int) -> Iterator[Disk]:
    """A file system in memory of so many KiB, for as long as the block lasts."""
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        _run("umount", str(folder))


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
