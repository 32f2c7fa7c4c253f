"""The user's cache folder: what is worth remembering between runs and can be made again at any time.

store = cache_folder() / "label_sets/8958ef17.json"
remember(store, {"labels": ["no", "yes"]})
recall(store)["labels"]

What grows entry by entry is kept by `api/cache_entries.py`: a file of this module is read and written whole.

Each file begins with a line that says who wrote it and the hash of what follows.  A file that is torn, foreign, of another
version or edited is as good as none, and so is a folder that cannot be read or written: nobody has to look at what comes back.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import xxhash

from harness.api.file_states import FileState, clock

FIRST_LINE = b"xlift cache 1 "
"Raise the number when what any of the files holds gets another shape."
SEAL = "sealed"
"File of a folder in the cache that says what it holds."
NOWHERE = Path(os.devnull) / "xlift"
"The cache folder of a user who has no home: nothing can be written there."


def cache_folder() -> Path:
    """The cache folder of this project: $XLIFT_CACHE_DIR, else $XDG_CACHE_HOME/xlift, by default ~/.cache/xlift."""
    own, shared = os.environ.get("XLIFT_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME")
    try:
        if own:
            return Path(own).expanduser()
        # The XDG specification has relative paths ignored.
        return (Path(shared) if shared and os.path.isabs(shared) else Path.home() / ".cache") / "xlift"
    except RuntimeError:  # no home
        return NOWHERE


def recall(store: Path) -> dict[str, Any]:
    """The JSON object that a file of the cache holds; empty where there is none that can be believed."""
    try:
        content = json.loads(recall_bytes(store) or b"{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def recall_bytes(store: Path) -> bytes | None:
    """What was remembered in a file of the cache; None where there is nothing that can be believed."""
    try:
        first, _, content = store.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if first == _first_line(content) else None


def remember(store: Path, content: dict[str, Any]) -> None:
    """Write a JSON object into a file of the cache."""
    remember_bytes(store, json.dumps(content).encode())


def remember_bytes(store: Path, content: bytes) -> None:
    """Write a file of the cache in one step; nothing happens where it cannot be written: what is not remembered is made again."""
    with contextlib.suppress(OSError):
        replace_file(store, _first_line(content) + b"\n" + content)


def replace_file(store: Path, content: bytes) -> None:
    """Write a file in one step; raises OSError."""
    store.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("wb", dir=store.parent, delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.replace(file.name, store)
        except OSError:
            os.unlink(file.name)
            raise


def seal_folder(folder: Path) -> None:
    """Write down what a folder in the cache holds, once it is complete."""
    _seal(folder, sorted(path.name for path in folder.iterdir() if path.name != SEAL))


def _seal(folder: Path, names: Iterable[str]) -> None:
    remember(folder / SEAL, {name: [*FileState.of(folder / name), clock(), file_hash(folder / name)] for name in names})


def is_sealed(folder: Path) -> bool:
    """Whether a folder in the cache is there and as it was sealed; contents are read only where their states leave a doubt."""
    sealed = recall(folder / SEAL)
    doubted = False
    for name, (*state, looked_at, digest) in sealed.items():
        try:
            now = FileState.of(folder / name)
            if list(now) == state and now.is_certain(looked_at=looked_at, now=clock()):
                continue
            if now.size != state[0] or file_hash(folder / name) != digest:
                return False
        except OSError:
            return False
        doubted = True
    if doubted:  # not to read it again the next time; another process may be writing the same seal into a file beside it
        with contextlib.suppress(OSError):
            _seal(folder, sealed)
    return bool(sealed)


def _first_line(content: bytes) -> bytes:
    return FIRST_LINE + xxhash.xxh3_128(content).hexdigest().encode()


def file_hash(path: Path) -> str:
    """The xxh3 of a file's bytes, read piece by piece."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while piece := file.read(1 << 22):
            digest.update(piece)
    return digest.hexdigest()
