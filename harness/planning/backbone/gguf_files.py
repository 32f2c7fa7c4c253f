"""A GGUF file as the plan sees it: what stands in a config.json otherwise, and its sizes.

    gguf_config(file)          # {'model_type': 'gemma3', 'architectures': ['GemmaForCausalLM'], 'num_hidden_layers': 18, ...}
    gguf_sizes(file)           # {'parameters': 268098176, 'layers': 18, ..., 'weight_bytes': 253113024}

Imports neither torch nor transformers.
"""

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from harness.api.errors import UserError, did_you_mean
from harness.api.gguf_header import GgufHeader, read_gguf
from harness.api.quantization import StoredQuantization, gguf_file

ENCODERS = ("bert", "nomic-bert", "jina-bert-v2", "t5encoder", "modern-bert", "eurobert")
"Architectures of encoders; all others are causal language models."
TABLES = ("token_embd.weight", "position_embd.weight", "token_types.weight", "output.weight")
READERS = (("integrations/ggml.py", "GGUF_CONFIG_MAPPING"), ("integrations/gguf/gguf_config_mapping.py", "GGUF_CONFIG_ARCHS"))
"Where transformers keeps the architectures that it reads."


def gguf_config(file: Path) -> dict[str, Any]:
    """What a config.json would say, as far as a plan needs it."""
    header = read_gguf(file)
    sizes = {
        "num_hidden_layers": header.number("block_count"),
        "hidden_size": header.number("embedding_length"),
        "max_position_embeddings": header.number("context_length"),
        "vocab_size": header.number("vocab_size"),
    }
    causal = header.architecture not in ENCODERS
    return {
        "model_type": header.architecture,
        "architectures": ["GgufForCausalLM" if causal else "GgufModel"],
        **{key: value for key, value in sizes.items() if value},
    }


def check_gguf(file: Path) -> GgufHeader:
    """UserError for a file that is broken, or whose architecture the installed transformers does not read from GGUF."""
    header = read_gguf(file)
    known = read_by_transformers()
    if known and header.architecture not in known:
        near = did_you_mean(header.architecture, known, listed=0)
        raise UserError(
            f"transformers does not read the architecture '{header.architecture[:60]}' from GGUF",
            where=str(file),
            expected=", ".join(sorted(known)),
            todo=near if near.startswith("did") else "take the model's ordinary folder, or convert the file to one",
        )
    return header


def gguf_sizes(file: Path) -> dict[str, Any]:
    """Parameters, layers, width, bytes on disk."""
    header = read_gguf(file)
    counts = {tensor.name: tensor.numbers for tensor in header.tensors if not tensor.name.startswith("rope_")}
    total = sum(counts.values())
    return {
        "layers": header.number("block_count"),
        "hidden_size": header.number("embedding_length"),
        "parameters": total,
        "non_embedding_parameters": total - sum(counts.get(name, 0) for name in TABLES),
        "weight_bytes": file.stat().st_size,
        "quantization": f"gguf {header.quantization}",
    }


def gguf_quantization(path: str) -> StoredQuantization | None:
    """How a GGUF file holds its weights; None for a path that names none."""
    file = gguf_file(path)
    return StoredQuantization(method="gguf", label=f"gguf {read_gguf(file).quantization}") if file else None


@cache
def read_by_transformers() -> frozenset[str]:
    """The architectures that the installed transformers reads, by its source; empty where it keeps them elsewhere."""
    package = importlib.util.find_spec("transformers")
    found: set[str] = set()
    for place in (package.submodule_search_locations or ()) if package else ():
        for name, constant in READERS:
            file = Path(place, name)
            found |= _keys(file, constant) if file.is_file() else set()
    return frozenset(found - {"general", "tokenizer"})


def _keys(file: Path, constant: str) -> set[str]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [constant]:
            keys = node.value.keys if isinstance(node.value, ast.Dict) else []
            return {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return set()
