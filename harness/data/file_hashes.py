"""SHA-256 of data files, remembered in the user's cache folder by path, size and time of change.

files_fingerprint([path])       # 'file:4f53cda18c2baa0c'
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.api.cache import cache_folder, remember


def files_fingerprint(paths: Sequence[Path]) -> str:
    """`file:` and 16 hex digits that change when the bytes of any file or their order change, whatever the file names."""
    digests = _digests(paths)
    joint = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return f"file:{joint[:16]}"


def combined_fingerprint(kind: str, fingerprints: Sequence[str]) -> str:
    """One fingerprint for several: that of one alone stays as it is, more get `kind:` and 16 hex digits over all of them."""
    if len(fingerprints) == 1:
        return fingerprints[0]
    return f"{kind}:" + hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()[:16]


class _State(NamedTuple):
    """A file as its digest is remembered for."""

    path: str
    size: int
    mtime_ns: int


_SEEN: dict[_State, str] = {}
"Digests that this process has asked for."


def _digests(paths: Sequence[Path]) -> list[str]:
    """SHA-256 of each file; the store is read and written once, since treebanks and CCGbank are thousands of files."""
    states = [_State(str(path.resolve()), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in paths]
    store = cache_folder() / "file_hashes.json"
    fresh: dict[str, list[int | str]] = {}
    known = _known(store) if any(state not in _SEEN for state in states) else {}
    for state in states:
        if state not in _SEEN:
            entry = known.get(state.path, [])
            if entry[:2] != [state.size, state.mtime_ns]:
                with open(state.path, "rb") as file:
                    entry = [state.size, state.mtime_ns, hashlib.file_digest(file, "sha256").hexdigest()]
                fresh[state.path] = entry
            _SEEN[state] = str(entry[2])
    if fresh:
        # When two processes do so at once, entries of one are lost and hashed again later.
        remember(store, {**_known(store), **fresh})
    return [_SEEN[state] for state in states]


def _known(store: Path) -> dict[str, list[int | str]]:
    try:
        content = json.loads(store.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):  # none yet, or from a machine that stopped while writing: hash again
        return {}
    return content if isinstance(content, dict) else {}
