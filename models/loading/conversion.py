"""Pickled weights become safetensors files, once, in the user's cache folder (harness/api/cache.py).

    folder = converted(Path("models/old"), [Path("models/old/pytorch_model.bin")], others=[Path("models/old/config.json")])

They are read by `torch.load(weights_only=True)`, which runs none of what a pickle may hold, file by file and mapped where the
format allows it (since torch 1.6), and written shard by shard: no more than a shard of them is ever in memory.  One process
converts at a time, and the others wait and find what it made; what a killed one leaves is removed by the next.
"""

import atexit
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file

from harness.api.cache import cache_folder, is_sealed, seal_folder
from harness.api.errors import UserError
from harness.api.model_files import INDEX, WHOLE
from harness.api.progress import tell

SHARD = 2 << 30
"Bytes of a shard that is written; one tensor is never divided."
ROOM = 1.05
"Free disk that a conversion wants, in sizes of the weights."


def converted(folder: Path, pickles: Sequence[Path], *, others: Sequence[Path]) -> Path:
    """A folder in the cache with safetensors weights and the other files of a model; made once for each state of all of them.

    Where the cache cannot be written, one that lasts as long as this process.  UserError for what are no weights, and for a disk
    without room.
    """
    state = [(str(file), *_state(file)) for file in sorted(path.resolve() for path in {*pickles, *others})]
    digest = hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]
    name = f"{folder.name}-{digest}"
    room = cache_folder() / "converted"
    if is_sealed(room / name):
        return room / name
    room = _room(room)
    target = room / name
    with _only_one(room):
        if is_sealed(target):  # another process was faster
            return target
        for left in room.glob(".making-*"):
            shutil.rmtree(left, ignore_errors=True)
        _check_disk(room, pickles, folder=folder)
        size = sum(file.stat().st_size for file in pickles)
        tell(f"converting {folder} ({size / 1e9:,.1f} GB of pickled weights) to safetensors, once, in {target}")
        unfinished = Path(tempfile.mkdtemp(dir=room, prefix=".making-"))
        try:
            for file in others:
                if not file.name.endswith(".bin.index.json"):
                    shutil.copy(file, unfinished / file.name)
            _write(pickles, unfinished)
            seal_folder(unfinished)
            if os.path.lexists(target):  # torn, or no folder
                os.replace(target, unfinished.with_name(f"{unfinished.name}-torn"))
            unfinished.rename(target)
        finally:
            for left in room.glob(f"{unfinished.name}*"):
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()
    return target


def _state(file: Path) -> tuple[int, int, int, int]:
    found = file.stat()
    return found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def _room(wanted: Path) -> Path:
    """The folder to convert in: the one wanted, or one that lasts as long as this process where nothing can be written."""
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            return wanted
    except OSError:
        return _own_folder()


@cache
def _own_folder() -> Path:
    """A folder of this process."""
    folder = tempfile.mkdtemp(prefix="xlift-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@contextlib.contextmanager
def _only_one(room: Path) -> Iterator[None]:
    """Wait until no other process converts; where the file system has no locks, two may do the same work."""
    handle = os.open(room, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _check_disk(room: Path, pickles: Sequence[Path], *, folder: Path) -> None:
    """UserError where the copy would not fit."""
    needed, free = ROOM * sum(file.stat().st_size for file in pickles), shutil.disk_usage(room).free
    if needed > free:
        raise UserError(
            "no room for a copy of these weights as safetensors",
            where=str(folder),
            expected=f"{needed / 1e9:,.1f} GB free in {room}",
            found=f"{free / 1e9:,.1f} GB",
            todo="set $XLIFT_CACHE_DIR to a folder with more room, or remove converted/ in the cache",
        )


def _write(pickles: Sequence[Path], folder: Path) -> None:
    """Write the shards, and an index if there are several."""
    weight_map: dict[str, str] = {}
    total = count = 0
    for pickle in pickles:
        for tensors in _shards(_unpickled(pickle)):
            count += 1
            file = f"model-{count:05}-of-pickles.safetensors"
            save_file(tensors, folder / file, metadata={"format": "pt"})
            weight_map |= dict.fromkeys(tensors, file)
            total += sum(tensor.nbytes for tensor in tensors.values())
    if not weight_map:
        raise UserError("these are no weights", where=str(pickles[0]), expected="name -> tensor", found="no tensor at all")
    if count == 1:
        (folder / file).rename(folder / WHOLE)
        return
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True), encoding="utf-8")


def _shards(state: dict[str, torch.Tensor]) -> Iterator[dict[str, torch.Tensor]]:
    """The tensors of a file in their order, as many at a time as a shard takes, each with memory of its own."""
    shard: dict[str, torch.Tensor] = {}
    owners: set[int] = set()
    size = 0
    for name in list(state):
        tensor = state.pop(name)
        if shard and size + tensor.nbytes > SHARD:
            yield shard
            shard, owners, size = {}, set(), 0
        # safetensors refuses tensors that share memory (tied weights).
        owner = tensor.untyped_storage().data_ptr()
        shard[name] = tensor.clone() if owner in owners else tensor.contiguous()
        owners.add(owner)
        size += tensor.nbytes
    if shard:
        yield shard


def _unpickled(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a .bin file; UserError if it holds anything but tensors."""
    try:
        # Mapped, not read: XLM-R XXL is a 43 GB file.  The format before torch 1.6 cannot be mapped.
        loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a pickle that is none raises what its bytes happen to mean
        raise UserError(
            "cannot read these weights",
            where=str(file),
            expected="a pickle of plain tensors",
            found=f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"[:200],
        ) from error
    if not isinstance(loaded, dict):
        raise UserError("these are no weights", where=str(file), expected="name -> tensor", found=type(loaded).__name__)
    for name, tensor in loaded.items():
        if not isinstance(tensor, torch.Tensor):
            raise UserError(f"entry '{name}' is no tensor", where=str(file), found=type(tensor).__name__)
    return dict(loaded)
