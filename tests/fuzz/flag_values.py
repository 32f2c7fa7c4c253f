"""Fuzzer of `key=value` flags: --model_args and --prompt_args whose keys exist and whose values may be anything.

case = make(random.Random("1 7"), folder)       # case.commands plan with a preset, a fake or a small folder
"""

import random
from pathlib import Path

from fuzzing import FuzzCase
from hostile_values import TEXTS, YAML_VALUES
from small_folders import write_model_folder

from harness.planning.backbone.model_args import known_args
from harness.specs.prompt import PromptArgs

MODEL_KEYS = sorted(known_args().model_fields)
PROMPT_KEYS = sorted(PromptArgs.model_fields)
FITTING = {
    "dtype": ("float32", "bfloat16", "auto", "fp16", "half", "int8", "float64", "torch.float16"),
    "attn_implementation": ("sdpa", "eager", "flash_attention_2", "flex"),
    "adapter": ("encoder", "decoder", "finetuned", "vllm", "registry", "presets"),
    "device_map": ("auto", "cpu", "cuda:0", "balanced"),
    "model_type": ("xlm-roberta", "llama", "bert", "robertina"),
    "tokenizer_class": ("XLMRobertaTokenizer", "AutoModel", "AutoTokenizer"),
    "path": ("org/name", ".", "/etc/passwd", "setup.cfg"),
    "tokenizer": ("org/name", ".", "/etc/passwd", "setup.cfg"),
    "revision": ("main", "1", "0123456", "v1.0", "2020-01-31", "1e3"),
    "engine": ("transformers", "vllm", "vlm", "server"),
    "base_url": ("http://localhost:1/v1", "localhost", "http://[", "http://a:b@c", "file:///etc/passwd"),
    "api_key_variable": ("HOME", "NOT_SET", "sk-1", ""),
    "chat_template": ("true", "server", "serve"),
    "thinking": ("on", "off", "maybe"),
    "labels": ("a|b|c", "a|a", "a||b", "|"),
    "layer": ("0", "-1", "99", "-99", "0.5", "1.5", "2"),
    "pooling": ("mean", "first", "max"),
    "threshold": ("auto", "dev", "0.5"),
    "lora_targets": ("all-linear", "q_proj|v_proj", "|"),
    "normalise": ("sum", "per_token", "mean"),
    "wording": ("english", "localised"),
    "fewshot_split": ("train", "validation", "test"),
}
NUMBERS = (
    "0",
    "1",
    "-1",
    "2",
    "16",
    "0.5",
    "1e9",
    "1e400",
    "1000000000",
    "9" * 30,
    "true",
    "false",
    "null",
    "16.0",
    "-0.1",
    "1.0",
)
TASKS = ("mini/nli", "mini/tagging", "mini/qa", "mini/retrieval", "mini/tatoeba", "mini/nli,mini/panx")


def _value(rng: random.Random, key: str) -> str:
    """A value for a key: one that fits or nearly does, a number, what YAML makes something else of, any text."""
    drawn = rng.random()
    if drawn < 0.25:
        return rng.choice(FITTING.get(key, NUMBERS))
    if drawn < 0.4:
        return rng.choice(NUMBERS)
    return rng.choice(YAML_VALUES if drawn < 0.85 else TEXTS)


def _flag(rng: random.Random, keys: list[str]) -> str:
    """`key=value,key=value`; the shell cannot hand over null characters."""
    parts = [f"{key}={_value(rng, key)}" for key in rng.choices(keys, k=rng.choice((1, 1, 1, 2, 3)))]
    return ",".join(parts).replace("\0", "")


def make(rng: random.Random, folder: Path) -> FuzzCase:
    """A plan with one such flag."""
    models = ("mini", "constant", "xlm-roberta-base", "encoder", "encoder", "decoder", "decoder")
    model = rng.choice(models)
    if model in ("encoder", "decoder"):
        model = str(write_model_folder(folder / model, {"encoder": "xlm-roberta", "decoder": "llama"}[model]))
    words = ["plan", "--model", model, "--tasks", rng.choice(TASKS), "--recipe", "mini", "--output_path", str(folder / "runs")]
    if rng.random() < 0.75:
        flag = _flag(rng, MODEL_KEYS)
        words += [f"--model_args={flag}", *(["--no_train"] if rng.random() < 0.2 else [])]
    else:
        flag = _flag(rng, PROMPT_KEYS)
        words += [f"--prompt_args={flag}", "--route", "prompt"]
    return FuzzCase(flag[:100], (tuple(words),))
