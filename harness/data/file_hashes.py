"""SHA-256 of data files, remembered in the user's cache folder by path, size and time of change.

files_fingerprint([path])       # 'file:4f53cda18c2baa0c'
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


def cache_folder() -> Path:
    """The user's cache folder of this project: $XDG_CACHE_HOME/xlift, by default ~/.cache/xlift."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "xlift"


def files_fingerprint(paths: Sequence[Path]) -> str:
    """`file:` and 16 hex digits that change when the bytes of any file or their order change, whatever the file names."""
    digests = _digests(paths)
    joint = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return f"file:{joint[:16]}"


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
        _remember(store, fresh)
    return [_SEEN[state] for state in states]


def _known(store: Path) -> dict[str, list[int | str]]:
    try:
        content = json.loads(store.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):  # none yet, or from a machine that stopped while writing: hash again
        return {}
    return content if isinstance(content, dict) else {}


def _remember(store: Path, entries: Mapping[str, list[int | str]]) -> None:
    """Replace the store in one step; when two processes do so at once, entries of one are lost and hashed again later."""
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=store.parent, delete=False, encoding="utf-8") as file:
            json.dump({**_known(store), **entries}, file)
        os.replace(file.name, store)
    except PermissionError:  # a read-only home: the hash is still right, only not remembered
        return
