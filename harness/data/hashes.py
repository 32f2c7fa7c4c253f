"""SHA-256 of data files, remembered in the user's cache folder by path, size and time of change.

files_fingerprint([path])       # 'file:4f53cda18c2baa0c'
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder of this project: $XDG_CACHE_HOME/xlift, by default ~/.cache/xlift."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "xlift"


def files_fingerprint(paths: Sequence[Path]) -> str:
    """`file:` and 16 hex digits that change when the bytes of any file or their order change, whatever the file names."""
    digests = [file_sha256(path) for path in paths]
    joint = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return f"file:{joint[:16]}"


def file_sha256(path: Path) -> str:
    """SHA-256 of the file in hex; read again only if its size or time of change is new."""
    stat = path.stat()
    return _sha256(str(path.resolve()), stat.st_size, stat.st_mtime_ns)


@cache
def _sha256(path: str, size: int, mtime_ns: int) -> str:
    store = cache_folder() / "file_hashes.json"
    known = _known(store)
    if known.get(path, [])[:2] == [size, mtime_ns]:
        return str(known[path][2])
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    _remember(store, path, [size, mtime_ns, digest])
    return digest


def _known(store: Path) -> dict[str, list[int | str]]:
    try:
        content = json.loads(store.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):  # none yet, or from a machine that stopped while writing: hash again
        return {}
    return content if isinstance(content, dict) else {}


def _remember(store: Path, path: str, entry: list[int | str]) -> None:
    """Replace the store in one step; when two processes do so at once, one entry is lost and hashed again later."""
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=store.parent, delete=False, encoding="utf-8") as file:
            json.dump(_known(store) | {path: entry}, file)
        os.replace(file.name, store)
    except PermissionError:  # a read-only home: the hash is still right, only not remembered
        return
