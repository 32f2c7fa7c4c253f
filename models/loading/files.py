"""Where weights lie: a hub id or a folder becomes a local folder with config.json and safetensors files.

    folder = locate("FacebookAI/xlm-roberta-base", revision=None)      # downloads what is missing, or says why it cannot
    tensors = read_tensors(folder, ("lm_head.bias",))

A repository that has only pytorch_model.bin is converted once, with `torch.load(weights_only=True)`, into the user's cache
folder (harness/api/cache.py).
"""

import atexit
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import torch
from huggingface_hub import constants, snapshot_download, split_torch_state_dict_into_shards
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import safe_open
from safetensors.torch import save_file

from harness.api.cache import cache_folder, is_sealed, seal_folder
from harness.api.errors import UserError
from harness.api.model_files import check_weights, contents, local_folder, weight_files
from harness.api.quantization import gguf_file
from models.loading.gguf import prepare_gguf

SMALL_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken")
SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors")
PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")
EXPECTED = "a preset, a hub id `org/name`, or a folder with config.json, weights and tokenizer files"


def locate(path: str, *, revision: str | None = None, remote_code: bool = False) -> Path:
    """Local folder with config.json and safetensors weights; UserError if there is no such model or it cannot be had."""
    file = gguf_file(path)
    if file is not None:
        return prepare_gguf(file)
    folder = local_folder(path)
    if folder is None:
        folder = _download(path, revision=revision, patterns=(*SMALL_FILES, *SAFETENSORS, *(("*.py",) if remote_code else ())))
        if not matching(folder, SAFETENSORS):
            _download(path, revision=revision, patterns=PICKLES)
    if not (folder / "config.json").is_file():
        message = f"'{path}' is not a model folder: it has no config.json"
        raise UserError(message, expected=EXPECTED, found=contents(folder))
    weights = weight_files(folder)
    if weights:
        check_weights(weights)
        return folder
    pickles = matching(folder, PICKLES)
    if not pickles:
        raise UserError(
            f"'{path}' holds no weights",
            expected=" or ".join((*SAFETENSORS, *PICKLES)),
            found=contents(folder),
            todo="fetch the model again: the download may have stopped half-way",
        )
    return _convert(folder, pickles)


def locate_tokenizer(path: str, *, revision: str | None = None, remote_code: bool = False) -> Path:
    """Local folder with tokenizer files; UserError if there is none."""
    folder = local_folder(path)
    return folder or _download(path, revision=revision, patterns=(*SMALL_FILES, *(("*.py",) if remote_code else ())))


def read_tensors(folder: Path, names: Iterable[str]) -> dict[str, torch.Tensor]:
    """Those of the named tensors that the folder's safetensors files hold; the others are not read from disk."""
    wanted, found = set(names), {}
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as tensors:
            found.update({name: tensors.get_tensor(name) for name in tensors.keys() if name in wanted})  # noqa: SIM118
    return found


def tensor_names(folder: Path) -> set[str]:
    """Names of all tensors in the folder's safetensors files; none of them is read."""
    names: set[str] = set()
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as tensors:
            names.update(tensors.keys())
    return names


def matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Files of the folder itself that match, sorted."""
    return sorted(file for pattern in patterns for file in folder.glob(pattern))


def _download(path: str, *, revision: str | None, patterns: Sequence[str]) -> Path:
    """Snapshot folder of a hub repository with the matching files of its top level."""
    if path.startswith(("/", ".", "~")) or path.count("/") > 1:
        raise UserError(f"there is no folder '{path}'", expected=EXPECTED)
    try:
        snapshot = snapshot_download(
            path,
            revision=revision,
            allow_patterns=list(patterns),
            ignore_patterns=["*/*"],
            local_files_only=constants.HF_HUB_OFFLINE,  # some versions ask for a commit's list of files even offline, and fail
        )
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"cannot get the model '{path}'" + (f" at revision '{revision}'" if revision else ""),
            expected=EXPECTED,
            found=f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}",
            todo="check the name; without network, run `fetch` where there is one and copy its cache, or give a folder",
        ) from error
    return Path(snapshot)


def _convert(folder: Path, pickles: Sequence[Path]) -> Path:
    """Copy of the folder in the cache whose weights are safetensors; made once for each state of all files that are read."""
    read = sorted({*pickles, *matching(folder, (*SMALL_FILES, "*.py"))})
    stats = ((str(file), file.stat()) for file in map(Path.resolve, read))
    state = [(name, stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in stats]
    digest = hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]
    target = cache_folder() / "converted" / f"{folder.name}-{digest}"
    if is_sealed(target):
        return target
    with tempfile.TemporaryDirectory(dir=_room_for(target), prefix=".making-", ignore_cleanup_errors=True) as made:
        unfinished = Path(made, target.name)
        unfinished.mkdir()
        for file in matching(folder, (*SMALL_FILES, "*.py")):
            if not file.name.endswith(".bin.index.json"):
                shutil.copy(file, unfinished / file.name)
        _write_safetensors(_unpickle(pickles), unfinished)
        seal_folder(unfinished)
        return _put(unfinished, target)


def _room_for(target: Path) -> Path:
    """The folder to convert in: that of the target, or one that lasts as long as this process where nothing can be written."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            return target.parent
    except OSError:
        return _own_folder()


@cache
def _own_folder() -> Path:
    """A folder of this process."""
    folder = tempfile.mkdtemp(prefix="xlift-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _put(made: Path, target: Path) -> Path:
    """Give a converted folder its place in the cache, or one that lasts as long as this process; returns where it is."""
    if made.parent.parent != target.parent:
        target = _own_folder() / target.name
    try:
        if os.path.lexists(target) and not is_sealed(target):  # torn, or no folder
            os.replace(target, made.parent / "torn")
        made.rename(target)
    except OSError:
        # Another process was faster: what it made is the same.
        if not is_sealed(target):
            raise
    return target


def _unpickle(pickles: Sequence[Path]) -> dict[str, torch.Tensor]:
    """All tensors of .bin files, each with memory of its own; UserError if they hold anything but tensors."""
    state: dict[str, torch.Tensor] = {}
    owners: set[int] = set()
    for file in pickles:
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
            # safetensors refuses tensors that share memory (tied weights).
            shared = tensor.untyped_storage().data_ptr() in owners
            owners.add(tensor.untyped_storage().data_ptr())
            state[name] = tensor.clone() if shared else tensor.contiguous()
    return state


def _write_safetensors(state: dict[str, torch.Tensor], folder: Path) -> None:
    """Write one or several safetensors files of at most 5 GB, with an index if there are several."""
    plan = split_torch_state_dict_into_shards(state, max_shard_size="5GB")
    for file, names in plan.filename_to_tensors.items():
        save_file({name: state[name] for name in names}, folder / file, metadata={"format": "pt"})
    if plan.is_sharded:
        index = {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True), encoding="utf-8")
