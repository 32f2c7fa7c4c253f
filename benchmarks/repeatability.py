"""What equal bytes cost: the same run with sums in a fixed order and with --unrepeatable, and which files of equal runs differ.

    python benchmarks/repeatability.py --model <folder> --data_dir <mirror> --tasks xnli --steps 20,120 --rounds 3

Each round runs four whole commands in new folders, interleaved: few and many training steps, with and without a fixed order.
The time of a step is the difference between many and few, so that starting, loading and scoring do not count.  Prints
milliseconds a step of each side, their ratio, and how many files differ between the rounds of a side.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
SIDES: dict[str, list[str]] = {"fixed order": [], "any order": ["--unrepeatable"]}


def recipe(folder: Path, steps: int, batch_size: int) -> str:
    """A recipe of so many steps; its name."""
    name = f"steps_{steps}"
    training = {"learning_rate": 2e-5, "batch_size": batch_size, "max_steps": steps, "epochs": 1000, "eval_every": steps}
    (folder / f"{name}.yaml").write_text(json.dumps({"recipe": name, "description": "for timing", "defaults": training}))
    return name


def seconds(args: argparse.Namespace, folder: Path, name: str, *, out: Path, flags: list[str]) -> float:
    """Wall time of one whole command."""
    command = [
        sys.executable,
        str(HOUSE / "run_eval.py"),
        "--model",
        args.model,
        "--tasks",
        args.tasks,
        "--languages",
        args.languages,
    ]
    command += ["--limit", str(args.rows), "--recipe", name, "--include_path", str(folder), "--output_path", str(out), "--quiet"]
    command += ["--data_dir", args.data_dir] if args.data_dir else []
    command += ["--device", args.device] if args.device else []
    began = time.perf_counter()
    subprocess.run([*command, *flags], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def files(root: Path) -> dict[str, bytes]:
    """What a run wrote, without locks and boards (which name the commit and the request)."""
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.glob("*/*/**/*") if path.is_file() and path.name != "lock"
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data_dir")
    parser.add_argument("--tasks", default="xnli")
    parser.add_argument("--languages", default="de")
    parser.add_argument("--rows", type=int, default=50, help="test rows per task and language")
    parser.add_argument("--steps", default="20,120", help="few and many")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device")
    args = parser.parse_args()
    few, many = (int(number) for number in args.steps.split(","))
    times: dict[tuple[str, int], list[float]] = {}
    written: dict[tuple[str, int], list[dict[str, bytes]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names = {steps: recipe(folder, steps, args.batch_size) for steps in (few, many)}
        for number in range(args.rounds):
            for steps, name in names.items():
                for side, flags in SIDES.items():
                    out = folder / f"{side} {steps} {number}"
                    times.setdefault((side, steps), []).append(seconds(args, folder, name, out=out, flags=flags))
                    written.setdefault((side, steps), []).append(files(out))
    per_step = {side: (min(times[side, many]) - min(times[side, few])) / (many - few) for side in SIDES}
    for side, value in per_step.items():
        first, *others = written[side, many]
        differ = {name for other in others for name in first.keys() | other.keys() if first.get(name) != other.get(name)}
        told = f"{len(differ)} of {len(first)} files differ between {args.rounds} equal runs"
        sys.stdout.write(f"{side}: {1000 * value:.1f} ms a step, {told}\n")
    sys.stdout.write(
        f"a fixed order takes {per_step['fixed order'] / per_step['any order']:.3f} of the time (best of {args.rounds} rounds)\n"
    )


if __name__ == "__main__":
    main()
