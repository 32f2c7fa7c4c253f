"""From the start of a command to its first scored example, against lm-eval, and against the imports and weights that it needs.

    python benchmarks/start_speed.py --model FOLDER --hub ../shared/hub

One row of XNLI by label prompts with a causal language model, on caches that an earlier turn has filled.  Three sides in turns,
each a process of its own: `run_eval.py`, until the row's score.json is there; the lm-eval package with its index of all tasks,
until it has its results; and `bare`, which imports torch and transformers and loads the weights.  Gives two rows, either of
which is enough: how many times sooner than lm-eval, and (bare + 1.5 s) / ours.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.lm_eval_rows import write_scenario
from benchmarks.pairs import ROOT, Row, arguments, environment_of, finish, machine_words, peer_python, say

ALLOWED = 1.5
"Seconds above imports and weights."
BARE = """
import sys, torch
from transformers import AutoModelForCausalLM
AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
"""


def seconds(command: Sequence[str], *, threads: int, there: Callable[[], bool] | None = None) -> float:
    """Of a process until it ends, or until something is there; it must end well in any case."""
    begin, taken = time.perf_counter(), 0.0
    process = subprocess.Popen(
        [*command], env=environment_of(threads), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT, text=True
    )
    while there is not None and not taken and process.poll() is None:
        taken = time.perf_counter() - begin if there() else 0.0
        time.sleep(0.005)
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\n{errors[-3000:]}")
    return taken or time.perf_counter() - begin


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, pairs=7)
    parser.add_argument("--model", required=True, help="folder of a causal language model")
    parser.add_argument("--hub", default=str(ROOT.parent / "shared/hub"), help="mirror with XNLI")
    args = parser.parse_args()
    python = peer_python(".venv-lm-eval")
    with tempfile.TemporaryDirectory() as folder:
        measure(args, Path(folder), python)


def measure(args: argparse.Namespace, folder: Path, python: str) -> None:
    """The turns, and the rows of the table."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    write_scenario("xnli", folder / "mirror", hub=Path(args.hub), tokenizer=tokenizer, limit=1, seed=0)
    driver = [python, str(ROOT / "benchmarks/lm_eval_driver.py"), "--model", args.model, "--mirror", str(folder / "mirror")]
    driver += [
        "--tasks",
        "xnli_en",
        "--output",
        str(folder / "theirs.json"),
        "--dtype",
        "float32",
        "--threads",
        str(args.threads),
    ]
    words = [sys.executable, str(ROOT / "run_eval.py"), "--model", args.model, "--route", "prompt", "--tasks", "xnli"]
    words += ["--languages", "en", "--limit", "1", "--data_dir", args.hub, "--model_args", "dtype=float32", "--quiet"]
    taken: dict[str, list[float]] = {"ours": [], "theirs": [], "bare": []}
    loads = []
    for number in range(args.pairs + 1):
        runs = folder / f"runs{number}"
        scored = [*words, "--output_path", str(runs)]
        found = {
            "ours": seconds(scored, threads=args.threads, there=lambda runs=runs: any(runs.glob("score/*/score.json"))),
            "theirs": seconds(driver, threads=args.threads),
            "bare": seconds([sys.executable, "-c", BARE, args.model], threads=args.threads),
        }
        if number:  # the first fills caches
            loads.append(os.getloadavg()[0])
            for name, value in found.items():
                taken[name].append(value)
            say(
                f"turn {number}: "
                + ", ".join(f"{name} {value:.2f} s" for name, value in found.items())
                + f"; load {loads[-1]:.1f}"
            )
    middle = {name: statistics.median(values) for name, values in taken.items()}
    for name, peer, goal, values in (
        ("start", "lm-eval 0.4.13", 5.0, taken["theirs"]),
        ("start_bare", f"imports, weights and {ALLOWED} s", 1.0, [value + ALLOWED for value in taken["bare"]]),
    ):
        row = Row(name=name, part="start to first scored example, warm", peer=peer, goal=goal, machine=machine_words(loads))
        row.ratios = [other / own for other, own in zip(values, taken["ours"], strict=True)]
        row.ratio, row.ours, row.theirs = statistics.median(row.ratios), middle["ours"], statistics.median(values)
        row.agreement, row.threads = "one scored example on each side", args.threads
        row.note = f"imports and weights alone {middle['bare']:.2f} s; this goal or that of the other row"
        finish(row, args.record)


if __name__ == "__main__":
    main()
