"""Training at real shapes on a GPU: tokens a second, share of what the card reaches in a large product, memory beside the plan's.

    python benchmarks/gpu_training.py models/gpu                             # all five shapes; about ten minutes on an H100
    python benchmarks/gpu_training.py models/gpu --shapes xlmr-large-full --steps 30
    python benchmarks/gpu_training.py models/tiny --tiny                     # two layers of width 64, on any device, to try it

Each shape is a folder of random weights, made on the device and removed afterwards, that `run_eval.py` trains for some steps on
rows of random words, in a process of its own.  The time is that from the start of a step to the start of the next one, the first
two steps left out.  A token counts once, padding not at all; operations are those that `plan` states for the stage.  Memory is
the most that torch had reserved, in GiB; beside it what `plan` says for this device.  The card's peak is the best of twenty
products of two bf16 matrices, 8192 x 8192.  Without bitsandbytes the shapes of `adamw_8bit` are left out, by name.
"""

import argparse
import dataclasses
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plan_accuracy import MODELS, ROOT, Bench, Shape, say, word

VOCABULARY = 250112
XXL = {**MODELS["xlm-roberta-large"], "model_type": "xlm-roberta-xl", "vocab_size": VOCABULARY}
MODELS_HERE: Mapping[str, dict[str, Any]] = {
    "xlm-roberta-large": MODELS["xlm-roberta-large"],
    "xlm-roberta-xl": {
        **XXL,
        "hidden_size": 2560,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "intermediate_size": 10240,
    },
    "xlm-roberta-xxl": {
        **XXL,
        "hidden_size": 4096,
        "num_hidden_layers": 48,
        "num_attention_heads": 32,
        "intermediate_size": 16384,
    },
    "qwen3-9b": {
        "model_type": "qwen3",
        "vocab_size": VOCABULARY,
        "hidden_size": 4096,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 12288,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
    },
}
FULL = Shape(
    model="xlm-roberta-xl",
    does="train",
    precision="bfloat16",
    checkpointing=True,
    optimizer="adamw_8bit",
    rows=(32, 32),
)
LORA = Shape(
    model="xlm-roberta-xxl", does="train", precision="bfloat16", checkpointing=True, model_args="lora_rank=16", rows=(32, 32)
)
SHAPES: Mapping[str, Shape] = {
    "xlmr-large-full": dataclasses.replace(FULL, model="xlm-roberta-large", optimizer="adamw", rows=(64, 64)),
    "xlmr-xl-full-8bit": FULL,
    "xlmr-xl-full": dataclasses.replace(FULL, optimizer="adamw"),
    "xlmr-xxl-lora": LORA,
    "qwen3-9b-lora": dataclasses.replace(LORA, model="qwen3-9b"),
}
TINY = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 1000}
WARM = 2
"Steps whose time does not count."
CHILD = """
import contextlib, json, os, sys, time
sys.path.insert(0, {root!r})
from harness.runtime.threads import settle_threads
settle_threads(os.environ)
import torch
import run_eval
from harness.training.pace import Pace

cuda = torch.cuda.is_available()
steps, before = [], Pace.step

@contextlib.contextmanager
def step(self, *, tokens):
    if cuda:
        torch.cuda.synchronize()
    steps.append((time.monotonic(), tokens))
    with before(self, tokens=tokens):
        yield

Pace.step = step
code = run_eval.main(sys.argv[1:])
peak = torch.cuda.max_memory_reserved() if cuda else 0
print("FOUND " + json.dumps({{"steps": steps, "peak": peak}}), flush=True)
raise SystemExit(code)
"""
MAKE = """
import sys
sys.path.insert(0, {root!r})
import torch
from transformers import AutoConfig
from models.encoder import train_tokenizer
from models.loading.architectures import make_model
config = dict({config!r})
config = AutoConfig.for_model(config.pop("model_type"), pad_token_id=1, **config)
torch.manual_seed(1)
torch.set_default_dtype(getattr(torch, {dtype!r}))
with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
    model = make_model(config)
model.save_pretrained({folder!r}, max_shard_size="4GB")
train_tokenizer([{words!r}], vocab_size=700).save_pretrained({folder!r})
print(sum(parameter.numel() for parameter in model.parameters()))
"""
PEAK = """
import time, torch
cuda = torch.cuda.is_available()
size = 8192 if cuda else 1024
one = torch.randn(size, size, dtype=torch.bfloat16, device="cuda" if cuda else "cpu")
best = 1e9
for _ in range(20):
    begun = time.monotonic()
    one @ one
    if cuda:
        torch.cuda.synchronize()
    best = min(best, time.monotonic() - begun)
print(2 * size**3 / best, torch.cuda.get_device_name() if cuda else "cpu")
"""


def child(code: str, *words: str, log: Path) -> str:
    """What a process of its own printed; its other output goes to a log."""
    with log.open("ab") as file:
        found = subprocess.run([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=file, text=True, check=False)
        file.write(found.stdout.encode())
    if found.returncode:
        raise SystemExit(f"ended with {found.returncode}: see {log}\n{log.read_text(errors='replace')[-2000:]}")
    return found.stdout


class GpuBench(Bench):
    """The same rows and recipes, models made on the device."""

    tiny = False

    def folder(self, shape: Shape) -> Path:
        """The model, made once."""
        folder = self.place / f"{shape.model}-{shape.stored}"
        if not (folder / "tokenizer.json").is_file():
            config = MODELS_HERE[shape.model]
            if self.tiny:
                config = {**{name: value for name, value in config.items() if name != "head_dim"}, **TINY}
                config |= {"num_key_value_heads": 2} if "num_key_value_heads" in config else {}
            words = " ".join(map(word, range(600)))
            code = MAKE.format(root=str(ROOT), dtype=shape.stored, words=words, config=config, folder=str(folder))
            begun = time.monotonic()
            number = int(child(code, log=self.place / "make.log").split()[-1])
            say(f"{shape.model}: {number / 1e9:.2f}B parameters, made in {time.monotonic() - begun:.0f} s")
        return folder


def measure(bench: GpuBench, name: str, shape: Shape, args: argparse.Namespace, peak: float) -> str:
    """Plan and train once; a line of the table."""
    rows = 4 if args.tiny else shape.rows[0]
    log = bench.place / f"{name}.log"
    tasks = bench.tasks(shape, rows=rows, steps=args.steps)
    words = ["--model", str(bench.folder(shape)), "--tasks", "words", "--recipe", "once", "--include_path", str(tasks)]
    words += ["--output_path", str(bench.place / "runs"), "--keep", "none", "--limit", "8"]
    words += ["--model_args", ",".join(filter(None, [f"dtype={shape.precision}", shape.model_args]))]
    shutil.rmtree(bench.place / "runs", ignore_errors=True)
    command = [sys.executable, str(ROOT / "run_eval.py"), "plan", *words, "--json"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode:
        raise SystemExit(f"plan of {name} failed\n{told.stderr}")
    stage = next(one for one in json.loads(told.stdout)["stages"] if one["verb"] == "train")
    out = child(CHILD.format(root=str(ROOT)), *words, log=log)
    found = json.loads(out.rpartition("FOUND ")[2])
    begun, tokens = zip(*found["steps"], strict=True)
    seconds = statistics.median(after - before for before, after in zip(begun[WARM:-1], begun[WARM + 1 :], strict=True))
    each = statistics.mean(tokens)
    rate = stage["flops"] / args.steps / seconds
    size = f"{found['peak'] / 2**30:.1f}" if found["peak"] else "-"
    said = f"{stage['memory']['total'] / 2**30:.1f}"
    speed = f"{each:,.0f} | {seconds:.3f} | {each / seconds:,.0f} | {rate / 1e12:.1f} | {rate / peak:.1%}"
    return f"| {name} | {speed} | {size} | {said} |"


def main() -> None:
    """Make, train, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where models and runs lie: 50 GB of disk")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--tiny", action="store_true", help="two layers of width 64")
    parser.add_argument("--keep", action="store_true", help="leave the models on the disk")
    args = parser.parse_args()
    if args.steps < WARM + 2:
        raise SystemExit(f"--steps {args.steps}: at least {WARM + 2}, of which {WARM} do not count")
    args.folder.mkdir(parents=True, exist_ok=True)
    os.environ["HF_HUB_OFFLINE"] = "1"
    bench = GpuBench(place=args.folder.resolve())
    bench.tiny = args.tiny
    reached, _, device = child(PEAK, log=bench.place / "peak.log").strip().partition(" ")
    say(f"{device}: {float(reached) / 1e12:.1f} TFLOP/s in a product of bf16 matrices")
    lines = [
        "| shape | tokens a step | s a step | tokens/s | TFLOP/s | of the product's | peak GiB | planned GiB |",
        "|---" * 8 + "|",
    ]
    say("\n".join(lines))
    names = args.shapes.split(",")
    for place, name in enumerate(names):
        shape = SHAPES[name]
        if shape.optimizer == "adamw_8bit" and not importlib.util.find_spec("bitsandbytes"):
            say(f"{name} is left out: bitsandbytes is not installed")
            continue
        say(measure(bench, name, shape, args, float(reached)))
        if not args.keep and all(SHAPES[other].model != shape.model for other in names[place + 1 :]):
            shutil.rmtree(bench.folder(shape))


if __name__ == "__main__":
    main()
