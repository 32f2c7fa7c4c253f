"""Models of full size with random weights, written shard by shard: no more than one shard of them is ever in memory.

    python benchmarks/full_size_models.py encoder models/xxl --tokenizer models/multilingual-e5-small
    python benchmarks/full_size_models.py decoder models/7b --tokenizer models/gemma-3-270m --layers 2

`encoder` has the shape of XLM-R XXL (10.7B parameters, bf16, 22 GB) and is a checkpoint of this project: `backbone/`, with random
heads for XNLI and PAN-X beside it.  `decoder` has the layers of Qwen2.5-7B and one table of words for the tokenizer given (bf16,
15 GB).  Stopped in the middle, the same command goes on behind the last whole shard.
"""

import argparse
import dataclasses
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig

from harness.api.randomness import torch_seed
from harness.api.registry import TASK_TYPES
from harness.planning.catalog.catalog import Catalog
from models.headed.heads import HeadShape, build_head
from models.headed.network import head_key
from models.loading.architectures import make_model

ENCODER: dict[str, Any] = {
    "model_type": "xlm-roberta-xl",
    "vocab_size": 250880,
    "hidden_size": 4096,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "intermediate_size": 16384,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "hidden_dropout_prob": 0.0,
}
DECODER: dict[str, Any] = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "intermediate_size": 18944,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}
SHAPES = {"encoder": ENCODER, "decoder": DECODER}
HEADS = ("xnli", "panx")
"Tasks for which the encoder's folder has a head, under the name of the task that it would be trained on."
SHARD = 2 << 30
"Bytes of a shard; one tensor is never divided."
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def make(kind: str, folder: Path, *, tokenizer: Path, layers: int | None = None) -> None:
    """Write a model folder, or what is missing of it."""
    config = _config(kind, tokenizer, layers=layers)
    folder.mkdir(parents=True, exist_ok=True)
    for file in TOKENIZER_FILES:
        if (tokenizer / file).is_file():
            shutil.copy(tokenizer / file, folder)
    if kind == "encoder":
        _write_heads(folder, config)
    _write_weights(folder / "backbone" if kind == "encoder" else folder, config)


def _config(kind: str, tokenizer: Path, *, layers: int | None) -> PretrainedConfig:
    """The configuration with the tokenizer's ids, and its vocabulary where the shape names none."""
    words = AutoTokenizer.from_pretrained(tokenizer)
    ids = {f"{name}_token_id": getattr(words, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    shape = {"vocab_size": len(words), **ids, **SHAPES[kind]}
    if layers is not None:
        shape["num_hidden_layers"] = layers
    config = AutoConfig.for_model(shape.pop("model_type"), **shape)
    config.dtype = "bfloat16"
    return config


def _write_weights(folder: Path, config: PretrainedConfig) -> None:
    """config.json, the shards and, last, their index."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return
    with torch.device("meta"):
        model = make_model(config)
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    shards = list(_shards(shapes))
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, 1):
        file = folder / f"model-{number:05}-of-{len(shards):05}.safetensors"
        weight_map |= dict.fromkeys(names, file.name)
        if not file.is_file():
            unfinished = file.with_suffix(".part")
            save_file({name: _tensor(name, shapes[name]) for name in names}, unfinished, metadata={"format": "pt"})
            unfinished.rename(file)
            sys.stderr.write(f"{file.name}\n")
    total = sum(2 * torch.Size(shape).numel() for shape in shapes.values())
    index.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}, indent=2), encoding="utf-8")


def _shards(shapes: dict[str, tuple[int, ...]]) -> Iterator[list[str]]:
    """Names of neighbouring tensors, together no larger than a shard where that is possible."""
    names, size = [], 0
    for name, shape in shapes.items():
        own = 2 * torch.Size(shape).numel()
        if names and size + own > SHARD:
            yield names
            names, size = [], 0
        names.append(name)
        size += own
    yield names


def _tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """bf16: normal(0, 0.02) from the name, ones for the weights of norms, zeros for biases."""
    if len(shape) > 1:
        generator = torch.Generator().manual_seed(torch_seed(name, seed=0))
        return torch.empty(shape, dtype=torch.bfloat16).normal_(0.0, 0.02, generator=generator)
    return torch.full(shape, float(name.endswith("weight")), dtype=torch.bfloat16)


def _write_heads(folder: Path, config: PretrainedConfig) -> None:
    """heads.safetensors and heads.json, as a checkpoint has them."""
    catalog, shape = Catalog([]), HeadShape(hidden_size=config.hidden_size, norm_eps=config.layer_norm_eps)
    weights: dict[str, torch.Tensor] = {}
    described: dict[str, Any] = {}
    for task in HEADS:
        spec = catalog.task(task).spec
        module = TASK_TYPES.load(spec.type)
        head = module.head(spec, module.Options.model_validate(spec.options))
        asked = spec.train_on or task
        made = build_head(head, shape, seed=0, name=asked)
        weights |= {f"{head_key(asked)}.{name}": tensor.contiguous() for name, tensor in made.state_dict().items()}
        pooling = {"pooling": shape.pooling} if head.kind in ("sequence", "choice") else {}
        described[asked] = dataclasses.asdict(head) | pooling
    save_file(weights, folder / "heads.safetensors", metadata={"format": "pt"})
    (folder / "heads.json").write_text(json.dumps(described, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def main() -> None:
    """Make one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(SHAPES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with a tokenizer")
    parser.add_argument("--layers", type=int, help="fewer layers than the full shape has")
    args = parser.parse_args()
    make(args.kind, args.folder, tokenizer=args.tokenizer, layers=args.layers)


if __name__ == "__main__":
    main()
