"""Side by side with the lm-eval package: the same model, rows, task files and threads; seconds of each, and their ratio.

    python benchmarks/lm_eval_speed.py --model FOLDER --hub ../shared/hub --limit 50 --rounds 3 --dtype bfloat16

Four scenarios (lm_eval_rows.py): long options behind long passages, the same with letters, XNLI in 15 languages, generation.
Each side runs as a process of its own, one after the other, in turns; lm-eval with the best of the batch sizes 1, 8 and 16, which
are tried first.  `model` is the time inside of the model's requests, without tokenizing; `whole` is what a user waits for: the
process from its start to its end.  Of several rounds the best counts.  lm-eval looks for task files in the folders of the
scenario only, and computes no bootstrap: both are in its favour.  A ratio above 1 says how many times faster xlift is.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.lm_eval_rows import SCENARIOS, write_scenario
from benchmarks.pairs import ROOT, Row, finish, machine_words, peer_python

BATCH_SIZES = (1, 8, 16)
DIRECTORIES = {"choices": "okapi", "letters": "belebele", "xnli": "xnli", "generation": "xquad"}
GOALS = {"choices": 3.5, "letters": 1.5, "xnli": 2.5, "generation": 4.0}
PARTS = {
    "choices": "likelihood of four long options behind a shared passage",
    "letters": "the same with letters",
    "xnli": "XNLI in 15 languages",
    "generation": "generation, XQuAD in five languages",
}
COLUMNS = ["scenario", "tasks x rows", "lm-eval batch", *("lm-eval model", "xlift model", "ratio")]
COLUMNS += ["lm-eval whole", "xlift whole", "ratio"]


@dataclass(kw_only=True)
class Scenario:
    """What both sides run, and how long they took."""

    name: str
    tasks: list[str]
    mirror: Path
    batch_size: int = 1
    theirs: list[tuple[float, float]] = field(default_factory=list)
    "(model, whole) seconds of each round."
    loads: list[float] = field(default_factory=list)
    ours: list[tuple[float, float]] = field(default_factory=list)


class Sides:
    """How both are started."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        """Takes the command line's arguments and a folder to write to."""
        self.args, self.folder = args, folder
        self.python = Path(args.lm_eval_python or peer_python(".venv-lm-eval")).expanduser()
        (self.files,) = self.python.parent.parent.glob("lib/python3*/site-packages/lm_eval/tasks")
        self.environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "HF_HUB_OFFLINE": "1"}

    def best_batch_size(self, scenario: Scenario) -> int:
        """Try lm-eval's batch sizes in one process, after a first run that does not count."""
        jobs = [
            {"tasks": scenario.tasks, "batch_size": size, "output": str(self.folder / f"size {number}.json"), "limit": limit}
            for number, (size, limit) in enumerate([(1, 1), *((size, None) for size in BATCH_SIZES)])
        ]
        self._lm_eval(scenario, [], "".join(json.dumps(job) + "\n" for job in jobs))
        seconds = [self._read(f"size {number}.json")["model"] for number in range(1, len(jobs))]
        found = ", ".join(f"{size}: {second:.1f} s" for size, second in zip(BATCH_SIZES, seconds, strict=True))
        say(f"{scenario.name}: lm-eval's model time by batch size: {found}")
        return BATCH_SIZES[seconds.index(min(seconds))]

    def theirs(self, scenario: Scenario) -> tuple[float, float]:
        """(model, whole) seconds of lm-eval."""
        words = ["--tasks", ",".join(scenario.tasks), "--batch_size", str(scenario.batch_size)]
        whole = self._lm_eval(scenario, [*words, "--output", str(self.folder / "theirs.json")], None)
        return self._read("theirs.json")["model"], whole

    def _lm_eval(self, scenario: Scenario, words: Sequence[str], jobs: str | None) -> float:
        """Seconds of a process of lm-eval's."""
        command = [str(self.python), str(ROOT / "benchmarks/lm_eval_driver.py"), "--model", self.args.model]
        command += ["--mirror", str(scenario.mirror), "--directories", DIRECTORIES[scenario.name], "--dtype", self.args.dtype]
        return self._run([*command, "--threads", str(self.args.threads), *words], jobs)

    def ours(self, scenario: Scenario) -> tuple[float, float]:
        """(model, whole) seconds of run_eval.py."""
        with tempfile.TemporaryDirectory(dir=self.folder) as runs:
            words = ["--model", self.args.model, "--model_args", f"dtype={self.args.dtype}", "--route", "prompt", "--quiet"]
            words += ["--include_path", str(self.files / DIRECTORIES[scenario.name]), "--trust_task_code"]
            words += ["--data_dir", str(scenario.mirror), "--output_path", runs]
            words += ["--tasks", ",".join(f"lm_eval/{name}" for name in scenario.tasks)]
            timed = [sys.executable, str(Path(__file__).resolve()), "--timed", str(self.folder / "ours.json"), "--", *words]
            whole = self._run(timed, None)
        return self._read("ours.json")["model"], whole

    def _run(self, command: Sequence[str], text: str | None) -> float:
        """Seconds of a process; its errors end the benchmark."""
        begin = time.perf_counter()
        done = subprocess.run(command, input=text, capture_output=True, text=True, env=self.environment, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
        return time.perf_counter() - begin

    def _read(self, name: str) -> dict[str, float]:
        """The seconds that a process wrote down."""
        found: dict[str, float] = json.loads((self.folder / name).read_text(encoding="utf-8"))["seconds"]
        return found


def run_timed(output: str, words: Sequence[str]) -> int:
    """Run run_eval.py in this process and write down the seconds that the model's requests took."""
    import run_eval
    from models.decoder import Decoder

    seconds = 0.0

    def timed(method: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            nonlocal seconds
            begin = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                seconds += time.perf_counter() - begin

        return run

    Decoder.loglikelihood = timed(Decoder.loglikelihood)  # type: ignore[method-assign]
    Decoder.generate = timed(Decoder.generate)  # type: ignore[method-assign]
    code = run_eval.main(words)
    Path(output).write_text(json.dumps({"seconds": {"model": seconds}}), encoding="utf-8")
    return code


def say(text: str) -> None:
    """Print a line now."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def row_of(scenario: Scenario, limit: int) -> list[str]:
    """The best round of each side, and how many times faster ours is."""
    cells = [scenario.name, f"{len(scenario.tasks)} x {limit}", str(scenario.batch_size)]
    for kind in (0, 1):
        theirs, ours = (min(seconds[kind] for seconds in side) for side in (scenario.theirs, scenario.ours))
        cells += [f"{theirs:.1f} s", f"{ours:.1f} s", f"{theirs / ours:.2f}"]
    return cells


def measure(args: argparse.Namespace, folder: Path) -> None:
    """Run everything and print the table."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    sides = Sides(args, folder)
    scenarios = []
    for name in args.scenarios.split(","):
        mirror = folder / name
        tasks = write_scenario(name, mirror, hub=Path(args.hub), tokenizer=tokenizer, limit=args.limit, seed=args.seed)
        scenarios.append(Scenario(name=name, tasks=tasks, mirror=mirror))
        scenarios[-1].batch_size = args.batch_size or sides.best_batch_size(scenarios[-1])
    for number in range(args.rounds):
        for scenario in scenarios:
            turns = [(scenario.theirs, sides.theirs), (scenario.ours, sides.ours)]
            for times, side in turns if number % 2 == 0 else turns[::-1]:
                times.append(side(scenario))
            scenario.loads.append(os.getloadavg()[0])
            (theirs, whole), (ours, our_whole) = scenario.theirs[-1], scenario.ours[-1]
            say(
                f"round {number + 1}, {scenario.name}: model {theirs:.1f} s, xlift {ours:.1f} s; "
                f"whole {whole:.1f} s, xlift {our_whole:.1f} s"
            )
    say(f"\n{args.dtype}, {args.threads} threads, best of {args.rounds} rounds\n")
    for row in (COLUMNS, ["---"] * len(COLUMNS), *(row_of(scenario, args.limit) for scenario in scenarios)):
        say(f"| {' | '.join(row)} |")
    for scenario in scenarios:
        finish(record_of(scenario, args), args.record)


def record_of(scenario: Scenario, args: argparse.Namespace) -> Row:
    """The row of the table: ratios of the model's seconds, round by round."""
    pairs = [(theirs[0], ours[0]) for theirs, ours in zip(scenario.theirs, scenario.ours, strict=True)]
    ratios = [theirs / ours for theirs, ours in pairs]
    return Row(
        name=f"lm_eval_{scenario.name}",
        part=f"{PARTS[scenario.name]}, {len(scenario.tasks)} tasks of {args.limit} rows, {args.dtype}",
        peer=f"lm-eval 0.4.13 hf, batch {scenario.batch_size}",
        goal=GOALS[scenario.name],
        ratio=statistics.median(ratios),
        ratios=ratios,
        ours=statistics.median(ours for _, ours in pairs),
        theirs=statistics.median(theirs for theirs, _ in pairs),
        agreement="request by request: tests/commands/test_lm_eval_real.py",
        machine=machine_words(scenario.loads),
        threads=args.threads,
    )


def main() -> int:
    """Measure and print; or, with --timed, be one of our processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder of a causal language model")
    parser.add_argument("--hub", default=str(ROOT.parent / "shared/hub"), help="mirror with XNLI and XQuAD")
    parser.add_argument("--limit", type=int, default=10, help="rows per task")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", default="bfloat16", choices=("float32", "bfloat16"))
    parser.add_argument("--batch_size", type=int, help="of lm-eval; without it 1, 8 and 16 are tried")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument("--lm_eval_python", help="interpreter with lm-eval (make lm-eval)")
    parser.add_argument("--record", type=Path, help="file that gets the rows, for the table (see bench.py)")
    parser.add_argument("--timed", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.timed:
        return run_timed(args.timed, args.words)
    if not args.model:
        parser.error("--model is missing")
    with tempfile.TemporaryDirectory() as folder:
        measure(args, Path(folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
