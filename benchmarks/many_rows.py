"""Many test rows through a fake: seconds and memory, which must grow in a line and stay flat.

    python benchmarks/many_rows.py --rows 100000,200000,1000000

Makes a file of so many pairs of sentences and the task that reads it, then runs `run_eval.py --model random` on it in a process
of its own: rows, prediction, predictions.jsonl, scores, bootstrap, board.  The start is the same run over 10 rows, whose peak of
resident memory is taken off.  Prints a line for each number of rows.  `growth.py` does the same for languages and cells as well.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LABELS = ("entailment", "neutral", "contradiction")
TASK = """task: TASK
type: classification
description: Made-up pairs of sentences.
licence: CC0-1.0
languages: [LANGUAGES]
data:
  test: {files: {rows: "TASK/{lang}.jsonl"}, reader: jsonl}
fields: {text: premise, text_pair: hypothesis, label: label}
labels: [entailment, neutral, contradiction]
metrics: [accuracy]
chance: 33.3
selection: none
"""
START = 10


class Made(NamedTuple):
    """How much is made up and scored."""

    rows: int
    "In each language of each task."
    languages: tuple[str, ...] = ("en",)
    tasks: int = 1

    @property
    def task_names(self) -> list[str]:
        """many_rows_1 and so on."""
        return [f"many_rows_{number + 1}" for number in range(self.tasks)]

    def write(self, folder: Path) -> None:
        """The files and the tasks that read them."""
        for task in self.task_names:
            (folder / task).mkdir()
            for language in self.languages:
                with (folder / task / f"{language}.jsonl").open("w", encoding="utf-8") as file:
                    file.writelines(json.dumps(row) + "\n" for row in _rows(self.rows))
            text = TASK.replace("TASK", task).replace("LANGUAGES", ", ".join(self.languages))
            (folder / f"{task}.yaml").write_text(text, encoding="utf-8")


def _rows(number: int) -> Iterator[dict[str, str]]:
    for n in range(number):
        words = {"premise": f"Sentence {n} tells of {n % 97} things.", "hypothesis": f"It tells of {n % 89}."}
        yield {**words, "label": LABELS[n % 3]}


class Cost(NamedTuple):
    """What a run took."""

    wall: float
    cpu: float
    peak: int
    "Bytes of resident memory."


def run(made: Made, *, model: str = "random", model_args: str = "") -> Cost:
    """One run in a process of its own; all that was made is scored, or it ends here."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tasks").mkdir()
        made.write(folder / "tasks")
        command = [sys.executable, str(ROOT / "run_eval.py"), "--model", model, "--tasks", ",".join(made.task_names), "--quiet"]
        command += ["--include_path", str(folder / "tasks"), "--output_path", str(folder / "runs")]
        command += ["--model_args", model_args] if model_args else []
        begin = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HF_HUB_OFFLINE": "1"}
        )
        _, status, used = os.wait4(child.pid, 0)
        if status:
            raise SystemExit(f"the run ended with {status}")
        scores = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("runs/score/*/score.json")]
        found = sorted(score["counts"]["examples"] for score in scores)
        if found != [made.rows] * (len(made.languages) * made.tasks):
            raise SystemExit(f"{len(found)} cells of {sum(found)} rows were scored, which is not {made}")
        return Cost(time.perf_counter() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


@contextlib.contextmanager
def own_cache() -> Iterator[None]:
    """The runs share a cache that is empty when they begin and gone at the end: what is made up has no place in the user's."""
    name = "XLIFT_CACHE_DIR"
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[name] = folder
        try:
            yield
        finally:
            os.environ.pop(name) if before is None else os.environ.update({name: before})


def start(**asked: str) -> Cost:
    """The least of three starts, of which the first fills the cache."""
    return min((run(Made(START), **asked) for _ in range(3)), key=lambda cost: cost.cpu)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="100000,200000,1000000")
    parser.add_argument("--model", default="random", help="oracle, random or constant")
    parser.add_argument("--model_args", default="", help="tokenizer=<folder>, say")
    args = parser.parse_args()
    with own_cache():
        measure(list(map(int, args.rows.split(","))), model=args.model, model_args=args.model_args)


def measure(sizes: list[int], **asked: str) -> None:
    """A line for the start and for each number of rows."""
    begun = start(**asked)
    say(f"start: {begun.peak / 1e6:.0f} MB, {begun.cpu:.1f} CPU seconds; load {os.getloadavg()[0]:.1f}")
    for rows in sizes:
        cost = run(Made(rows), **asked)
        above = (cost.peak - begun.peak) / 1e6
        each = 1e6 * (cost.cpu - begun.cpu) / rows
        took = f"{cost.wall:6.1f} s, {cost.cpu:6.1f} CPU seconds ({each:.0f} us a row)"
        say(f"{rows:>9,} rows: {took}, {above:.0f} MB above the start")


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
