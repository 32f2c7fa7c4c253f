"""Layers are read from their files while the layers before them are computed.

    read_ahead(model)                 # a model with layers that are mapped from files; no-op where there are none

A layer that is mapped comes from the disk page by page as it is touched, and the arithmetic waits for each: 235 MB/s on a disk
that gives 1,200 to those who ask beforehand.  So when a layer begins, a thread tells the system that the next one will be wanted.
It reads nothing itself and holds nothing: results do not depend on it.
"""

import ctypes
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from torch import Tensor, nn
from transformers import PreTrainedModel

from models.loading.layers import find_layers

CHUNK = 128 << 10
"Bytes that are asked for at a time: Linux takes no more of a larger request than its own read-ahead."
WILL_NEED = 3
"MADV_WILLNEED of Linux and macOS."
PAGE = os.sysconf("SC_PAGESIZE")


class Stretch(NamedTuple):
    """Where a tensor lies that is to be read."""

    file: str
    "Empty where it is mapped already."
    begin: int
    "Byte in the file, or address."
    size: int


def read_ahead(model: PreTrainedModel) -> None:
    """Have each layer that lies in files, but for the first, asked for when the one before it begins."""
    if not hasattr(os, "posix_fadvise"):  # Windows, macOS
        return
    owner, name = find_layers(model)
    worker: ThreadPoolExecutor | None = None
    for layer, following in pairwise(getattr(owner, name)):
        wanted = list(stretches(following))
        if wanted:
            worker = worker or ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead")
            layer.register_forward_pre_hook(_Asking(worker, wanted))


class _Asking:
    """Asks for stretches whenever a module begins."""

    def __init__(self, worker: ThreadPoolExecutor, wanted: list[Stretch]) -> None:
        self._worker, self._wanted = worker, wanted

    def __call__(self, module: nn.Module, args: Any) -> None:
        self._worker.submit(ask_for, self._wanted)


def ask_for(wanted: list[Stretch]) -> None:
    """Tell the system that stretches of files will be read soon; returns when it has begun to."""
    for file, begin, size in wanted:
        if file:
            handle = os.open(file, os.O_RDONLY)
            try:
                for at in range(begin, begin + size, CHUNK):
                    os.posix_fadvise(handle, at, min(CHUNK, begin + size - at), os.POSIX_FADV_WILLNEED)
            finally:
                os.close(handle)
        else:
            for at in range(begin - begin % PAGE, begin + size, CHUNK):
                _libc().madvise(ctypes.c_void_p(at), ctypes.c_size_t(CHUNK), WILL_NEED)


def stretches(layer: nn.Module) -> Iterator[Stretch]:
    """Where the parameters of a layer lie, those that accelerate maps for each batch in their files."""
    for module in layer.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.is_meta:
                if parameter.device.type == "cpu":
                    yield _address(parameter)
                continue
            hook: Any = module._hf_hook
            weights = hook.weights_map  # accelerate's PrefixedDataset over its OffloadedWeightsLoader
            key, loader = weights.prefix + name, weights.dataset
            entry = loader.index.get(key)
            if key in loader.state_dict:
                yield _address(loader.state_dict[key])
            elif entry is not None:
                file = str(entry["safetensors_file"])
                yield Stretch(file, *_places(file)[entry["weight_name"]])


def _address(tensor: Tensor) -> Stretch:
    return Stretch("", tensor.data_ptr(), tensor.nbytes)


@cache
def _places(file: str) -> dict[str, tuple[int, int]]:
    """Name of each tensor of a safetensors file -> its first byte and its size."""
    with open(file, "rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        header = json.loads(handle.read(length))
    entries = {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
    return {name: (8 + length + begin, end - begin) for name, (begin, end) in entries.items()}


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
