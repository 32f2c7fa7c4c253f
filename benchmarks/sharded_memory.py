"""Full fine-tuning of an encoder of 100M parameters in several processes: peak memory of each, losses and scores side by side.

    python benchmarks/sharded_memory.py                                   # 1 process, 2 with a copy each, 2 with a part each
    python benchmarks/sharded_memory.py --ways 1:none,4:full --steps 3 --optimizer adamw_8bit

Makes a random XLM-R (12 layers of width 768) and a task in a temporary folder, and trains through run_eval.py on the CPU, under
torchrun where there are several processes.  `anonymous` is the largest private memory of a process while it trains, less that of
one that has only imported everything; pages of mapped files, which the system can take back at any time, are not in it, nor is
what the C library keeps of freed blocks (MALLOC_MMAP_THRESHOLD_ is set for all).
"""

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

SIZES = {"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
WORDS = 20_000
BARE = "import torch, transformers, accelerate, peft, datasets, harness.training.loop, models.encoder"


def make_project(folder: Path, *, steps: int, training: dict[str, object]) -> Path:
    """Write task, rows, recipe and model; returns the model's folder."""
    from models.encoder import init_scratch, train_tokenizer

    rng = random.Random(1)
    words = ["".join(letters) for letters in itertools.islice(itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=4), WORDS)]
    for split, count in (("train", 16 * steps), ("test", 32)):
        rows = ({"text": " ".join(rng.choices(words, k=30)), "label": ("yes", "no")[number % 2]} for number in range(count))
        (folder / f"{split}-en.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = {
        "task": "made_up",
        "type": "classification",
        "description": "made up",
        "fields": {"text": "text", "label": "label"},
        "labels": ["yes", "no"],
        "metrics": ["accuracy"],
        "chance": 50,
        "languages": ["en"],
        "selection": "none",
        "data": {split: {"files": {"rows": f"{split}-{{lang}}.jsonl"}, "reader": "jsonl"} for split in ("train", "test")},
    }
    (folder / "made_up.yaml").write_text(json.dumps(task), encoding="utf-8")
    defaults = {"learning_rate": 1e-5, "batch_size": 16, "max_steps": steps, "epochs": 1, "precision": "float32", **training}
    recipe = {"recipe": "few_steps", "description": "a few steps", "defaults": defaults, "save_every": 10**6}
    (folder / "few_steps.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = {"model_type": "xlm-roberta", **SIZES, **still, "max_position_embeddings": 514, "type_vocab_size": 1}
    init_scratch(config, tokenizer=train_tokenizer(words, vocab_size=WORDS + 5), folder=folder / "model", seed=1)
    return folder / "model"


def anonymous(pid: int) -> int:
    """Bytes of private memory of a process now; 0 of one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon:")), 0)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(path.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += parents.get(found[-1], [])
    return found


def peaks(command: list[str]) -> tuple[list[int], float]:
    """Largest private memory of each process that computes, from the largest down, and seconds; raises if it fails."""
    begin = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "MALLOC_MMAP_THRESHOLD_": "1048576"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    most: dict[int, int] = {}
    while process.poll() is None:
        for pid in family(process.pid):
            most[pid] = max(most.get(pid, 0), anonymous(pid))
        time.sleep(0.02)
    output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(output)
    return sorted(most.values(), reverse=True), time.perf_counter() - begin


class Way(NamedTuple):
    """What came of training one way."""

    peaks: list[int]
    seconds: float
    losses: list[float]
    score: float


def measure(folder: Path, model: Path, *, count: int, sharding: str) -> Way:
    """Train and predict."""
    root = folder / f"runs-{count}-{sharding}"
    words = ["--model", str(model), "--tasks", "made_up", "--include_path", str(folder), "--recipe", "few_steps"]
    words += ["--device", "cpu", "--quiet", "--output_path", str(root), "--sharding", sharding]
    starter = ["-m", "torch.distributed.run", "--nproc_per_node", str(count), "--rdzv_backend", "c10d"]
    starter += ["--rdzv_endpoint", "localhost:0"]
    found, seconds = peaks([sys.executable, *(starter if count > 1 else []), str(ROOT / "run_eval.py"), *words])
    log = next(root.glob("train/*/log.jsonl")).read_text(encoding="utf-8").splitlines()
    score = json.loads(next(root.glob("score/*/score.json")).read_text(encoding="utf-8"))["score"]["value"]
    losses = [line["loss"] for line in map(json.loads, log) if "loss" in line]
    return Way(found[:count], seconds, losses, score)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure each way and print them side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", default="1:none,2:none,2:full", help="processes:sharding, separated by commas")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--precision", default="float32")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        training = {"optimizer": args.optimizer, "precision": args.precision}
        model = make_project(folder, steps=args.steps, training=training)
        bare, _ = peaks([sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {BARE}"])
        weights = (model / "model.safetensors").stat().st_size
        say(f"{weights / 4e6:.0f}M parameters, {args.steps} steps, {args.optimizer}, {args.precision}")
        say("processes  sharding  anonymous MB of each   seconds   score  losses")
        for way in args.ways.split(","):
            count, _, sharding = way.partition(":")
            found = measure(folder, model, count=int(count), sharding=sharding)
            own = " ".join(f"{(peak - bare[0]) / 1e6:,.0f}" for peak in found.peaks)
            losses = " ".join(f"{loss:.7f}" for loss in found.losses)
            say(f"{count:9}  {sharding:8}  {own:21}  {found.seconds:8.0f}  {found.score:6.2f}  {losses}")


if __name__ == "__main__":
    main()
