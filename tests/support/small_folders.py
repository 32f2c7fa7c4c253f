"""Model folders that are whole but for sense: right files, headers and sizes, weights of zeros, made without torch or tokenizers.

write_model_folder(folder, "llama")          # a plan takes it for a model; loading it works as well
with_header(header, content)                 # the bytes of a safetensors file
"""

import json
from pathlib import Path
from typing import Any

SPECIALS = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}
WORDS = [*SPECIALS.values(), "the", "a", "cat", "dog", "sees", "hears", "near", "house"]
CONFIGS: dict[str, dict[str, Any]] = {
    "xlm-roberta": {
        "architectures": ["XLMRobertaModel"],
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 64,
        "type_vocab_size": 1,
    },
    "llama": {
        "architectures": ["LlamaForCausalLM"],
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 64,
    },
}


def with_header(header: bytes, content: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + content


def write_model_folder(folder: Path, model_type: str = "xlm-roberta") -> Path:
    """An ordinary folder: config.json, model.safetensors, tokenizer.json, tokenizer_config.json."""
    folder.mkdir(parents=True)
    config = {"model_type": model_type, "hidden_size": 8, "vocab_size": len(WORDS), "pad_token_id": 1, **CONFIGS[model_type]}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    name = "embeddings.word_embeddings.weight" if model_type == "xlm-roberta" else "model.embed_tokens.weight"
    size = 4 * 8 * len(WORDS)
    header = {
        "__metadata__": {"format": "pt"},
        name: {"dtype": "F32", "shape": [len(WORDS), 8], "data_offsets": [0, size]},
        "bias": {"dtype": "F16", "shape": [4], "data_offsets": [size, size + 8]},
    }
    (folder / "model.safetensors").write_bytes(with_header(json.dumps(header).encode(), bytes(size + 8)))
    words = {"type": "WordLevel", "vocab": {word: number for number, word in enumerate(WORDS)}, "unk_token": "<unk>"}
    tokenizer = {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "WhitespaceSplit"}, "model": words}
    tokenizer |= dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder"))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(SPECIALS), encoding="utf-8")
    return folder


def write_shards(folder: Path) -> None:
    """Put two shards and their index in the place of model.safetensors."""
    (folder / "model.safetensors").unlink()
    names = {}
    for number, size in ((1, 8), (2, 16)):
        file = f"model-0000{number}-of-00002.safetensors"
        header = {f"part{number}.weight": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}
        (folder / file).write_bytes(with_header(json.dumps(header).encode(), bytes(size)))
        names[f"part{number}.weight"] = file
    index = {"metadata": {"total_size": 24}, "weight_map": names}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
