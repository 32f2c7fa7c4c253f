"""What a GGUF file says of itself before its first tensor: architecture, sizes, and how each tensor is stored.

    header = read_gguf(Path("gemma-3-270m-q4_k_m.gguf"))       # UserError for what is no whole GGUF file
    header.values["general.architecture"], header.quantization    # 'gemma3', 'Q4_K_M'

The format is that of ggml (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).  No tensor is read, and of long lists only
how many entries they have.  Imports neither torch nor gguf.
"""

import math
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from harness.api.errors import UserError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
"Types of values that have a fixed size, with how they are written."
TEXT, LIST = 8, 9
MOST_ENTRIES, MOST_TENSORS, MOST_ITEMS, LONGEST_TEXT, MOST_AXES = 1 << 14, 1 << 20, 1 << 24, 1 << 24, 8
STORED = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip
"Types of tensors: name, numbers in a block, bytes of a block."
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip
"What `general.file_type` means: most tensors are stored so."


class GgufTensor(NamedTuple):
    """A tensor as the table of its file describes it."""

    name: str
    shape: tuple[int, ...]
    "As torch has it: rows first."
    type: str

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class GgufHeader:
    """A GGUF file but for its tensors."""

    values: Mapping[str, Any]
    "Key -> value; of a list of texts how many there are."
    tensors: tuple[GgufTensor, ...]

    @property
    def architecture(self) -> str:
        """Its name for the kind of model."""
        return str(self.values["general.architecture"])

    @property
    def quantization(self) -> str:
        """How it is stored: what the file says, else what most of its numbers are."""
        said = self.values.get("general.file_type")
        if type(said) is int and said in FILE_TYPES:
            return FILE_TYPES[said]
        counts: Counter[str] = Counter()
        for tensor in self.tensors:
            counts[tensor.type] += tensor.numbers
        return counts.most_common(1)[0][0]

    def number(self, key: str) -> int | None:
        """A whole number that stands under `<architecture>.<key>`."""
        found = self.values.get(f"{self.architecture}.{key}")
        return found if type(found) is int and 0 < found < 1 << 40 else None


def read_gguf(file: Path) -> GgufHeader:
    """The header of a file; UserError if it is none, or if tensors are missing at its end."""
    try:
        size = file.stat().st_size
        with file.open("rb") as handle:
            return _read(handle, size)
    except (OSError, ValueError, struct.error, UnicodeDecodeError, MemoryError) as error:
        raise UserError(
            "cannot read these weights",
            where=str(file),
            expected=f"a whole GGUF file of version {' or '.join(map(str, VERSIONS))}",
            found=f"{type(error).__name__}: {error}"[:160],
            todo="fetch the file again: the download may have stopped half-way, or left a pointer in its place",
        ) from error


def _read(handle: BinaryIO, size: int) -> GgufHeader:
    if handle.read(4) != MAGIC:
        raise ValueError("it does not begin with GGUF")
    version, num_tensors, num_values = struct.unpack("<IQQ", _exactly(handle, 20))
    if version not in VERSIONS:
        raise ValueError(f"version {version}")
    if num_values > MOST_ENTRIES or num_tensors > MOST_TENSORS:
        raise ValueError(f"{num_values:,} values and {num_tensors:,} tensors")
    values: dict[str, Any] = {}
    for _ in range(num_values):
        key = _text(handle, size)
        (kind,) = struct.unpack("<I", _exactly(handle, 4))
        values[key] = _value(handle, kind, size)
    if not isinstance(values.get("general.architecture"), str):
        raise ValueError("no general.architecture")
    tensors, end = [], 0
    for _ in range(num_tensors):
        tensor, stop = _tensor(handle, size)
        tensors.append(tensor)
        end = max(end, stop)
    if not tensors:
        raise ValueError("no tensors")
    alignment = values.get("general.alignment", 32)
    if type(alignment) is not int or not 1 <= alignment <= 1 << 20:
        raise ValueError(f"alignment {alignment!r}")
    begin = -(-handle.tell() // alignment) * alignment
    if begin + end > size:
        raise ValueError(f"{size:,} bytes where its table of tensors tells of {begin + end:,}")
    return GgufHeader(values=values, tensors=tuple(tensors))


def _tensor(handle: BinaryIO, size: int) -> tuple[GgufTensor, int]:
    """A line of the table of tensors, and where its bytes end."""
    name = _text(handle, size)
    (axes,) = struct.unpack("<I", _exactly(handle, 4))
    if axes > MOST_AXES:
        raise ValueError(f"tensor {name[:60]!r} has {axes} axes")
    shape = struct.unpack(f"<{axes}Q", _exactly(handle, 8 * axes))
    kind, offset = struct.unpack("<IQ", _exactly(handle, 12))
    if kind not in STORED:
        raise ValueError(f"tensor {name[:60]!r} is of type {kind}, which is not known here")
    type_, numbers, bytes_ = STORED[kind]
    return GgufTensor(name, tuple(reversed(shape)), type_), offset + math.prod(shape) // numbers * bytes_


def _value(handle: BinaryIO, kind: int, size: int) -> Any:
    if kind in NUMBERS:
        return struct.unpack(NUMBERS[kind], _exactly(handle, struct.calcsize(NUMBERS[kind])))[0]
    if kind == TEXT:
        return _text(handle, size)
    if kind != LIST:
        raise ValueError(f"a value of type {kind}")
    inner, count = struct.unpack("<IQ", _exactly(handle, 12))
    if count > MOST_ITEMS:
        raise ValueError(f"a list of {count:,}")
    if inner in NUMBERS:
        content = _exactly(handle, count * struct.calcsize(NUMBERS[inner]))
        return list(struct.unpack(f"<{count}{NUMBERS[inner][1]}", content)) if count <= MOST_ENTRIES else count
    if inner != TEXT:
        raise ValueError(f"a list of values of type {inner}")
    for _ in range(count):
        (length,) = struct.unpack("<Q", _exactly(handle, 8))
        if length > size - handle.tell():
            raise ValueError("a text that ends behind the file")
        handle.seek(length, 1)
    return count


def _text(handle: BinaryIO, size: int) -> str:
    (length,) = struct.unpack("<Q", _exactly(handle, 8))
    if length > min(LONGEST_TEXT, size - handle.tell()):
        raise ValueError(f"a text of {length:,} bytes")
    return _exactly(handle, length).decode("utf-8")


def _exactly(handle: BinaryIO, length: int) -> bytes:
    found = handle.read(length)
    if len(found) != length:
        raise ValueError("the file ends in the middle of its header")
    return found
