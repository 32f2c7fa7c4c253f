"""What a model said, streamed to disk feature by feature, so that a killed prediction goes on where it was.

    store = open_partials(folder, vectors=False)
    store.write([(17, {"start": 3}), (18, {"start": 9})])     # on disk when the call returns
    17 in store, store.missing(100), store.read(num_features)

JSON partials are lines `[number, partial]`; a torn last line is dropped when the file is opened again.  Vectors are rows of a
float32 file, each in its own place, so that they are read as they lie; places not yet written take no room.  A row counts once
its number stands in a journal beside the file, which is written afterwards.  Memory holds where things stand, no more.
"""

import json
import mmap
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias, overload

import numpy as np

from harness.api.protocols import Partial

VECTORS_FILE = "vectors.f32"
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class _There:
    """Which numbers are there."""

    def __init__(self) -> None:
        self._marks = bytearray()

    def __contains__(self, number: int) -> bool:
        return number < len(self._marks) and bool(self._marks[number])

    def note(self, number: int) -> None:
        """From now on it is there."""
        if number >= len(self._marks):
            self._marks.extend(bytes(max(number + 1, 2 * len(self._marks)) - len(self._marks)))
        self._marks[number] = 1

    def count(self) -> int:
        """How many are there."""
        return self._marks.count(1)

    def missing(self, num_features: int) -> np.ndarray:
        """Bool [num_features]: which of the first so many numbers are not there now."""
        return np.frombuffer(bytes(self._marks[:num_features]).ljust(num_features, b"\0"), dtype=np.uint8) == 0


class JsonPartials:
    """Partials as JSON lines."""

    def __init__(self, folder: Path, rank: int) -> None:
        """Open for appending; what other processes wrote counts as well."""
        self._path = folder / f"partials-{rank}.jsonl"
        self._there = _There()
        self._paths = sorted({*folder.glob("partials-*.jsonl"), self._path})
        self._own = self._paths.index(self._path)
        self._begins, self._ends, self._files = array("q"), array("q"), array("i")
        self._size = 0
        for file, path in enumerate(self._paths):
            if path.exists():
                size = 0
                for line in _whole_lines(path, mine=path == self._path):
                    self._note(int(line[1 : line.index(b",")]), file, size, size + len(line))
                    size += len(line)
                self._size = size if file == self._own else self._size
        self._file = self._path.open("ab")

    def __contains__(self, number: int) -> bool:
        return number in self._there

    def _note(self, number: int, file: int, begin: int, end: int) -> None:
        if number >= len(self._begins):
            more = max(number + 1, 2 * len(self._begins)) - len(self._begins)
            for places in (self._begins, self._ends, self._files):
                places.extend([0] * more)
        self._begins[number], self._ends[number], self._files[number] = begin, end, file
        self._there.note(number)

    def missing(self, num_features: int) -> np.ndarray:
        """Bool [num_features]: which features are not there now."""
        return self._there.missing(num_features)

    def write(self, answers: Iterable[tuple[int, Partial]]) -> None:
        """Append the partials of some features."""
        lines, places = [], []
        size = self._size
        for number, partial in answers:
            line = (_ENCODER.encode([number, partial]) + "\n").encode()
            lines.append(line)
            places.append((number, size, size + len(line)))
            size += len(line)
        self._file.write(b"".join(lines))
        self._file.flush()
        self._size = size
        for number, begin, end in places:
            self._note(number, self._own, begin, end)

    def read(self, num_features: int) -> Sequence[Partial] | None:
        """All partials in the order of the features, each read when it is asked for; None while some are missing."""
        if self._there.count() != num_features:
            return None
        return _JsonLines(self._paths, files=self._files, begins=self._begins, ends=self._ends, number=num_features)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _JsonLines(Sequence[Partial]):
    """Partials that lie in files."""

    def __init__(
        self, paths: Sequence[Path], *, files: "array[int]", begins: "array[int]", ends: "array[int]", number: int
    ) -> None:
        """Takes the files, and of each partial its file, where its line begins there and where it ends."""
        self._contents = [_mapped(path) for path in paths]
        self._files, self._begins, self._ends, self._number = files, begins, ends, number

    def __len__(self) -> int:
        return self._number

    @overload
    def __getitem__(self, place: int) -> Partial: ...

    @overload
    def __getitem__(self, place: slice) -> list[Partial]: ...

    def __getitem__(self, place: int | slice) -> Partial | list[Partial]:
        if isinstance(place, slice):
            lines = b",".join(self._line(number) for number in range(*place.indices(len(self))))
            return [partial for _, partial in json.loads(f"[{lines.decode()}]")]
        if not 0 <= place < self._number:
            raise IndexError(f"partial {place} of {self._number}")
        partial: Partial = json.loads(self._line(place).decode())[1]
        return partial

    def _line(self, place: int) -> bytes:
        return self._contents[self._files[place]][self._begins[place] : self._ends[place]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(own == its for own, its in zip(self, other))

    __hash__ = None  # type: ignore[assignment]  # as a list


def _mapped(path: Path) -> mmap.mmap | bytes:
    if not path.exists() or not path.stat().st_size:
        return b""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


class VectorPartials:
    """Partials as rows of one float32 matrix in a file that all processes share, row n being that of feature n."""

    def __init__(self, folder: Path, rank: int) -> None:
        """Open for writing; a row without its journal entry is written again."""
        self._rows = folder / VECTORS_FILE
        self._journal = folder / f"vectors-{rank}.done"
        self._there = _There()
        self._dimension = 0
        for journal in sorted(folder.glob("vectors-*.done")):
            for line in _whole_lines(journal, mine=journal == self._journal):
                number, self._dimension = json.loads(line)
                self._there.note(number)
        self._file = os.open(self._rows, os.O_RDWR | os.O_CREAT, 0o666)  # others may write to it already

    def __contains__(self, number: int) -> bool:
        return number in self._there

    def missing(self, num_features: int) -> np.ndarray:
        """Bool [num_features]: which features are not there now."""
        return self._there.missing(num_features)

    def write(self, answers: Iterable[tuple[int, Partial]]) -> None:
        """Write vectors to their places, then their journal."""
        lines, numbers = [], []
        for number, vector in answers:
            row = np.ascontiguousarray(vector, dtype=np.float32)
            self._dimension = row.shape[-1]
            _write_at(self._file, row.tobytes(), number * row.nbytes)
            numbers.append(number)
            lines.append(b"[%d, %d]\n" % (number, self._dimension))
        with self._journal.open("ab", buffering=0) as journal:
            journal.write(b"".join(lines))
        for number in numbers:
            self._there.note(number)

    def read(self, num_features: int) -> np.ndarray | None:
        """All vectors in the order of the features [N, D], memory-mapped and read-only; None while some are missing."""
        if self._there.count() != num_features:
            return None
        if not num_features:
            return np.zeros((0, 0), dtype=np.float32)
        return np.asarray(np.memmap(self._rows, dtype=np.float32, mode="r", shape=(num_features, self._dimension)))

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _write_at(file: int, content: bytes, place: int) -> None:
    """Write all of some bytes at a place of a file: the system may take fewer at a time."""
    left = memoryview(content)
    while left:
        written = os.pwrite(file, left, place)
        left, place = left[written:], place + written


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


def _whole_lines(path: Path, *, mine: bool) -> Iterator[bytes]:
    """The complete lines of a file; a torn last one (the process died while writing it) is cut off where the file is ours."""
    size = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                size += len(line)
                yield line
    if mine and size != path.stat().st_size:
        with path.open("r+b") as handle:
            handle.truncate(size)
