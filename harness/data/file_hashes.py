"""SHA-256 of data files, remembered in the user's cache folder by path, size, inode and both times.

files_fingerprint([path])       # 'file:4f53cda18c2baa0c'
"""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.api.cache import cache_folder, recall, remember
from harness.api.errors import UserError


def files_fingerprint(paths: Sequence[Path]) -> str:
    """`file:` and 16 hex digits that change when the bytes of any file or their order change, whatever the file names.

    Raises UserError for a file that cannot be read.
    """
    try:
        digests = _digests(paths)
    except OSError as error:
        raise UserError("cannot be read", where=str(error.filename), found=error.strerror or str(error)) from error
    joint = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return f"file:{joint[:16]}"


def combined_fingerprint(kind: str, fingerprints: Sequence[str]) -> str:
    """One fingerprint for several: that of one alone stays as it is, more get `kind:` and 16 hex digits over all of them."""
    if len(fingerprints) == 1:
        return fingerprints[0]
    return f"{kind}:" + hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()[:16]


class _State(NamedTuple):
    """A file as its digest is remembered for: a file that is replaced by another is another inode or has another change time."""

    path: str
    size: int
    inode: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> "_State":
        """The state of a file now."""
        stat = path.stat()
        return cls(str(path.resolve()), stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns)

    @property
    def is_settled(self) -> bool:
        """Whether the file was left alone for so long that a change would show in its times, whatever their resolution."""
        return time.time_ns() - max(self.ctime_ns, self.mtime_ns) > DOUBT_NS


DOUBT_NS = 2_000_000_000
"Within so many nanoseconds after a change a file may change again and show the same times (FAT counts in steps of 2 s)."
_SEEN: dict[_State, str] = {}
"Digests that this process has asked for."


def _digests(paths: Sequence[Path]) -> list[str]:
    """SHA-256 of each file; the store is read and written once, since treebanks and CCGbank are thousands of files."""
    states = [_State.of(path) for path in paths]
    store = cache_folder() / "file_hashes.json"
    fresh: dict[str, list[int | str]] = {}
    digests: dict[_State, str] = {}
    known = recall(store) if any(state not in _SEEN for state in states) else {}
    for state in dict.fromkeys(states):
        entry = known.get(state.path, [])
        if state in _SEEN:
            digests[state] = _SEEN[state]
        elif entry[:-1] == list(state[1:]):
            digests[state] = str(entry[-1])
        else:
            with open(state.path, "rb") as file:
                digests[state] = hashlib.file_digest(file, "sha256").hexdigest()
            if state.is_settled:
                fresh[state.path] = [*state[1:], digests[state]]
    _SEEN.update({state: digest for state, digest in digests.items() if state.is_settled})
    if fresh:
        # When two processes do so at once, entries of one are lost and hashed again later.
        remember(store, {**recall(store), **fresh})
    return [digests[state] for state in states]
