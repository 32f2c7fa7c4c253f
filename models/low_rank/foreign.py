"""Adapters that peft has trained elsewhere, made to fit the model that they are put into here.

    folder = adopt_adapter(Path("my-lora"), model)        # like those of a checkpoint's adapters/; gone with this process
    num_labels(Path("my-lora"))                           # outputs of the head that it brings; None where it brings none

Weights are read from adapter_model.safetensors, or from adapter_model.bin with `weights_only`.  An adapter for `...ForSequence-
Classification` names layers as that class does, the encoder alone calls them otherwise: names are matched by their ends.  Heads
that a model does not have (`modules_to_save`) are left out: only the class that they were trained in can be asked through them.
"""

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from harness.api.errors import UserError
from harness.api.model_files import check_weights, read_model_json
from models.loading.pretrained import first_line
from models.low_rank.files import CONFIG_FILE, WEIGHTS_FILE, write_config

PICKLE = "adapter_model.bin"
PREFIX = "base_model.model."
NARROWING = ("layers_to_transform", "layers_pattern", "exclude_modules", "trainable_token_indices", "target_parameters")
"Of a configuration: what says which layers are meant; the weights say so themselves."


def read_adapter_weights(folder: Path) -> dict[str, Tensor]:
    """The tensors of an adapter; UserError for files that hold anything else."""
    if (folder / WEIGHTS_FILE).is_file():
        check_weights([folder / WEIGHTS_FILE])
        return load_file(folder / WEIGHTS_FILE)
    try:
        loaded = torch.load(folder / PICKLE, map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle that is none raises what its bytes happen to mean
        expected = "a pickle of plain tensors"
        found = first_line(error)
        raise UserError("cannot read these weights", where=str(folder / PICKLE), expected=expected, found=found) from error
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise UserError("these are no weights", where=str(folder / PICKLE), expected="name -> tensor")
    return {str(name): tensor.contiguous() for name, tensor in loaded.items()}


def adopt_adapter(folder: Path, model: PreTrainedModel) -> Path:
    """A copy of an adapter whose names are those of a model; UserError where it has layers that the model has not."""
    config, weights = read_model_json(folder / CONFIG_FILE), read_adapter_weights(folder)
    saved = tuple(str(name) for name in config.get("modules_to_save") or ())
    modules = dict(model.named_modules())
    renamed: dict[str, Tensor] = {}
    targets: set[str] = set()
    heads: set[str] = set()
    for name, tensor in weights.items():
        path = name.removeprefix(PREFIX)
        module, kind = _split(path)
        own = _own_name(module, modules)
        whole = next((part for part in saved if part in path.split(".")), None)
        if whole is not None:
            if own is not None:
                heads.add(whole)
                renamed[PREFIX + own + kind] = tensor
            continue
        if own is None:
            raise UserError(
                "the adapter does not fit the model",
                where=str(folder),
                expected="layers of the model it was trained on",
                found=f"{module[:120]}, which {type(model).__name__} does not have",
                todo="name the model that it was trained on: --model_args base=<folder or hub id>",
            )
        targets.add(own)
        renamed[PREFIX + own + kind] = tensor
    own_config: dict[str, Any] = {key: value for key, value in config.items() if key not in NARROWING}
    own_config |= {"target_modules": sorted(targets), "modules_to_save": sorted(heads) or None, "inference_mode": True}
    if isinstance(config.get("feedforward_modules"), list):  # of IA3: those of the targets whose inputs are scaled
        ends = tuple(str(name) for name in config["feedforward_modules"])
        own_config["feedforward_modules"] = sorted(name for name in targets if name.endswith(ends))
    return _written(own_config | {"task_type": None, "base_model_name_or_path": None}, renamed)


@contextmanager
def told_of(folder: Path | None) -> Iterator[None]:
    """Let errors about the copy of an adapter name the folder that it was made of; None = there is no copy."""
    try:
        yield
    except UserError as error:
        if folder is None or not error.where.startswith(str(_own_folder())):
            raise
        raise error.at(str(folder)) from error


def _split(path: str) -> tuple[str, str]:
    """A tensor's name as the layer and what of it: `...query` and `.lora_A.weight`, or `...out_proj` and `.weight`."""
    parts = path.split(".")
    marks = ("lora_", "hada_", "lokr_", "ia3_", "oft_", "vera_")
    place = next((number for number, part in enumerate(parts) if part.startswith(marks)), len(parts) - 1)
    return ".".join(parts[:place]), "." + ".".join(parts[place:])


def _own_name(module: str, modules: Mapping[str, nn.Module]) -> str | None:
    """What a model calls a layer: its name, or what is left of it without the words before; None where it has no such layer."""
    parts = module.split(".")
    for start in range(len(parts)):
        found = ".".join(parts[start:])
        if found in modules and (start == 0 or "." in found or len(parts) == 1):
            return found
    # The other way round: the adapter was trained on the body alone.
    ends = [name for name in modules if name.endswith(f".{module}")]
    return ends[0] if len(ends) == 1 else None


def brought_modules(folder: Path) -> tuple[str, ...]:
    """Beginnings of the names of modules that an adapter brings whole."""
    return tuple(f"{name}." for name in read_model_json(folder / CONFIG_FILE).get("modules_to_save") or ())


def num_labels(folder: Path) -> int | None:
    """Outputs of the head that an adapter brings: the fewest rows of its matrices; None where it brings none."""
    saved = set(read_model_json(folder / CONFIG_FILE).get("modules_to_save") or ())
    rows = [
        tensor.shape[0]
        for name, tensor in read_adapter_weights(folder).items()
        if tensor.ndim == 2 and saved & set(name.split(".")) and ".lora_" not in name
    ]
    return min(rows, default=None)


def _written(config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Path:
    """A folder of this process that holds an adapter; the same one for the same adapter."""
    digest = hashlib.sha256(repr(sorted(config.items(), key=str)).encode())
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode() + tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    place = _own_folder() / digest.hexdigest()[:16]
    if not place.is_dir():
        place.mkdir()
        save_file(
            {name: tensor.contiguous() for name, tensor in weights.items()}, place / WEIGHTS_FILE, metadata={"format": "pt"}
        )
        write_config(config, place)
    return place


@cache
def _own_folder() -> Path:
    """A folder of this process."""
    folder = tempfile.mkdtemp(prefix="xlift-adapters-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
