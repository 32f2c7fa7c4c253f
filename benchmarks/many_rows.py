"""Many test rows through a fake: seconds and memory, which must grow in a line and stay flat.

    python benchmarks/many_rows.py --rows 100000,200000,1000000

Makes a file of so many pairs of sentences and the task that reads it, then runs `run_eval.py --model random` on it in a process
of its own: rows, prediction, predictions.jsonl, scores, bootstrap, board.  The start is the same run over 10 rows, whose peak of
resident memory is taken off.  Prints a line for each number of rows.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LABELS = ("entailment", "neutral", "contradiction")
TASK = """task: many_rows
type: classification
description: Made-up pairs of sentences.
licence: CC0-1.0
languages: [en]
data:
  test: {files: {rows: rows.jsonl}, reader: jsonl}
fields: {text: premise, text_pair: hypothesis, label: label}
labels: [entailment, neutral, contradiction]
metrics: [accuracy]
chance: 33.3
selection: none
"""
START = 10


class Cost(NamedTuple):
    """What a run took."""

    wall: float
    cpu: float
    peak: int
    "Bytes of resident memory."


def make(folder: Path, rows: int) -> None:
    """The file and the task."""
    content = ({"premise": f"Sentence {n} tells of {n % 97} things.", "hypothesis": f"It tells of {n % 89}.",
                "label": LABELS[n % 3]} for n in range(rows))  # fmt: skip
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in content)
    (folder / "many_rows.yaml").write_text(TASK, encoding="utf-8")


def run(rows: int, *, model: str, model_args: str) -> Cost:
    """One run in a process of its own."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "tasks").mkdir()
        make(folder / "tasks", rows)
        command = [sys.executable, str(ROOT / "run_eval.py"), "--model", model, "--tasks", "many_rows", "--quiet"]
        command += ["--include_path", str(folder / "tasks"), "--output_path", str(folder / "runs")]
        command += ["--model_args", model_args] if model_args else []
        begin = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HF_HUB_OFFLINE": "1"}
        )
        _, status, used = os.wait4(child.pid, 0)
        if status:
            raise SystemExit(f"the run ended with {status}")
        (done,) = folder.glob("runs/score/*/score.json")
        scored = json.loads(done.read_text(encoding="utf-8"))["counts"]["examples"]
        if scored != rows:
            raise SystemExit(f"{scored} rows were scored, not {rows}")
        return Cost(time.perf_counter() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="100000,200000,1000000")
    parser.add_argument("--model", default="random", help="oracle, random or constant")
    parser.add_argument("--model_args", default="", help="tokenizer=<folder>, say")
    args = parser.parse_args()
    start = run(START, model=args.model, model_args=args.model_args)
    say(f"start: {start.peak / 1e6:.0f} MB, {start.cpu:.1f} CPU seconds; load {os.getloadavg()[0]:.1f}")
    for rows in map(int, args.rows.split(",")):
        cost = run(rows, model=args.model, model_args=args.model_args)
        above = (cost.peak - start.peak) / 1e6
        each = 1e6 * (cost.cpu - start.cpu) / rows
        took = f"{cost.wall:6.1f} s, {cost.cpu:6.1f} CPU seconds ({each:.0f} us a row)"
        say(f"{rows:>9,} rows: {took}, {above:.0f} MB above the start")


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
