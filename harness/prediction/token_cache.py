"""Features of a cell in the user's cache: rows are tokenized once for all checkpoints and runs that ask them with one tokenizer.

    place = kept_place(args, tokenizer)                # None where nothing is kept: requests in words, a limit of 0
    features = recall_features(place)                  # memory-mapped; None where there are none that can be believed
    remember_features(place, features)                 # nothing happens where they are few, or the cache cannot be written

Each lies in a sealed folder below `tokens/`, named by a hash of all that decides it: the rows by their fingerprint, how they are
read and encoded (the part of the task's spec that a stage knows, options, code of types and readers), and the tokenizer by its
content.  The whole takes $XLIFT_TOKEN_CACHE_MB at most (default 4,096; 0 = keep nothing): what was used longest ago goes
first.  Any number of processes may read and write at once, and be killed: a folder comes into being by its last rename, whole.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from harness.api.cache import cache_folder, is_sealed, seal_folder
from harness.api.later_tokenizer import known_of
from harness.api.registry import ROOT
from harness.prediction.features import NUMBERS, PackedFeatures
from harness.runtime.arguments import PredictArguments
from harness.runtime.provenance import provenance
from harness.runtime.stages import canonical

FOLDER = "tokens"
SIZE_VARIABLE = "XLIFT_TOKEN_CACHE_MB"
DEFAULT_MB = 4096
LEAST_TOKENS = 5_000
"Fewer are made again as fast as they are found."
STALE_SECONDS = 3600
"Age from which a folder that is not whole is one that nobody will finish."
CODE = ("harness/data", "harness/task_types", "harness/prediction/features.py", "harness/api/protocols.py")
"What decides, beside arguments and tokenizer, how a row becomes features."
PACKAGES = ("tokenizers", "transformers")
REST_FILE = "rest.json"
_HASHES: WeakKeyDictionary[Any, tuple[int, str]] = WeakKeyDictionary()
"Of tokenizers that were asked about before, with the number of their tokens then."
BESIDE = ("model", "head", "chat_format")
"Arguments of a prediction that do not decide its features where no words are asked."


def kept_place(args: PredictArguments, tokenizer: Any) -> Path | None:
    """The folder of the features of a prediction, there or not; None where they are not kept."""
    if args.prompt is not None or args.shots is not None or not most_bytes():
        return None
    content = {name: value for name, value in args.json().items() if name not in BESIDE}
    versions = {name: provenance()["versions"][name] for name in PACKAGES}
    asked = canonical({"args": content, "code": _code(), "versions": versions, "tokenizer": tokenizer_hash(tokenizer)})
    return cache_folder() / FOLDER / hashlib.sha256(asked.encode()).hexdigest()[:32]


def tokenizer_hash(tokenizer: Any) -> str:
    """A hash of all that decides which ids a tokenizer gives; of no file names, so that checkpoints of a backbone share it."""
    found: str = known_of(tokenizer, "content_hash", _tokenizer_hash)
    return found


def _tokenizer_hash(tokenizer: Any) -> str:
    known = _HASHES.get(tokenizer)
    if known is not None and known[0] == len(tokenizer):
        return known[1]
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    roles = {name: str(token) for name, token in sorted(tokenizer.special_tokens_map.items())}
    settings = [type(tokenizer).__name__, tokenizer.split_special_tokens, list(tokenizer.model_input_names), roles]
    found = hashlib.sha256(canonical(settings).encode() + backend.to_str().encode()).hexdigest()
    _HASHES[tokenizer] = (len(tokenizer), found)
    return found


@cache
def _code() -> str:
    """A hash of the code that makes features of rows."""
    digest = hashlib.sha256()
    for name in CODE:
        place = ROOT / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def most_bytes() -> int:
    """What the folder may take in all, as the user says; the default where that is no number."""
    text = os.environ.get(SIZE_VARIABLE, "")
    return (int(text) if text.isdecimal() else DEFAULT_MB) << 20


def recall_features(place: Path) -> PackedFeatures | None:
    """The features that lie in a folder, their tokens memory-mapped; None where there are none that can be believed."""
    try:
        if not is_sealed(place):
            return None
        arrays = {name: np.asarray(np.load(place / f"{name}.npy", mmap_mode="r", allow_pickle=False)) for name in NUMBERS}
        found = PackedFeatures.of(arrays, json.loads((place / REST_FILE).read_text(encoding="utf-8")))
        os.utime(place)  # the time of use
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return found


def remember_features(place: Path, features: PackedFeatures) -> None:
    """Keep features, and let go what was used longest ago where all of it is too much."""
    rest = features.rest_as_json()
    if len(features.ids) < LEAST_TOKENS or rest is None:
        return
    made = place.with_name(f".{place.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        made.mkdir(parents=True)
        try:
            for name, numbers in features.numbers().items():
                np.save(made / f"{name}.npy", np.asarray(numbers), allow_pickle=False)
            (made / REST_FILE).write_text(json.dumps(rest), encoding="utf-8")
            seal_folder(made)
            if place.exists() and recall_features(place) is None:
                _remove(place)
            made.rename(place)
        finally:
            shutil.rmtree(made, ignore_errors=True)  # another process was first, or the disk is full
        _let_go(place.parent, keep=place)


def _let_go(folder: Path, *, keep: Path) -> None:
    """Remove folders until the rest fits, the one used longest ago first; `keep` is the one just made."""
    found = []
    for path in _folders(folder):
        with contextlib.suppress(OSError):
            used, size = path.stat().st_mtime, sum(file.stat().st_size for file in path.iterdir())
            if path.name.startswith("."):
                if time.time() - used > STALE_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)
            else:
                found.append((path != keep, used, path, size))
    left = sum(size for *_, size in found)
    for _, _, path, size in sorted(found, key=lambda entry: (not entry[0], entry[1])):
        if left <= most_bytes():
            return
        _remove(path)
        left -= size


def _folders(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from [path for path in folder.iterdir() if path.is_dir()]


def _remove(place: Path) -> None:
    """Remove a folder; who has it mapped keeps what is mapped, who comes later finds nothing of it."""
    gone = place.with_name(f".{place.name}.{os.getpid()}.gone")
    with contextlib.suppress(OSError):
        place.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
