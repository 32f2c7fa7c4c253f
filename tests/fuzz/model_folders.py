"""Fuzzer of --model and --device: names that are no names, and model folders whose files are not what they seem.

case = make(random.Random("1 7"), folder)       # a folder after an accident, and a plan that is to read it
"""

import contextlib
import json
import random
from pathlib import Path

from fuzzing import FuzzCase
from hostile_values import TEXTS, mangled
from small_folders import with_header, write_model_folder, write_shards

VALUES = (
    None, True, False, 0, -1, 1, 1.5, 1e300, float("inf"), float("nan"), 10**30, "", "x", "\ud800", "\x1b[31m", "x" * 5000, [],
    [1], [[]], {}, {"a": {}}, ["LlamaForCausalLM"], "LlamaForCausalLM", "llama", "xlm-roberta", {"model_type": 1}, [None],
    "../../x",
)  # fmt: skip
RAW = (
    "", "[", "{", "null", "[]", "1", '"x"', "[" * 5000, '{"a":' * 5000, "9" * 5000,
    '{"model_type": "llama", "model_type": "bert"}',
)  # fmt: skip
"JSON texts, or none."
CONFIG_KEYS = (
    "model_type", "architectures", "num_hidden_layers", "hidden_size", "vocab_size", "max_position_embeddings",
    "is_encoder_decoder", "tie_word_embeddings", "text_config", "id2label", "auto_map", "torch_dtype", "num_layers", "n_layer",
    "d_model",
)  # fmt: skip
FILES = (
    "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json", "base.json",
    "special_tokens_map.json", "generation_config.json", "chat_template.jinja", "vocab.txt", "sentencepiece.model", "heads.json",
    "adapter_config.json", "pytorch_model.bin", "vocab.json", "merges.txt", "added_tokens.json", "backbone", "decoder.json",
)  # fmt: skip
TASKS = ("mini/nli", "mini/retrieval")
DEVICES = (
    "cpu", "cuda", "cuda:0", "cuda:7", "cuda:-1", "cuda:x", "mps", "mps:0", "meta", "banana", "xpu", "hpu", "cpu:0", "CPU",
    "cuda:٣",
)  # fmt: skip
NAMES = ("{}", "{}", "org/{}", "{}/name", "./{}", "../{}", "~{}", "models/{}", "{}@{}", "{}:{}")
FLAGS = (("--model=",), ("--model=",), ("--model=",), ("--model=mini", "--recipe="), ("--model=mini", "--intermediate="))


def _json(rng: random.Random, folder: Path) -> str:
    """One value of a JSON file, or all of it."""
    name = rng.choice([file for file in FILES if file.endswith(".json")])
    path = folder / name
    other = {"path": "org/x", "revision": None, "weight_map": {}, "base_model_name_or_path": "org/x"}
    held = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else other
    if rng.random() < 0.3:
        path.write_text(rng.choice(RAW), encoding="utf-8")
        return name
    key = rng.choice([*CONFIG_KEYS, *held] if name == "config.json" else list(held))
    held[key] = rng.choice(VALUES)
    path.write_text(json.dumps(held), encoding="utf-8")
    return f"{key} of {name}"


def _header(rng: random.Random, folder: Path) -> str:
    """Another header before the same weights."""
    path = rng.choice(sorted(folder.glob("*.safetensors")))
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, content = json.loads(data[8 : 8 + length]), data[8 + length :]
    pick = rng.randrange(5)
    if pick == 0:
        path.write_bytes(rng.choice((0, 1, length - 1, length + 1, 1 << 40, (1 << 64) - 1)).to_bytes(8, "little") + data[8:])
        return "length of the header"
    if pick == 1:
        path.write_bytes(with_header(rng.choice(RAW).encode(), content))
        return "a header that is none"
    name = rng.choice([name for name in header if name != "__metadata__"])
    key = rng.choice(("dtype", "shape", "data_offsets"))
    if pick == 2:
        header[name][key] = rng.choice(VALUES)
    elif pick == 3:
        numbers = (0, -1, 1, 1 << 70, 1.5, "8", None)
        header[name][rng.choice(("shape", "data_offsets"))] = [rng.choice(numbers) for _ in range(rng.choice((1, 2, 2, 3)))]
    else:
        header[rng.choice(("", "../x", "\ud800", "x" * 4000, "__metadata__", "other"))] = header.pop(name)
    path.write_bytes(with_header(json.dumps(header).encode(), content))
    return f"{key} of {name}"


def _bytes(rng: random.Random, folder: Path) -> str:
    path = folder / rng.choice(FILES)
    held = path.read_bytes() if path.is_file() else b"{}\n"
    path.write_bytes(mangled(held, rng))
    return f"bytes of {path.name}"


def _gone(rng: random.Random, folder: Path) -> str:
    path = rng.choice(sorted(folder.iterdir()))
    path.unlink()
    if rng.random() < 0.3:
        path.mkdir()
    elif rng.random() < 0.3:
        path.symlink_to(rng.choice(("nowhere", path.name, "/dev/null", "/etc", "..")))
    return f"{path.name} gone"


def make(rng: random.Random, folder: Path) -> FuzzCase:
    """A model folder with an accident, or a name or device that is none."""
    words = ["plan", "--tasks", rng.choice(TASKS), "--recipe", "mini", "--output_path", str(folder / "runs")]
    drawn = rng.random()
    if drawn < 0.12:
        device = rng.choice(DEVICES if rng.random() < 0.7 else TEXTS).replace("\0", "")
        return FuzzCase(f"device {device[:60]!r}", ((*words, "--model", rng.choice(("constant", "mini")), f"--device={device}"),))
    if drawn < 0.3:
        text = rng.choice(TEXTS).replace("\0", "")
        name = rng.choice(NAMES).replace("{}", text)
        *before, flag = rng.choice(FLAGS)
        return FuzzCase(f"name {name[:60]!r}", ((*words, *before, flag + name),))
    model = write_model_folder(folder / "m", rng.choice(("xlm-roberta", "llama")))
    if rng.random() < 0.3:
        write_shards(model)
    done = []
    for accident in rng.choices((_json, _json, _header, _bytes, _gone), k=rng.choice((1, 1, 2))):
        with contextlib.suppress(Exception):  # the accident before it left nothing to change
            done.append(accident(rng, model))
    if rng.random() < 0.1:
        return FuzzCase("; ".join(done), ((*words, "--model", "mini", f"--model_args=tokenizer={model}"),))
    return FuzzCase("; ".join(done), ((*words, "--model", str(model), *(["--no_train"] if rng.random() < 0.3 else [])),))
