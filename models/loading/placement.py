"""Where the parts of a model lie: on one device, spread over several, in main memory, or in their files (`device_map`).

    place = placement(model_class, config=config, source=source, device="cuda", dtype=torch.bfloat16)
    model = model_class.from_pretrained(folder, device_map=place, ...)
    first_device(model)                           # where batches go
    bytes_by_place(model)                         # {'cuda:0': 9_000_000_000, 'cpu': 4_000_000_000, 'disk': 8_000_000_000}

Layers alone are spread; all else (tables of words, norms, output matrices), which is read in other ways than by a forward
function, lies on the first device.  Layers in main memory or on the disk are computed on the first device, and brought there for
every batch by the hooks of accelerate.  One on the disk is mapped from the safetensors files that the model came in: nothing is
written anywhere.  Weights in main memory that have the type of their files already are mapped as well: they take page cache,
which the system may drop and read again, and no memory of the process.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from models.loading.architectures import takes_pooling_layer
from models.loading.layers import find_layers

CPU, DISK = "cpu", "disk"
SHARE_OF_GPU = 0.7
"Of a GPU's memory, for weights: what does not fit beside them is read again for every batch, so batches want room."
SHARE_OF_MEMORY = 0.8
"Of the main memory that is free, for layers."
GIB = 1 << 30


class PlaceLimit(NamedTuple):
    """How many bytes of weights a place takes."""

    place: int | str
    "Number of a GPU, `mps` or `cpu`."
    size: int


def placement(
    model_class: Any, *, config: PretrainedConfig, source: ModelSource, device: str, dtype: torch.dtype
) -> dict[str, Any] | None:
    """What `from_pretrained` takes as device_map: tensors go straight to where they are to lie; None where that is the CPU.

    UserError where the device and the map contradict each other.
    """
    place = torch.device(device)
    if source.device_map == CPU and place.type != CPU:
        where, found = "--model_args device_map", f"--device {device}"
        raise UserError("device_map=cpu computes on the CPU", where=where, found=found, todo="--device cpu")
    if source.device_map in (None, CPU):
        return None if place.type == CPU else {"": place}
    with torch.device("meta"):
        pooler: dict[str, Any] = {"add_pooling_layer": False} if takes_pooling_layer(model_class) else {}
        model = (
            model_class(config, **pooler)
            if issubclass(model_class, PreTrainedModel)
            else model_class.from_config(config, trust_remote_code=source.trust_remote_code)
        )
    return spread(model, rooms(source, place), kind=str(source.device_map), dtype=dtype)


def rooms(source: ModelSource, place: torch.device) -> list[PlaceLimit]:
    """The places for weights in the order in which they are filled: GPUs (all, or the numbered one), then main memory."""
    import psutil

    free = psutil.virtual_memory().available
    cpu = PlaceLimit(CPU, int(free * SHARE_OF_MEMORY) if source.cpu_memory_gib is None else int(source.cpu_memory_gib * GIB))
    wanted = None if source.gpu_memory_gib is None else int(source.gpu_memory_gib * GIB)
    if place.type != "cuda":
        return [cpu] if place.type == CPU else [PlaceLimit(place.type, free // 2 if wanted is None else wanted), cpu]
    found = []
    for number in [place.index] if place.index is not None else range(torch.cuda.device_count()):
        unused, total = torch.cuda.mem_get_info(number)
        found.append(PlaceLimit(number, min(unused, int(total * SHARE_OF_GPU)) if wanted is None else wanted))
    return [*found, cpu]


def spread(model: PreTrainedModel, rooms: Sequence[PlaceLimit], *, kind: str, dtype: torch.dtype) -> dict[str, int | str]:
    """Name of each layer, and of each part beside the layers -> its place; what no room takes lies on the disk.

    `kind`: `sequential` fills one device after the other, `auto` and `balanced` divide the layers that devices take evenly,
    `balanced_low_0` leaves the first one to what is beside the layers as far as that is possible.
    """
    owner, name = find_layers(model)
    prefix = next(path for path, module in model.named_modules() if module is owner)
    layers = {".".join(filter(None, (prefix, name, number))): layer for number, layer in getattr(owner, name).named_children()}
    sizes = {path: _bytes(layer.parameters(), dtype) for path, layer in layers.items()}
    beside = _bytes(model.parameters(), dtype) - sum(sizes.values())
    first = rooms[0].place
    placed: dict[str, int | str] = dict.fromkeys(_beside(model, f"{prefix}.{name}".lstrip(".")), first)
    left = {room.place: room.size - (beside if room.place == first else 0) for room in rooms}
    targets = _even(left, beside=beside, total=sum(sizes.values()), kind=kind)
    waiting = list(left)
    for path, size in sizes.items():
        while waiting and (left[waiting[0]] < size or targets.get(waiting[0], size) < size / 2):
            waiting.pop(0)
        place = waiting[0] if waiting else DISK
        placed[path] = place
        if waiting:
            left[place] -= size
            targets[place] = targets.get(place, left[place] + size) - size
    return placed


def _even(left: Mapping[int | str, int], *, beside: int, total: int, kind: str) -> dict[int | str, float]:
    """How many bytes of layers each device is to get, where they are to get equally much and all of them fit; else empty."""
    devices = [place for place in left if place != CPU]
    if kind == "sequential" or len(devices) < 2 or sum(left[place] for place in devices) < total:
        return {}
    if kind == "balanced_low_0":
        others = sum(left[place] for place in devices[1:])
        low = max(0, total - others)
        return {devices[0]: low, **dict.fromkeys(devices[1:], (total - low) / (len(devices) - 1))}
    share = (total + beside) / len(devices)
    own = max(0.0, share - beside)
    return {devices[0]: own, **dict.fromkeys(devices[1:], (total - own) / (len(devices) - 1))}


def _bytes(parameters: Iterator[nn.Parameter], dtype: torch.dtype) -> int:
    return sum(parameter.numel() for parameter in parameters) * dtype.itemsize


def _beside(model: nn.Module, layers: str) -> Iterator[str]:
    """Names of the modules and tensors that are not in the list of layers, as few as possible."""
    path = ""
    for step in layers.split("."):
        owner = model.get_submodule(path) if path else model
        names = [name for name, _ in owner.named_children() if name != step]
        names += [name for name, _ in owner.named_parameters(recurse=False)]
        names += [name for name, _ in owner.named_buffers(recurse=False)]
        yield from (f"{path}.{name}".lstrip(".") for name in names)
        path = f"{path}.{step}".lstrip(".")


def is_offloaded(model: nn.Module) -> bool:
    """Whether layers are brought to where they are computed for every batch."""
    return any(parameter.is_meta for parameter in model.parameters())


def first_device(model: PreTrainedModel) -> torch.device:
    """Where the table of words lies, and so where batches go."""
    place: torch.device = model.get_input_embeddings().weight.device  # type: ignore[assignment]
    return place


def bytes_by_place(model: nn.Module) -> dict[str, int]:
    """Bytes of the parameters by where they lie; layers that are brought to a device for every batch lie on `cpu` or `disk`."""
    placed: Mapping[str, Any] = getattr(model, "hf_device_map", None) or {}
    found: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        place = str(parameter.device)
        if parameter.is_meta:
            place = str(next(where for part, where in placed.items() if f"{name}.".startswith(f"{part}.")))
        found[place] = found.get(place, 0) + parameter.numel() * parameter.element_size()
    return dict(sorted(found.items()))
