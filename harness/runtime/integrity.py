"""What a finished stage wrote, with sizes and hashes, and whether it still is what was written.

    files = seal(folder)              # {'predictions.jsonl': {'size': 8120, 'xxh3': '9f0c...'}, ...}; all of it is on disk now
    damage(folder, files)             # '' or "predictions.jsonl has changed since it was written"

Small files are hashed whenever they are asked about.  Large ones (weights) are not hashed again while size, inode and both times
are those of a record in the user's cache folder; `deep` hashes everything.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.api.cache import file_hash
from harness.api.cache_entries import cache_entries
from harness.api.file_states import FileState, clock

TEMPORARY = (".", "state-", "best-", "partials-", "vectors", "bundle")
"Beginnings of the names of what a stage needs only while it runs."
UNSEALED = ("lock", "done.json", "error.txt")
"Files of a stage's folder that are no part of its result."
LARGE = 1 << 24
"Bytes from which a file is not hashed again while nothing about it has changed."
REMOVABLE = "checkpoint"
"Folder that --keep may have removed once all that needs it is done."


def seal(folder: Path, *, part: int = 0, parts: int = 1) -> dict[str, dict[str, Any]]:
    """Sizes and hashes of the files of a folder (relative name -> entry), written to disk before they are told.

    Where several processes share the work, each takes one of the `parts`.
    """
    found: dict[str, dict[str, Any]] = {}
    folders = {folder}
    for path in _files(folder)[part::parts]:
        with path.open("rb") as file:
            os.fsync(file.fileno())
        found[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size, "xxh3": file_hash(path)}
        folders.add(path.parent)
    for each in sorted(folders):
        sync_folder(each)
    return found


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def damage(folder: Path, files: Mapping[str, Mapping[str, Any]], *, only: Iterable[str] = (), deep: bool = False) -> str:
    """What of the files is not as it was written, in words; empty where all are.  `only`: of the listed ones, look at these."""
    names = set(only)
    for name, entry in files.items():
        if names and name not in names:
            continue
        path = folder / name
        if not path.is_file():
            if name.startswith(f"{REMOVABLE}/") and not (folder / REMOVABLE).exists():
                continue
            return f"{name} is missing"
        if path.stat().st_size != entry["size"]:
            return f"{name} has {path.stat().st_size:,} bytes, not {entry['size']:,}"
        if _known_hash(path, deep=deep) != entry["xxh3"]:
            return f"{name} has changed since it was written"
    return ""


def _files(folder: Path) -> list[Path]:
    """The files of a stage's result, sorted by name."""
    kept = [path for path in folder.iterdir() if path.name not in UNSEALED and not path.name.startswith(TEMPORARY)]
    inner = [path for top in kept for path in (top.rglob("*") if top.is_dir() else [top])]
    return sorted(path for path in inner if path.is_file())


def _known_hash(path: Path, *, deep: bool) -> str:
    """The hash of a file; of a large one as it is remembered, unless anything about it has changed."""
    state, now = FileState.of(path), clock()
    if state.size < LARGE:
        return file_hash(path)
    store = cache_entries("verified")
    *before, looked_at, digest = store.get(str(path.resolve())) or [0, ""]
    if deep or before != list(state) or not state.is_certain(looked_at=looked_at, now=now):
        digest = file_hash(path)
        if state.is_certain(looked_at=now, now=clock()):  # else it is in doubt for ever
            store.add({str(path.resolve()): [*state, now, digest]})
    return str(digest)
