"""Files of a model folder, looked at before they are believed: JSON, headers of safetensors files, the index of several.

    folder = local_folder("models/xlm-roberta-base")         # None where a text names no folder, or can name none
    read_model_json(folder / "config.json")                  # UserError for what is no JSON object
    for file, names in weight_files(folder).items():         # what transformers reads: one file, or those that the index names
        tensors = read_header(file)                          # UserError for what is no whole safetensors file

What a header says is held against the file: its size, the types, the place of each tensor.  No tensor is read.  Imports neither
torch nor safetensors.
"""

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.api.errors import UserError
from harness.api.json_text import loads, read_json_file

WHOLE, INDEX, SHARDS = "model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors"
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "*.tiktoken", "tekken.json")
"Files that a tokenizer's vocabulary stands in."
LONGEST_HEADER = 100_000_000
"Bytes: the limit of the safetensors library."
MOST_AXES = 64
"Of a tensor: more than torch has, and few enough to be multiplied."
DEEPEST = 60
"Levels of a JSON file; transformers copies configurations level by level."
BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
    **{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6},
}
"Bits of a number, by the names of the safetensors format."
NO_PARAMETERS = ("I64", "BOOL")
"Types of numbered positions and masks."


class StoredTensor(NamedTuple):
    """A tensor as the header of its file describes it."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def is_parameter(self) -> bool:
        """Whether it is trained: not positions, not GPT-2's causal mask."""
        return self.dtype not in NO_PARAMETERS and not (self.name.endswith("attn.bias") and len(self.shape) == 4)


def local_folder(text: str) -> Path | None:
    """The folder that a text names; None where it names none: a hub id, a file, what no path can be, `~` of nobody."""
    named = os.path.expanduser(text)
    return Path(named) if text and os.path.isdir(named) else None


def contents(folder: Path) -> str:
    """The first names in a folder, for messages."""
    try:
        return ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "an empty folder"
    except OSError as error:
        return f"a folder that cannot be read: {error.strerror}"


def read_model_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file of a model folder; UserError if there is none, or if it cannot be what it seems."""
    try:
        content: dict[str, Any] = read_json_file(file, kind=dict)
    except UserError as error:
        found = ": ".join(part for part in (error.message, error.found) if part)
        raise _no_json(error.where or str(file), error.expected or "JSON", found) from error
    if _depth(content) > DEEPEST:
        raise _no_json(str(file), f"at most {DEEPEST} levels", "values that are nested deeper")
    return content


def _no_json(where: str, expected: str, found: str) -> UserError:
    return UserError("cannot read this file of a model", where=where, expected=expected, found=found)


def _depth(content: Any) -> int:
    """Levels of lists and mappings, counted no further than needed."""
    level, depth = [content], 0
    while level and depth <= DEEPEST:
        depth += 1
        held = [value for value in level if isinstance(value, dict | list)]
        level = [inner for value in held for inner in (value.values() if isinstance(value, dict) else value)]
    return depth


def read_base(file: Path) -> tuple[str, str | None]:
    """Folder or hub id, and commit, of the model that a checkpoint's adapters were trained on; UserError where it is not said."""
    base = read_model_json(file)
    place, revision = base.get("path"), base.get("revision")
    if not isinstance(place, str) or not place or not (revision is None or isinstance(revision, str)):
        expected = '{"path": "folder or hub id", "revision": "commit" or null}'
        raise UserError("this does not say what the adapters were trained on", where=str(file), expected=expected)
    return place, revision


def weight_files(folder: Path) -> dict[Path, set[str] | None]:
    """The safetensors files that the weights of a folder are read from, with the tensors wanted of each (None = all).

    Empty where there are none.  Raises UserError for an index that is none, or that leads out of the folder.
    """
    if (folder / WHOLE).is_file():
        return {folder / WHOLE: None}
    index = folder / INDEX
    if not index.is_file():
        return dict.fromkeys(sorted(file for file in folder.glob(SHARDS) if file.is_file()))
    weight_map = read_model_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
        raise UserError("an index of weights without a `weight_map`", where=str(index), expected="tensor name -> file name")
    strange = sorted({name for name in weight_map.values() if Path(name).name != name or not name.endswith(".safetensors")})
    if strange:
        expected = "names of safetensors files in the same folder"
        raise UserError(
            "an index of weights that leads elsewhere", where=str(index), expected=expected, found=repr(strange[0])[:120]
        )
    wanted: dict[Path, set[str] | None] = {}
    for name in sorted(set(weight_map.values())):
        wanted[folder / name] = {tensor for tensor, file in weight_map.items() if file == name}
    return wanted


def check_weights(files: Iterable[Path] | Mapping[Path, set[str] | None]) -> None:
    """Raise UserError unless each file is a whole safetensors file that holds what is wanted of it."""
    for file in files:
        wanted = files.get(file) if isinstance(files, Mapping) else None
        missing = sorted((wanted or set()) - {tensor.name for tensor in read_header(file)})
        if missing:
            raise _broken(file, f"no tensor '{missing[0]}', which the index says is there")


def read_header(file: Path) -> list[StoredTensor]:
    """What the header of a safetensors file says; UserError if it is none, or if the file is not as it says."""
    try:
        size = file.stat().st_size
        with file.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if not 2 <= length <= min(size - 8, LONGEST_HEADER):
                raise _broken(file, f"a header of {length:,} bytes in a file of {size:,}")
            header = loads(handle.read(length).decode("utf-8"))
        if not isinstance(header, dict):
            raise ValueError("the header is no object")
        about = header.get("__metadata__", {})
        if not isinstance(about, dict) or not all(isinstance(text, str) for text in about.values()):
            raise ValueError("`__metadata__` is not name -> text")
        places = [_placed(name, entry) for name, entry in header.items() if name != "__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise _broken(file, f"{type(error).__name__}: {error}"[:120]) from error
    end = 0
    for tensor, start, stop in sorted(places, key=lambda place: place[1:]):
        if start != end:
            raise _broken(file, f"tensor '{tensor.name[:60]}' begins at {start:,} where the one before it ends at {end:,}")
        end = stop
    if size != 8 + length + end:
        raise _broken(file, f"{size:,} bytes where its header tells of {8 + length + end:,}")
    return [tensor for tensor, _, _ in places]


def _placed(name: str, entry: Mapping[str, Any]) -> tuple[StoredTensor, int, int]:
    """A tensor of a header, and where it begins and ends; ValueError where its type, shape and place do not agree."""
    dtype, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in BITS:
        raise ValueError(f"tensor {name[:60]!r} of a type {str(dtype)[:20]!r} that the format does not have")
    if len(shape) > MOST_AXES or not all(type(number) is int and 0 <= number < 1 << 63 for number in (*shape, start, stop)):
        raise ValueError(f"tensor {name[:60]!r} has a shape or a place that is no number of bytes")
    if (stop - start) * 8 != math.prod(shape) * BITS[dtype]:
        raise ValueError(f"tensor {name[:60]!r} of {dtype} {shape} cannot lie in {stop - start:,} bytes")
    return StoredTensor(name, dtype, tuple(shape)), start, stop


def _broken(file: Path, found: str) -> UserError:
    return UserError(
        "cannot read these weights",
        where=str(file),
        expected="a whole safetensors file",
        found=found,
        todo="fetch the model again: the download may have stopped half-way, or left a pointer in the file's place",
    )
