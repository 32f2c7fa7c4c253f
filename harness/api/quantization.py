"""How weights in few bits are stored: what a config.json or a file's name says of it, and what reads it.

    stored = stored_quantization(config)            # None for ordinary weights
    stored.method, stored.bits, stored.label        # 'compressed-tensors', 4, 'compressed-tensors pack-quantized int4'
    gguf_file("models/gemma-3-270m-q4_k_m.gguf")     # the file; of a folder the one GGUF file that is all its weights

Imports neither torch nor transformers.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from harness.api.errors import UserError

GGUF = ".gguf"
BITS_HERE = {"nf4": 4 + 8 / 64 + 32 / (64 * 256), "int8": 8}
"""Bits of a weight that is quantised here: nf4 has a scale of 8 bits for 64 weights, and one of 32 bits for 256 scales; int8
has a scale for each row, which is next to nothing.  (For plans: tables of words, norms and output matrices stay as they are.)"""


class Method(NamedTuple):
    """A way of storing weights in few bits."""

    packages: tuple[str, ...] = ()
    "What transformers reads it with."
    extra: str = ""
    "The extra of this project that brings them; empty = none does."


METHODS: Mapping[str, Method] = {
    "bitsandbytes": Method(("bitsandbytes",), "low-bit"),
    "compressed-tensors": Method(("compressed_tensors",), "low-bit"),
    "gguf": Method(("gguf",), "low-bit"),
    "gptq": Method(("optimum", "gptqmodel")),
    "awq": Method(("gptqmodel",)),
}
"Those whose labels and packages are known here; transformers may read others."


@dataclass(frozen=True, kw_only=True)
class StoredQuantization:
    """What is known of weights in few bits before they are loaded."""

    method: str
    "As `quant_method` of config.json has it."
    label: str
    "For a reader."
    bits: int | None = None
    "Of a weight; None = not said."


def stored_quantization(config: Mapping[str, Any], *, where: str = "config.json") -> StoredQuantization | None:
    """What `quantization_config` says; None where there is none, UserError where it says nothing that makes sense."""
    said = config.get("quantization_config") or config.get("compression_config")
    if not said:
        return None
    method = said.get("quant_method") if isinstance(said, Mapping) else None
    method = getattr(method, "value", method)  # transformers puts an enumeration there
    if not isinstance(said, Mapping) or not isinstance(method, str) or not method.isprintable() or len(method) > 40:
        expected = "an object with `quant_method`, such as gptq, awq, compressed-tensors, bitsandbytes"
        raise UserError("this does not say how the weights are stored", where=f"{where} quantization_config", expected=expected)
    if method == "bitsandbytes":
        kind = str(said.get("bnb_4bit_quant_type", "nf4")) if said.get("load_in_4bit") or said.get("_load_in_4bit") else "int8"
        return StoredQuantization(method=method, label=f"bitsandbytes {kind}", bits=8 if kind == "int8" else 4)
    if method == "compressed-tensors":
        kinds = _weights(said)
        names = " and ".join(dict.fromkeys(name for name, _ in kinds))
        text = " ".join(part for part in (method, str(said.get("format") or "")[:40], names) if part)
        return StoredQuantization(method=method, label=text, bits=kinds[0][1] if len(set(kinds)) == 1 else None)
    bits = said.get("bits", said.get("w_bit"))
    bits = bits if type(bits) is int and 0 < bits <= 16 else None
    group = said.get("group_size", said.get("q_group_size"))
    text = method + (f" int{bits}" if bits else "") + (f", groups of {group}" if type(group) is int and group > 0 else "")
    return StoredQuantization(method=method, label=text, bits=bits)


def _weights(said: Mapping[str, Any]) -> list[tuple[str, int]]:
    """('int4', 4) for each group of compressed-tensors."""
    groups = said.get("config_groups")
    found = []
    for group in groups.values() if isinstance(groups, Mapping) else ():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        bits = weights.get("num_bits") if isinstance(weights, Mapping) else None
        if isinstance(weights, Mapping) and type(bits) is int and 0 < bits <= 16:
            found.append((f"{'float' if weights.get('type') == 'float' else 'int'}{bits}", bits))
    return found


def gguf_file(text: str | None) -> Path | None:
    """The GGUF file that a text names, by itself or as the only weights of a folder; None where it names none.

    UserError for a folder of several, whose weights might be any of them.
    """
    if not text:
        return None
    place = Path(os.path.expanduser(text))
    try:
        if place.suffix.lower() == GGUF and place.is_file():
            return place
        if not place.is_dir() or any(place.glob("*.safetensors")) or any(place.glob("*.bin")):
            return None
        found = sorted(file for file in place.glob("*") if file.suffix.lower() == GGUF and file.is_file())
    except (OSError, ValueError):  # an over-long name, a null byte
        return None
    if len(found) > 1:
        raise UserError(
            "several GGUF files: which one is meant?",
            where=str(place),
            found=", ".join(file.name for file in found[:6]),
            todo=f"name one: --model {found[0]}",
        )
    return found[0] if found else None
