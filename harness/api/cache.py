"""The user's cache folder: what is worth remembering between runs and can be made again at any time.

store = cache_folder() / "file_hashes.json"
remember(store, {**recall(store), "/data/a.parquet": [120, 1700000000, "4f53..."]})
"""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """The cache folder of this project: $XLIFT_CACHE_DIR, else $XDG_CACHE_HOME/xlift, by default ~/.cache/xlift."""
    own, shared = os.environ.get("XLIFT_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME")
    return Path(own).expanduser() if own else (Path(shared) if shared else Path.home() / ".cache") / "xlift"


def recall(store: Path) -> dict[str, Any]:
    """What a JSON file of the cache holds; nothing where it is not there, cannot be read or is torn: it is made again."""
    try:
        content = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def remember(store: Path, content: Any) -> None:
    """Write a JSON file in one step; nothing happens where it cannot be written: what is not remembered is made again."""
    with contextlib.suppress(OSError):
        store.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=store.parent, delete=False, encoding="utf-8") as file:
            json.dump(content, file)
        os.replace(file.name, store)
