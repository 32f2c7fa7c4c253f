"""A file of the user's cache to which entries are added: one costs the same, however many there are already.

hashes = cache_entries("file_hashes")                       # file_hashes.entries of the cache folder
hashes.get("/data/a.parquet")                               # what was added last under this name, or None
hashes.add({"/data/a.parquet": [120, 17, "4f53..."]})       # one write at the end of the file, whatever other processes add

What another process adds while a file is made, or halved for its size, may be lost: it is worked out again.  The file is read
once a process, and then what others have added since.  A line begins with the hash of the rest of it: one that
is torn or edited is as good as none.  A file that has grown too large keeps its newest entries.
"""

import json
import os
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import xxhash

from harness.api.cache import FIRST_LINE, cache_folder, replace_file

HEAD = FIRST_LINE + b"entries\n"
LARGEST = 8 << 20
"Bytes above which a file keeps the newer half of its entries: some 40,000 states of files."


def cache_entries(name: str) -> "CacheEntries":
    """The entries of one kind in the cache folder of now."""
    return _opened(cache_folder() / f"{name}.entries")


@cache
def _opened(store: Path) -> "CacheEntries":
    return CacheEntries(store)


class CacheEntries:
    """What is remembered in one file, by name; where it cannot be written, this process alone remembers it."""

    def __init__(self, store: Path, *, largest: int = LARGEST) -> None:
        """Nothing is read before the first question."""
        self._store, self._largest = store, largest
        self._lines: dict[bytes, bytes] = {}
        "The last line of each name, as JSON, the newest at the end; it is looked into when it is asked for."
        self._inode = self._end = 0
        "Which file was read, and up to where; 0 = none."
        self._is_torn = False
        "Whether the file ends within a line."
        self._is_lost = False
        "Whether the file cannot be written."
        self._lock = threading.Lock()

    def get(self, name: str) -> Any:
        """What was added last under a name; None where there is nothing that can be believed."""
        with self._lock:
            self._read()
            line = self._lines.get(json.dumps(name).encode())
        return None if line is None else _value(line)

    def add(self, entries: Mapping[str, Any]) -> None:
        """Remember some entries."""
        lines = [_line(name, value) for name, value in entries.items()]
        with self._lock:
            if not self._is_lost:
                self._read()
                try:
                    self._write(b"".join(line + b"\n" for line in lines))
                except OSError:
                    self._is_lost = True
            self._take(lines)

    def _read(self) -> None:
        """Read what has been added since; a file that is another one, or none of ours, is read from its beginning."""
        try:
            with self._store.open("rb") as file:
                state = os.fstat(file.fileno())
                if (state.st_ino, state.st_size) == (self._inode, self._end) and not self._is_torn:
                    return
                is_ours = file.read(len(HEAD)) == HEAD
                if self._inode and (not is_ours or state.st_ino != self._inode or state.st_size < self._end):
                    self._forget()
                if not is_ours:
                    return
                self._inode = state.st_ino
                file.seek(max(self._end, len(HEAD)))
                content = file.read()
        except OSError:
            if self._inode:
                self._forget()
            return
        whole, newline, torn = content.rpartition(b"\n")
        self._end = max(self._end, len(HEAD)) + len(whole) + len(newline)
        self._is_torn = bool(torn)
        self._take(whole.split(b"\n"))

    def _write(self, lines: bytes) -> None:
        """Add lines to the file, which is made where there is none of ours; raises OSError."""
        if self._inode and self._end + len(lines) <= self._largest:
            with self._store.open("ab", buffering=0) as file:
                file.write(b"\n" * self._is_torn + lines)  # in one piece: processes add at the same time
            return
        kept = self._newest(self._largest // 2)
        self._forget()
        self._take(kept)
        replace_file(self._store, HEAD + b"".join(line + b"\n" for line in kept) + lines)

    def _newest(self, room: int) -> list[bytes]:
        """The newest entries that so many bytes hold."""
        kept = []
        for line in reversed(self._lines.values()):
            room -= len(line) + 1
            if room < 0:
                break
            if _value(line) is not None:
                kept.append(line)
        return kept[::-1]

    def _take(self, lines: list[bytes]) -> None:
        for line in lines:
            name = line.partition(b" ")[2].partition(b"\t")[0]
            self._lines.pop(name, None)  # else it would keep its old place
            self._lines[name] = line

    def _forget(self) -> None:
        self._lines.clear()
        self._inode = self._end = 0
        self._is_torn = False


def _line(name: str, value: Any) -> bytes:
    """The hash, the name and the value, in JSON, which has neither tabs nor ends of lines."""
    content = f"{json.dumps(name)}\t{json.dumps(value)}".encode()
    return xxhash.xxh3_64(content).hexdigest().encode() + b" " + content


def _value(line: bytes) -> Any:
    digest, _, content = line.partition(b" ")
    if digest != xxhash.xxh3_64(content).hexdigest().encode():
        return None
    return json.loads(content.partition(b"\t")[2])
