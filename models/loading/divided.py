"""Weights of a model that several processes share: read tensor by tensor, each process its own part, and written the same way.

    unread = describe_model(encoder_class(config), folder, config=config, source=source, dtype=torch.float32)
    unread.model                                    # parameters on the meta device: no memory
                                                    # torch divides them among the processes
    unread.read(torch.device("cuda"))               # and only now there are values
    save_streamed(model, tensors, folder)           # whole tensors come one after the other; an ordinary folder

No process ever holds a whole copy: of a matrix it reads its own rows.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import PretrainedConfig, PreTrainedModel

from harness.api.errors import UserError
from harness.api.model_files import weight_files
from harness.api.model_source import ModelSource
from models.loading.architectures import takes_pooling_layer

FILE_BYTES = 5 * 10**9
"Of a file of weights at most."
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


class WeightUpdate(NamedTuple):
    """What is added to a weight when it is read: scale * up @ down (LoRA of an earlier phase)."""

    name: str
    "Of the weight, in the model as it was described."
    up: Tensor
    down: Tensor
    scale: float
    transposed: bool = False
    "The weight is kept as [in, out]."

    def rows(self, begin: int, end: int) -> Tensor:
        """Some rows of it."""
        if self.transposed:
            return (self.up @ self.down[:, begin:end]).T * self.scale
        return (self.up[begin:end] @ self.down) * self.scale


class _TensorPlace(NamedTuple):
    """Where a tensor of the files goes."""

    name: str
    module: nn.Module
    attribute: str
    file: Path
    key: str


@dataclass(kw_only=True)
class UnreadWeights:
    """A model whose parameters are only described, and the files that hold their values."""

    model: PreTrainedModel
    places: Sequence[_TensorPlace]
    changes: Sequence[WeightUpdate] = field(default_factory=list)

    def read(self, device: torch.device, *, parameters_on: torch.device | None = None) -> None:
        """Give every tensor memory on the device and its value; parameters may have become parts (DTensors) meanwhile.

        `parameters_on`: where parameters lie, if not where the buffers do.  What has values already (fresh adapters) keeps them.
        """
        aliases = _tied(self.model)

        def with_memory(tensor: Tensor) -> Tensor:
            where = parameters_on if parameters_on and isinstance(tensor, nn.Parameter) else device
            return torch.empty_like(tensor, device=where) if tensor.is_meta else tensor.to(where)

        self.model._apply(with_memory)
        for (module, name), (first, first_name) in aliases:
            setattr(module, name, getattr(first, first_name))
        _fill_buffers(self.model)
        by_file: dict[Path, list[_TensorPlace]] = {}
        for place in self.places:
            by_file.setdefault(place.file, []).append(place)
        with torch.no_grad():
            for file, places in sorted(by_file.items()):
                with safe_open(file, framework="pt") as tensors:
                    for place in places:
                        self._fill(place, tensors.get_slice(place.key))

    def _fill(self, place: _TensorPlace, values: Any) -> None:
        """Copy a tensor of a file, or this process's rows of it."""
        target: Tensor = getattr(place.module, place.attribute)
        if not target.ndim:
            target.copy_(values[...])
            return
        begin, end = own_rows(target)
        own = target.to_local() if isinstance(target, DTensor) else target
        if end > begin:
            own.copy_(values[begin:end])
            for change in self.changes:
                if change.name == place.name:
                    own.add_(change.rows(begin, end).to(own.device))


def own_rows(tensor: Tensor) -> tuple[int, int]:
    """The rows of a tensor that this process holds: all of them, or those of its part as torch.chunk cuts it."""
    rows = len(tensor)
    if not isinstance(tensor, DTensor):
        return 0, rows
    mesh = tensor.device_mesh
    number, count = mesh.get_local_rank(mesh.ndim - 1), mesh.size(mesh.ndim - 1)
    each = -(-rows // count)
    begin = min(number * each, rows)
    return begin, min(begin + each, rows)


def describe_model(
    model_class: Any,
    folder: Path,
    *,
    config: PretrainedConfig,
    source: ModelSource,
    dtype: torch.dtype,
    renames: Mapping[str, str] | None = None,
) -> UnreadWeights:
    """A model without memory and where its weights lie; UserError if any is missing or does not fit, before anything is read.

    `renames` maps regular expressions for the beginnings of tensor names to what the model calls them.
    """
    if not issubclass(model_class, PreTrainedModel):
        raise UserError(
            "a model with code of its own cannot be divided among processes", where=str(folder), todo="leave out --sharding full"
        )
    arguments: dict[str, Any] = {"add_pooling_layer": False} if takes_pooling_layer(model_class) else {}
    attention = source.attn_implementation
    if attention == "sdpa" and not getattr(model_class, "_supports_sdpa", True):
        attention = "eager"
    with torch.device("meta"):
        model = model_class._from_config(config, dtype=dtype, attn_implementation=attention, **arguments)
    return UnreadWeights(model=model, places=_places(model, folder, renames))


def _places(model: PreTrainedModel, folder: Path, renames: Mapping[str, str] | None) -> list[_TensorPlace]:
    """Where each tensor of the files goes, tied ones once; UserError unless every tensor of the model has one of its shape."""
    owners = {name: _owner(model, name) for name in model.state_dict()}
    aliases: dict[int, list[str]] = {}
    for name, (module, attribute) in owners.items():
        aliases.setdefault(id(getattr(module, attribute)), []).append(name)
    found: dict[str, tuple[Path, str, list[int]]] = {}
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as tensors:
            for key, name in _model_names(model, tensors.keys(), renames):
                found[name] = (file, key, tensors.get_slice(key).get_shape())
    places, wrong = [], []
    for names in aliases.values():
        name = next((each for each in names if each in found), names[0])
        module, attribute = owners[names[0]]
        if name not in found:
            if not any(re.search(pattern, name) for pattern in model._keys_to_ignore_on_load_missing or ()):
                wrong.append(name)
        elif found[name][2] != list(getattr(module, attribute).shape):
            wrong.append(name)
        else:
            places.append(_TensorPlace(names[0], module, attribute, found[name][0], found[name][1]))
    if wrong:
        raise UserError(
            f"the weights do not fit {type(model).__name__}",
            where=str(folder),
            found=f"{len(wrong)} tensors missing or of another shape: {', '.join(sorted(wrong)[:4])}",
            todo="check that config.json belongs to these weights; `--model_args model_type=...` corrects a wrong model_type",
        )
    return places


def _model_names(model: PreTrainedModel, keys: Iterable[str], renames: Mapping[str, str] | None) -> Iterator[tuple[str, str]]:
    """(name in the file, name in the model) of the tensors that the model has, by the rules of transformers.

    UserError where several tensors become one (mixtures of experts).
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    mapping = get_model_conversion_mapping(model, dict(renames) if renames else None)
    renamings = [entry for entry in mapping if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in mapping if isinstance(entry, WeightConverter)]
    own = model.state_dict()
    for key in keys:
        name, converted = rename_source_key(key, renamings, converters, model.base_model_prefix, own)
        if name not in own and key in own:
            name, converted = rename_source_key(key, [], [], model.base_model_prefix, own)
        if name not in own:
            continue
        if converted is not None:
            raise UserError(
                f"model type '{model.config.model_type}' puts several tensors of its files into one",
                where=key,
                todo="leave out --sharding full",
            )
        yield key, name


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module that has a tensor, and what the module calls it."""
    path, _, attribute = name.rpartition(".")
    return model.get_submodule(path), attribute


def _tied(model: nn.Module) -> list[tuple[tuple[nn.Module, str], tuple[nn.Module, str]]]:
    """(module, name) of each parameter that is another's as well, with that of the first."""
    first: dict[int, tuple[nn.Module, str]] = {}
    found = []
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                owner = first.setdefault(id(parameter), (module, name))
                if owner != (module, name):
                    found.append(((module, name), owner))
    return found


def _fill_buffers(model: PreTrainedModel) -> None:
    """Compute the buffers that no file holds (rotary frequencies, position numbers), as transformers does after loading."""
    for parameter in model.parameters():
        parameter._is_hf_initialized = True  # type: ignore[attr-defined]  # parameters are read, or have their values
    for module in model.modules():
        module.__dict__.pop("_is_hf_initialized", None)
    model.initialize_weights()


def save_streamed(model: PreTrainedModel, tensors: Iterable[tuple[str, Tensor]], folder: Path) -> None:
    """Write a model folder whose tensors come one after the other: configuration, and files of at most 5 GB with their index."""
    model.save_pretrained(folder, state_dict={})  # what stands beside the weights
    for left in folder.glob("*.safetensors*"):
        left.unlink()
    parts: list[list[str]] = []
    held: dict[str, Tensor] = {}
    size = total = 0

    def put() -> None:
        save_file(held, folder / f"part-{len(parts):05}.safetensors", metadata={"format": "pt"})
        parts.append(list(held))
        held.clear()

    for name, tensor in tensors:
        own = tensor.numel() * tensor.element_size()
        if held and size + own > FILE_BYTES:
            put()
            size = 0
        held[name] = tensor.contiguous()
        size, total = size + own, total + own
    put()
    if len(parts) == 1:
        (folder / "part-00000.safetensors").rename(folder / WEIGHTS)
        return
    names = {number: f"model-{number + 1:05}-of-{len(parts):05}.safetensors" for number in range(len(parts))}
    for number, name in names.items():
        (folder / f"part-{number:05}.safetensors").rename(folder / name)
    index = {
        "metadata": {"total_size": total},
        "weight_map": {tensor: names[number] for number, held_names in enumerate(parts) for tensor in held_names},
    }
    (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")
