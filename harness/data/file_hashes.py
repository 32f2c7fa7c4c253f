"""SHA-256 of data files, remembered in the user's cache folder by path, size, inode and both times.

files_fingerprint([path])       # 'file:4f53cda18c2baa0c'
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.api.cache_entries import CacheEntries, cache_entries
from harness.api.errors import UserError
from harness.api.file_states import FileState, clock


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


class _Hashed(NamedTuple):
    """A digest, and the file that it was taken of."""

    state: FileState
    looked_at: int
    "Nanoseconds of the clock when reading began."
    digest: str

    def serves(self, state: FileState) -> bool:
        """Whether it is that of a file in such a state."""
        return self.state == state and state.is_certain(looked_at=self.looked_at, now=clock())


_SEEN: dict[str, _Hashed] = {}
"Digests that this process has asked for, by path."


def _digests(paths: Sequence[Path]) -> list[str]:
    """SHA-256 of each file; what is new is added to the store at once, since treebanks and CCGbank are thousands of files."""
    store = cache_entries("file_hashes")
    names = [str(path.resolve()) for path in paths]
    fresh: dict[str, _Hashed] = {}
    found: dict[str, _Hashed] = {}
    for name in dict.fromkeys(names):
        state = FileState.of(Path(name))
        known = _SEEN.get(name)
        if known is None or not known.serves(state):
            known = _stored(store, name)
        if known is None or not known.serves(state):
            known = _read(name, state)
            if known.serves(state):  # in doubt for ever, if it had just been changed: nothing to remember
                fresh[name] = known
        found[name] = known
    _SEEN.update(found)
    if fresh:
        store.add({name: [*known.state, known.looked_at, known.digest] for name, known in fresh.items()})
    return [found[name].digest for name in names]


def _stored(store: CacheEntries, name: str) -> _Hashed | None:
    entry = store.get(name)
    if entry is None:
        return None
    *state, looked_at, digest = entry
    return _Hashed(FileState(*map(int, state)), int(looked_at), str(digest))


def _read(name: str, state: FileState) -> _Hashed:
    """The digest of a file that was in some state before it is read."""
    looked_at = clock()
    with open(name, "rb") as file:
        return _Hashed(state, looked_at, hashlib.file_digest(file, "sha256").hexdigest())
