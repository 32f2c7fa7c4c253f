"""One board of all ways to ask: an encoder's heads, a language model's heads, and its words by transformers and by vLLM.

    python benchmarks/routes_board.py --encoder FOLDER --decoder FOLDER --hub ../shared/hub --limit 200 --output_path runs/routes

Each arm is a run_eval.py process on the same seeded rows; with --at_once 2 two of them run side by side.  What is done is not
done again.  Prints the seconds of each arm, how far the answers of the two engines agree (in fp32 they differ by rounding; in
bf16, the default where the processor has it, by more), and the board of all arms.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

TASKS = "xnli,panx,xquad,tatoeba,commonsenseqa_dev"
LAST_LAYER = "layer=-1"
"What vLLM gives vectors of: all arms of the decoder are asked for these."
LORA = "lora_rank=8,lora_alpha=16"
ENGINES = ("transformers", "vllm")


class Arm(NamedTuple):
    """A way to ask."""

    name: str
    model: str
    "encoder or decoder."
    flags: tuple[str, ...] = ()
    model_args: str = ""


ARMS = (
    Arm("encoder, heads", "encoder", ("--recipe", "quick")),
    Arm("decoder, heads by LoRA", "decoder", ("--recipe", "quick_lora"), f"{LORA},{LAST_LAYER}"),
    *(
        Arm(
            f"decoder, {shots}-shot, {engine}",
            "decoder",
            ("--route", "prompt", *(("--prompt_args", f"num_fewshot={shots}") if shots else ())),
            f"engine={engine},{LAST_LAYER}",
        )
        for shots in (0, 4)
        for engine in ENGINES
    ),
)


def run(arm: Arm, args: argparse.Namespace) -> float:
    """Seconds of an arm; its exit code other than 0 and 1 (data are missing) ends the benchmark."""
    model_args = ",".join(filter(None, [arm.model_args, f"dtype={args.dtype}"]))
    command = [
        sys.executable,
        str(ROOT / "run_eval.py"),
        "--model",
        getattr(args, arm.model),
        "--tasks",
        args.tasks,
        *arm.flags,
    ]
    command += ["--model_args", model_args, "--limit", str(args.limit), "--data_dir", args.hub]
    command += ["--output_path", args.output_path, *(["--languages", args.languages] if args.languages else [])]
    begin = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, env={"OMP_NUM_THREADS": "1", **os.environ}, check=False)
    if done.returncode > 1:
        raise SystemExit(f"{arm.name}: exit code {done.returncode} of {' '.join(command)}")
    return time.perf_counter() - begin


def answers(root: Path) -> Iterator[tuple[str, dict[str, Any], dict[str, dict[str, Any]]]]:
    """(engine, what was asked, predictions by id) of each finished cell that was asked in words."""
    from harness.prediction.finishing import read_predictions
    from harness.runtime.stages import read_json

    for done in sorted(root.glob("predict/*/done.json")):
        args = read_json(done.parent / "args.json")["args"]
        if "prompt" in args:
            asked = {name: args[name] for name in ("task", "lang", "prompt")}
            yield args["model"].get("engine", ENGINES[0]), asked, {line["id"]: line for line in read_predictions(done.parent)}


def agreement(root: Path) -> list[list[str]]:
    """A row a task and way of asking: rows, predictions that differ between the engines, largest difference of a score."""
    cells: dict[str, dict[str, Any]] = {}
    for engine, asked, lines in answers(root):
        cells.setdefault(json.dumps(asked, sort_keys=True), {})[engine] = lines
    totals: dict[tuple[str, int], list[float]] = {}
    for key, found in cells.items():
        if set(found) != {*ENGINES}:
            continue
        asked = json.loads(key)
        total = totals.setdefault((asked["task"], asked["prompt"].get("num_fewshot", 0)), [0, 0, 0.0])
        for id_, one in found[ENGINES[0]].items():
            other = found[ENGINES[1]][id_]
            total[0] += 1
            total[1] += one["prediction"] != other["prediction"]
            pairs = zip(one.get("scores") or (), other.get("scores") or (), strict=True)
            total[2] = max([total[2], *(abs(a - b) for a, b in pairs if a is not None and b is not None)])
    return [[task, str(shots), *(f"{value:.4g}" for value in total)] for (task, shots), total in sorted(totals.items())]


def main() -> int:
    """Run what is not done, compare the engines, print the board."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", required=True, help="folder or hub id")
    parser.add_argument("--decoder", required=True, help="folder or hub id of a causal language model")
    parser.add_argument("--hub", default=str(ROOT.parent / "shared/hub"), help="mirror of hub datasets")
    parser.add_argument("--output_path", default="runs/routes")
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--languages", default="", help="the default is all of each task")
    parser.add_argument("--limit", type=int, default=200, help="rows per task and language")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--at_once", type=int, default=1, help="arms that run side by side")
    args = parser.parse_args()
    with ThreadPoolExecutor(args.at_once) as pool:
        seconds = list(pool.map(lambda arm: run(arm, args), ARMS))

    from harness.commands._table import table

    columns = ["task", "shots", "rows", "other predictions", "largest difference of a score"]
    times = [[arm.name, f"{second:.0f}"] for arm, second in zip(ARMS, seconds, strict=True)]
    sys.stdout.write(f"{table(['arm', 'seconds'], times)}\n\n{table(columns, agreement(Path(args.output_path)))}\n\n")
    sys.stdout.flush()
    return subprocess.run([sys.executable, str(ROOT / "run_eval.py"), "leaderboard", args.output_path], check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
