"""What a model said, streamed to disk feature by feature, so that a killed prediction goes on where it was.

    store = open_partials(folder, vectors=False)
    store.write([(17, {"start": 3}), (18, {"start": 9})])     # on disk when the call returns
    17 in store, store.read(num_features)

JSON partials are lines `[number, partial]`; a torn last line is dropped when the file is opened again.  Vectors are rows of a
float32 file, each in its own place, so that they are read as they lie; places not yet written take no room.  A row counts once
its number stands in a journal beside the file, which is written afterwards.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from harness.api.protocols import Partial

VECTORS_FILE = "vectors.f32"


class JsonPartials:
    """Partials as JSON lines."""

    def __init__(self, folder: Path, rank: int) -> None:
        """Open for appending; what other processes wrote is read as well."""
        self._path = folder / f"partials-{rank}.jsonl"
        self._found: dict[int, Partial] = {}
        for path in sorted(folder.glob("partials-*.jsonl")):
            for line in _whole_lines(path, mine=path == self._path):
                number, partial = json.loads(line)
                self._found[number] = partial
        self._file = self._path.open("a", encoding="utf-8")

    def __contains__(self, number: int) -> bool:
        return number in self._found

    def write(self, answers: Iterable[tuple[int, Partial]]) -> None:
        """Append the partials of some features."""
        lines = []
        for number, partial in answers:
            lines.append(json.dumps([number, partial], ensure_ascii=False, separators=(",", ":")) + "\n")
            self._found[number] = partial
        self._file.write("".join(lines))
        self._file.flush()

    def read(self, num_features: int) -> list[Partial] | None:
        """All partials in the order of the features; None while some are missing."""
        return [self._found[n] for n in range(num_features)] if len(self._found) == num_features else None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class VectorPartials:
    """Partials as rows of one float32 matrix in a file that all processes share, row n being that of feature n."""

    def __init__(self, folder: Path, rank: int) -> None:
        """Open for writing; a row without its journal entry is written again."""
        self._rows = folder / VECTORS_FILE
        self._journal = folder / f"vectors-{rank}.done"
        self._there = bytearray()
        self._dimension = 0
        for journal in sorted(folder.glob("vectors-*.done")):
            for line in _whole_lines(journal, mine=journal == self._journal):
                number, self._dimension = json.loads(line)
                self._note(number)
        self._file = os.fdopen(os.open(self._rows, os.O_RDWR | os.O_CREAT, 0o666), "r+b")  # others may write to it already

    def __contains__(self, number: int) -> bool:
        return number < len(self._there) and bool(self._there[number])

    def _note(self, number: int) -> None:
        if number >= len(self._there):
            self._there.extend(bytes(max(number + 1, 2 * len(self._there)) - len(self._there)))
        self._there[number] = 1

    def write(self, answers: Iterable[tuple[int, Partial]]) -> None:
        """Write vectors to their places, then their journal."""
        lines = []
        for number, vector in answers:
            row = np.ascontiguousarray(vector, dtype=np.float32)
            self._dimension = row.shape[-1]
            self._file.seek(number * row.nbytes)
            self._file.write(row.tobytes())
            self._note(number)
            lines.append(json.dumps([number, self._dimension]) + "\n")
        self._file.flush()
        with self._journal.open("a", encoding="utf-8") as journal:
            journal.write("".join(lines))

    def read(self, num_features: int) -> np.ndarray | None:
        """All vectors in the order of the features [N, D], memory-mapped and read-only; None while some are missing."""
        if self._there.count(1) != num_features:
            return None
        if not num_features:
            return np.zeros((0, 0), dtype=np.float32)
        return np.asarray(np.memmap(self._rows, dtype=np.float32, mode="r", shape=(num_features, self._dimension)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


Partials: TypeAlias = JsonPartials | VectorPartials


def open_partials(folder: Path, *, vectors: bool, rank: int = 0) -> Partials:
    """The partials of a prediction stage."""
    folder.mkdir(parents=True, exist_ok=True)
    return VectorPartials(folder, rank) if vectors else JsonPartials(folder, rank)


def remove_partials(folder: Path) -> None:
    """Remove the streamed files once predictions.jsonl stands."""
    for pattern in ("partials-*.jsonl", "vectors*"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def _whole_lines(path: Path, *, mine: bool) -> list[str]:
    """The complete lines of a file; a torn last one (the process died while writing it) is cut off where the file is ours."""
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end != len(content) and mine:
        with path.open("r+b") as handle:
            handle.truncate(end)
    return content[:end].decode().split("\n")[:-1]
