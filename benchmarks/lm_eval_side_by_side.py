"""The lm-eval package and xlift on the same rows: prompts, log-likelihoods, texts, gold and numbers of twenty-one of its tasks.

    python benchmarks/lm_eval_side_by_side.py --model FOLDER [--tasks anli_r1,swag] [--rows 3] [--hub ../shared/hub]

Each task is asked with no and with three solved examples, without and in the model's chat template, by both programs in float32
on one thread of the CPU.  Prompts, continuations, what ends an answer and how long it may be, gold and generated texts must be
equal to the letter, log-likelihoods and the tasks' numbers by 2e-4.  Prints a table and what differs; exit code 1 where something
does.  Tasks and where their rows come from: lm_eval_side_rows.py.  The model is a folder with a chat template, such as
SmolLM2-135M-Instruct's.
"""

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.lm_eval_side_lines import COLUMNS, MODES, Line, Mode, Question, compare, compare_numbers
from benchmarks.lm_eval_side_rows import TASKS, write_mirror
from benchmarks.pairs import ROOT, peer_python


@dataclass(frozen=True, kw_only=True)
class Sides:
    """How both programs are started, and where they write."""

    folder: Path
    model: str
    tasks: Sequence[str]
    rows: int
    python: Path
    "An interpreter that has lm-eval."

    @property
    def mirror(self) -> Path:
        """Where both read rows."""
        return self.folder / "mirror"

    @property
    def paths(self) -> list[Path]:
        """The folders of lm-eval's task files."""
        (files,) = self.python.parent.parent.glob("lib/python3*/site-packages/lm_eval/tasks")
        return [files / folder for folder in dict.fromkeys(TASKS[name].folder for name in self.tasks)]

    def theirs(self) -> dict[Mode, dict[str, Any]]:
        """What lm-eval asked, was told and made of it; its model is loaded once."""
        outputs = {mode: self.folder / f"lm-eval, {mode.name}.json" for mode in MODES}
        command = [str(self.python), str(ROOT / "benchmarks/lm_eval_driver.py"), "--model", self.model]
        command += ["--mirror", str(self.mirror), "--directories", ",".join(TASKS[name].folder for name in self.tasks)]
        jobs = [
            {"tasks": self.tasks, "output": str(output), "num_fewshot": mode.shots, "chat_template": mode.chat}
            | {"limit": self.rows, "batch_size": 1}
            for mode, output in outputs.items()
        ]
        done = subprocess.run(
            command, input="".join(json.dumps(job) + "\n" for job in jobs), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"lm-eval ended with {done.returncode}:\n{done.stderr[-3000:]}")
        return {mode: json.loads(output.read_text(encoding="utf-8")) for mode, output in outputs.items()}

    def words(self, mode: Mode) -> dict[str, str]:
        """What a run of ours is asked for."""
        prompt_args = [f"num_fewshot={mode.shots}", *["chat_template=true"] * mode.chat]
        return {
            "model": self.model,
            "model_args": "dtype=float32",
            "tasks": ",".join(f"lm_eval/{name}" for name in self.tasks),
            "route": "prompt",
            "prompt_args": ",".join(prompt_args),
            "limit": f"first:{self.rows}",
        }

    def ours(self, mode: Mode) -> Path:
        """The folder of a run of ours."""
        import run_eval

        output = self.folder / f"xlift, {mode.name}"
        words = [f"--{name}={value}" for name, value in self.words(mode).items()]
        words += [f"--include_path={path}" for path in self.paths]
        words += ["--data_dir", str(self.mirror), "--trust_task_code", "--output_path", str(output), "--quiet"]
        with contextlib.redirect_stdout(io.StringIO()):
            code = run_eval.main(words)
        if code:
            raise SystemExit(f"xlift ended with {code}, {mode.name}")
        return output


def questions(sides: Sides, mode: Mode) -> dict[str, list[Question]]:
    """Our questions by task, from a plan of the same run."""
    from transformers import AutoTokenizer

    from harness.data.locations import DataPlace
    from harness.planning.catalog.catalog import Catalog
    from harness.planning.plan import make_plan
    from harness.planning.request import RunRequest
    from harness.prediction.cell import Cell
    from harness.runtime.machine import Machine

    catalog = Catalog(sides.paths)
    place = DataPlace.resolve(sides.mirror, trust_task_code=True)
    request = RunRequest(**sides.words(mode))
    machine = Machine(place=place, device_name="cpu", progress=False, task_folders=catalog.task_folders())
    tokenizer = AutoTokenizer.from_pretrained(sides.model)
    found = {}
    for stage in make_plan(request, catalog=catalog, place=place).stages:
        if stage.verb == "predict":
            cell = Cell(stage=stage, folder=sides.folder, machine=machine, tokenizer=tokenizer)
            found[cell.spec.task.removeprefix("lm_eval/")] = list(_asked(cell, tokenizer))
    return found


def _asked(cell: Any, tokenizer: Any) -> Iterator[Question]:
    """The questions of a cell."""
    for example in cell.examples:
        requests = cell.module.requests(example, task=cell.spec.task, tokenizer=tokenizer)
        features = cell.module.encode([example], task=cell.spec, tokenizer=tokenizer, options=cell.options, train=False)
        answers = [feature.generate for feature in features if feature.generate is not None]
        yield Question(example.id, example.gold, [(one.context, one.continuation) for one in requests], answers)


def lines_of(sides: Sides) -> Iterator[Line]:
    """Run both programs, and compare."""
    theirs = sides.theirs()
    for mode, found in theirs.items():
        run = sides.ours(mode)
        board = json.loads((run / "leaderboard.json").read_text(encoding="utf-8"))
        asked = questions(sides, mode)
        for row in sorted(board["rows"], key=lambda row: sides.tasks.index(row["task"].removeprefix("lm_eval/"))):
            name = row["task"].removeprefix("lm_eval/")
            line = Line(task=name, mode=mode, output_type=found["configs"][name]["output_type"])
            text = (run / row["stages"]["predict"] / "predictions.jsonl").read_text(encoding="utf-8")
            compare(line, asked[name], [json.loads(one) for one in text.splitlines()], found["tasks"][name])
            compare_numbers(line, found["results"][name], row["metrics"])
            yield line


def finish(lines: Sequence[Line], tasks: Sequence[str]) -> int:
    """Print the table and what differs; the exit code."""
    order = {mode: number for number, mode in enumerate(MODES)}
    table = sorted(lines, key=lambda line: (tasks.index(line.task), order[line.mode]))
    for cells in (COLUMNS, ["---"] * len(COLUMNS), *(line.cells() for line in table)):
        sys.stdout.write(f"| {' | '.join(cells)} |\n")
    missing = len(tasks) * len(MODES) - len(table)
    wrong = [line for line in table if line.wrong]
    datasets = {TASKS[line.task].place.rpartition("/")[0] for line in table}
    kinds = ", ".join(sorted({line.output_type for line in table}))
    num, farthest = sum(line.requests for line in table), max(line.farthest for line in table)
    sys.stdout.write(
        f"\n{len(table) - len(wrong)} of {len(tasks) * len(MODES)} lines without a difference: {len(tasks)} tasks of "
        f"{len(datasets)} datasets, {kinds}; {num} requests, log-likelihoods within {farthest:.1e}\n"
    )
    seconds = [sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
    sys.stdout.write(f"processor seconds: lm-eval {seconds[0]:.0f}, xlift {seconds[1]:.0f}\n")
    for line in wrong:
        sys.stdout.write(f"\n{line.task}, {line.mode.name}\n" + "".join(f"{one}\n" for one in line.wrong))
    return int(bool(wrong) or bool(missing))


def main() -> int:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a causal language model that has a chat template")
    parser.add_argument("--hub", type=Path, default=ROOT.parent / "shared/hub", help="mirror with the real rows")
    parser.add_argument("--tasks", default=",".join(TASKS), help="some of them, comma-separated")
    parser.add_argument("--rows", type=int, default=3, help="of each task")
    parser.add_argument("--lm_eval_python", type=Path, help="interpreter with lm-eval (make lm-eval)")
    args = parser.parse_args()
    tasks = args.tasks.split(",")
    unknown = [name for name in tasks if name not in TASKS]
    if unknown:
        parser.error(f"no rows for {', '.join(unknown)}; there are some for {', '.join(TASKS)}")
    python = args.lm_eval_python or Path(peer_python(".venv-lm-eval"))
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    with tempfile.TemporaryDirectory() as folder:
        sides = Sides(folder=Path(folder), model=args.model, tasks=tasks, rows=args.rows, python=python.expanduser())
        write_mirror(sides.mirror, hub=args.hub, tasks=tasks, rows=args.rows)
        return finish(list(lines_of(sides)), tasks)


if __name__ == "__main__":
    raise SystemExit(main())
