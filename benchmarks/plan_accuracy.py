"""How near a plan is to what happens: memory and time of real commands beside what `plan` says of them, shape by shape.

    python benchmarks/plan_accuracy.py                        # all shapes, three runs each; 15 minutes on an idle machine
    python benchmarks/plan_accuracy.py --shapes bert-22m-train-fp32,smollm2-135m-prompt-fp32 --runs 1
    python benchmarks/plan_accuracy.py --memory_only          # where other programs run beside it

Each shape is a folder of random weights at the sizes of a real model, trained or asked by run_eval.py on rows of random words,
in a process of its own.  Memory is what the process holds at most above what it held after its imports: its anonymous pages
(RssAnon) and the weights that it reads where they lie, mapped from their files (all of them, whichever words the rows have),
sampled every 10 ms (the maps every half second); the median of the runs.  Time is that of steps or passes alone: the
difference of two runs of which one does more (all are runs for memory).  What is planned of it rests on `run_eval.py calibrate`,
which is run first.  Needs 8 GB of memory and 6 GB of disk.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
MEMORY_WITHIN, TIME_WITHIN = 0.15, 0.30
SAMPLED = 0.01
MAPS_EACH = 50
"Samples between looks at the maps, which take a core much longer than a sample does; they change while weights are loaded only."
XLMR = {"model_type": "xlm-roberta", "type_vocab_size": 1, "max_position_embeddings": 514, "vocab_size": 250002}
MODELS: Mapping[str, dict[str, Any]] = {
    "bert-22m": {
        "model_type": "bert",
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "intermediate_size": 1536,
        "vocab_size": 30522,
    },
    "xlm-roberta-base": {
        **XLMR,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    },
    "xlm-roberta-large": {
        **XLMR,
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
    "smollm2-135m": {
        "model_type": "llama",
        "hidden_size": 576,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "intermediate_size": 1536,
        "vocab_size": 49152,
        "tie_word_embeddings": True,
    },
    "qwen3-0.6b": {
        "model_type": "qwen3",
        "hidden_size": 1024,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 3072,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
    "gemma3-1b": {
        "model_type": "gemma3_text",
        "hidden_size": 1152,
        "num_hidden_layers": 26,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 256,
        "intermediate_size": 6912,
        "vocab_size": 262144,
        "sliding_window": 512,
    },
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A model and what is done with it."""

    model: str
    does: str
    "train, predict (vectors of an encoder) or prompt."
    precision: str
    checkpointing: bool = False
    optimizer: str = "adamw"
    model_args: str = ""
    length: int = 128
    rows: tuple[int, int] = (32, 96)
    "Test rows of the two runs; of trainings rows of a step, and steps are STEPS."

    @property
    def stored(self) -> str:
        """Type of the weights on the disk: the one they are used in, so that nothing is converted."""
        return "float32" if self.does == "train" and not self.model_args else self.precision


STEPS = (2, 4)
"Optimizer steps of the two runs of a training."
SHAPES: Mapping[str, Shape] = {
    "bert-22m-train-fp32": Shape(model="bert-22m", does="train", precision="float32"),
    "bert-22m-train-bf16-ckpt": Shape(model="bert-22m", does="train", precision="bfloat16", checkpointing=True),
    "smollm2-135m-train-bf16": Shape(model="smollm2-135m", does="train", precision="bfloat16", rows=(16, 16)),
    "smollm2-135m-prompt-fp32": Shape(model="smollm2-135m", does="prompt", precision="float32"),
    "xlmr-base-train-fp32-ckpt": Shape(
        model="xlm-roberta-base", does="train", precision="float32", checkpointing=True, rows=(16, 16)
    ),
    "xlmr-base-train-bf16": Shape(model="xlm-roberta-base", does="train", precision="bfloat16", rows=(16, 16)),
    "xlmr-large-predict-bf16": Shape(model="xlm-roberta-large", does="predict", precision="bfloat16"),
    "qwen3-0.6b-lora-bf16": Shape(model="qwen3-0.6b", does="train", precision="bfloat16", model_args="lora_rank=16", rows=(8, 8)),
    "gemma3-1b-prompt-bf16": Shape(model="gemma3-1b", does="prompt", precision="bfloat16", rows=(16, 48)),
}
CHILD = """
import os, sys
sys.path.insert(0, {root!r})
from harness.runtime.threads import settle_threads
settle_threads(os.environ)
import accelerate, peft, safetensors.torch, torch, transformers
import harness.executors.local, harness.report.board.board, models.decoder, models.encoder
import run_eval
print("imported", flush=True)
sys.stdin.readline()
raise SystemExit(run_eval.main(sys.argv[1:]))
"""
MAKE = """
import sys
sys.path.insert(0, {root!r})
import torch
from models.encoder import init_scratch, train_tokenizer
torch.set_default_dtype(getattr(torch, {dtype!r}))
words = train_tokenizer([{words!r}], vocab_size=700)
init_scratch({config!r}, tokenizer=words, folder={folder!r}, seed=1)
"""


class Measured(NamedTuple):
    """What happened."""

    memory: int
    seconds: float
    plan: Mapping[str, Any]


def say(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def word(number: int) -> str:
    """A word of letters."""
    return "w" + "".join(chr(97 + int(digit)) for digit in str(number))


@dataclass(kw_only=True)
class Bench:
    """Where it is done."""

    place: Path
    environment: dict[str, str] = field(default_factory=dict)

    def folder(self, shape: Shape) -> Path:
        """The model, made once."""
        folder = self.place / f"{shape.model}-{shape.stored}"
        if not (folder / "config.json").is_file():
            code = MAKE.format(
                root=str(ROOT),
                dtype=shape.stored,
                words=" ".join(map(word, range(600))),
                config=MODELS[shape.model],
                folder=str(folder),
            )
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        return folder

    def tasks(self, shape: Shape, *, rows: int, steps: int) -> Path:
        """A task with its rows, and a recipe."""
        folder = self.place / "tasks"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        random = np.random.default_rng(1)
        for kind, number in (("train", 2 * rows), ("en", rows)):
            texts = [" ".join(word(int(one)) for one in random.integers(0, 600, shape.length - 2)) for _ in range(number)]
            lines = [json.dumps({"a": text, "b": text, "label": ("no", "yes")[n % 2]}) for n, text in enumerate(texts)]
            (folder / f"words-{kind}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        sources = {"test": "words-{lang}.jsonl", "train": "words-train.jsonl"}
        task: dict[str, Any] = {
            "task": "words",
            "type": "classification",
            "description": "Random words.",
            "languages": ["en"],
            "data": {split: {"files": {"rows": file}, "reader": "jsonl"} for split, file in sources.items()},
            "fields": {"text": "a", "label": "label"},
            "labels": ["no", "yes"],
            "metrics": ["accuracy"],
            "chance": 50,
            "options": {"max_length": shape.length},
            "prompt": {"context": "{{ text }}", "continuations": {"no": " no", "yes": " yes"}, "delimiter": ""},
        }
        if shape.does == "predict":
            del task["data"]["train"], task["labels"], task["chance"], task["prompt"]
            task |= {"type": "retrieval", "fields": {"source": "a", "target": "b"}, "metrics": ["accuracy"]}
            task["languages"] = ["de"]
            task["data"]["test"]["files"]["rows"] = "words-en.jsonl"
        recipe = {
            "max_steps": steps,
            "batch_size": rows,
            "precision": shape.precision,
            "gradient_checkpointing": shape.checkpointing,
            "optimizer": shape.optimizer,
        }
        (folder / "words.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
        (folder / "once.yaml").write_text(
            yaml.safe_dump({"recipe": "once", "description": "A few steps.", "defaults": recipe}), encoding="utf-8"
        )
        return folder

    def measure(self, shape: Shape, *, more: bool) -> Measured:
        """Plan and run once; `more`: the run that does more."""
        rows, steps = shape.rows[more], STEPS[more]
        folder = self.folder(shape)
        words = [
            "--model",
            str(folder),
            "--tasks",
            "words",
            "--recipe",
            "once",
            "--quiet",
            "--output_path",
            str(self.place / "runs"),
        ]
        words += ["--include_path", str(self.tasks(shape, rows=rows, steps=steps)), "--keep", "none", "--model_args"]
        words += [",".join(filter(None, [f"dtype={shape.precision}", shape.model_args]))]
        words += ["--route", "prompt", "--no_train"] if shape.does == "prompt" else []
        shutil.rmtree(self.place / "runs", ignore_errors=True)
        plan = subprocess.run(
            [sys.executable, str(ROOT / "run_eval.py"), "plan", *words, "--json"],
            capture_output=True,
            text=True,
            env=self.environment,
        )
        if plan.returncode:
            raise SystemExit(f"plan failed\n{plan.stderr}")
        memory, seconds = self.run(words)
        return Measured(memory, seconds, json.loads(plan.stdout))

    def run(self, words: list[str]) -> tuple[int, float]:
        """Run a command in a process of its own: bytes at its peak above its imports, and seconds."""
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD.format(root=str(ROOT)), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self.environment,
        )
        assert child.stdin
        assert child.stdout
        assert child.stdout.readline().strip() == "imported"
        before, highest, maps, number, begun = anonymous(child.pid), 0, 0, 0, time.monotonic()
        child.stdin.write("\n")
        child.stdin.flush()
        while child.poll() is None:
            if number % MAPS_EACH == 0:
                maps = mapped(child.pid)
            number += 1
            highest = max(highest, anonymous(child.pid) + maps)
            time.sleep(SAMPLED)
        seconds = time.monotonic() - begun
        child.communicate()
        if child.returncode:
            raise SystemExit(f"run failed: {' '.join(words)}")
        return highest - before, seconds


def anonymous(pid: int) -> int:
    """Bytes of a process's anonymous pages; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)


def mapped(pid: int) -> int:
    """Bytes of weights that are mapped from their files and that nobody has written to."""
    total, ours = 0, False
    try:
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            first, _, rest = line.partition(" ")
            if not first.endswith(":"):
                ours = line.endswith(".safetensors")
            elif ours and first in ("Size:", "Anonymous:"):
                total += int(rest.split()[0]) * (1024 if first == "Size:" else -1024)
    except OSError:
        return 0
    return total


def planned(found: Mapping[str, Any], what: str) -> float:
    """Of a plan's stages the largest memory, or the sum of the seconds."""
    if what == "memory":
        return float(max(stage["memory"]["total"] for stage in found["stages"]))
    return float(sum(stage["seconds"] for stage in found["stages"]))


def main() -> int:
    """Measure and print; 1 if anything is further off than it may be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--runs", type=int, default=3, help="runs whose median counts")
    parser.add_argument("--memory_only", action="store_true")
    parser.add_argument("--folder", type=Path, help="where models are kept (default: a temporary folder)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = args.folder or Path(scratch)
        place.mkdir(parents=True, exist_ok=True)
        bench = Bench(place=place, environment={**os.environ, "HF_HUB_OFFLINE": "1"})
        if not args.memory_only:
            subprocess.run([sys.executable, str(ROOT / "run_eval.py"), "calibrate"], check=True, env=bench.environment)
        say(f"{'shape':28} {'what':7} {'planned':>10} {'measured':>10} {'ratio':>6}  ok")
        bad = sum(_bad(bench, name, SHAPES[name], args) for name in args.shapes.split(","))
    say(f"{bad} further off than {MEMORY_WITHIN:.0%} of memory or {TIME_WITHIN:.0%} of time")
    return 1 if bad else 0


def _bad(bench: Bench, name: str, shape: Shape, args: argparse.Namespace) -> int:
    """Print the lines of a shape; how many of them are too far off."""
    runs = [bench.measure(shape, more=number % 2 == 1 and not args.memory_only) for number in range(args.runs)]
    memory = statistics.median(run.memory for run in runs)
    # The largest memory of a plan is that of any of the runs: they have the same batches.
    bad = _line(name, "memory", planned(runs[0].plan, "memory") / 2**20, memory / 2**20, MEMORY_WITHIN, "MiB")
    if not args.memory_only and len(runs) > 1:
        few, many = ([run for number, run in enumerate(runs) if number % 2 == more] for more in (0, 1))
        took = statistics.median(run.seconds for run in many) - statistics.median(run.seconds for run in few)
        said = planned(many[0].plan, "time") - planned(few[0].plan, "time")
        bad += _line(name, "time", said, took, TIME_WITHIN, "s")
    return bad


def _line(name: str, what: str, said: float, found: float, within: float, unit: str) -> int:
    ratio = said / max(found, 1e-9)
    good = abs(ratio - 1) <= within
    say(f"{name:28} {what:7} {said:6.1f} {unit:3} {found:6.1f} {unit:3} {ratio:6.2f}  {'yes' if good else 'NO'}")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
