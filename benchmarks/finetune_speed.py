"""Fine-tuning against transformers' Trainer: the same English rows, once each, the same weights, heads and hyper-parameters.

    python benchmarks/finetune_speed.py --model <folder> --data_dir <mirror>
    python benchmarks/finetune_speed.py --model <folder> --data_dir <mirror> --task udpos --steps 50 --precision bfloat16
    python benchmarks/finetune_speed.py --model <folder> --data_dir <mirror> --device cuda --beside default,bare

Sides in one process, in turns: the training loop of the harness; Trainer as it is, whose batches are drawn at random; Trainer
with batches of sequences of similar length; and a bare loop over the batches of the harness, which lie on the device before it
begins, with the module, loss and optimizer of the harness and nothing else.  Rows are tokenized beforehand on all sides.  Timed
is what lies between the beginning of the first step and the end of the last one; weights are loaded anew, and the English
development rows are scored by the same function, outside of that.  Trainer has the module and the loss of the task type.
"""

import argparse
import dataclasses
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import yaml
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments

import harness.training.loop as training
from benchmarks.pairs import Row, finish, machine_words, say
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import make_plan
from harness.planning.request import RunRequest
from harness.prediction.batching import collate
from harness.prediction.evaluation import AskedTask, evaluate
from harness.runtime.machine import Machine
from harness.training.gradients import ask
from harness.training.optimizer import clip
from harness.training.setup import TrainingRun, prepare

SIDES = {
    "default": "Trainer, batches at random",
    "by_length": "Trainer, batches of similar length",
    "bare": "bare loop, the same batches",
}
GOALS = {"default": 1.4, "by_length": 1.1, "bare": 0.9}
WITHIN = 0.5
"Points of the development score that the sides may differ by, in the mean over the rounds."
NAME = "beside_trainer"
RATE, WARMUP, DECAY, MOST_NORM, BATCH = 1e-4, 0.1, 0.01, 1.0, 32


def recipe(folder: Path, args: argparse.Namespace) -> str:
    """Write the recipe of all sides; its name."""
    values = {"learning_rate": RATE, "batch_size": BATCH, "warmup_ratio": WARMUP, "weight_decay": DECAY}
    values |= {"max_grad_norm": MOST_NORM, "precision": args.precision, "eval_every": args.steps, "eval_examples": args.dev_rows}
    phase = {"epochs": 1, "max_examples": args.steps * BATCH}
    text = {"recipe": NAME, "description": "As Trainer trains.", "defaults": values, "intermediate": phase, "target": phase}
    said = dict.fromkeys(("defaults", "intermediate", "target"), "this benchmark")
    (folder / f"{NAME}.yaml").write_text(yaml.safe_dump({**text, "provenance": said}), encoding="utf-8")
    return NAME


class Wrapped(nn.Module):
    """The module of an adapter as Trainer calls models."""

    def __init__(self, run: TrainingRun) -> None:
        super().__init__()
        self.module = run.module
        (self.work,) = run.works.values()

    def forward(self, features: Any) -> dict[str, Any]:
        """The mean loss over the targets of a batch."""
        features = features.on(self.work.machine.device)
        padded = dataclasses.replace(features, features=())  # without their lengths rows are not packed: Trainer's are not
        outputs = self.module(padded, head=self.work.question.head, pooling=self.work.question.pooling)
        loss = self.work.module.loss(outputs, features, self.work.options)
        return {"loss": loss / self.work.module.num_targets(features.features)}


class Taken(NamedTuple):
    """What a training took from the beginning of its first step to the end of its last one, and what became of it."""

    seconds: float
    processor: float
    steps: int
    score: float = 0.0


class Stopwatch(TrainerCallback):
    """Looks at the clocks at the beginning of each step and at its end."""

    def __init__(self) -> None:
        self.begun: tuple[float, float] | None = None
        self.ended = (0.0, 0.0)

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Keeps the first."""
        self.begun = self.begun or now()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Keeps the last."""
        self.ended = now()

    def taken(self, steps: int) -> Taken:
        """Between the two."""
        assert self.begun is not None
        return Taken(self.ended[0] - self.begun[0], self.ended[1] - self.begun[1], steps)


def now() -> tuple[float, float]:
    """Seconds of the wall and of the processor."""
    return time.perf_counter(), time.process_time()


def theirs(run: TrainingRun, *, by_length: bool, seed: int) -> Taken:
    """Trainer."""
    (data,) = run.data.values()
    rows = [{"input_ids": feature.input_ids, "feature": feature} for item in data.items for feature in item]

    def batch_of(chosen: Sequence[Any]) -> dict[str, Any]:
        features = [one["feature"] for one in chosen]
        return {"features": collate(features, pad_id=run.adapter.tokenizer.pad_token_id)}

    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        words = TrainingArguments(
            output_dir=folder, use_cpu=run.machine.device == "cpu", report_to=[], disable_tqdm=True, remove_unused_columns=False,
            per_device_train_batch_size=BATCH, num_train_epochs=1, learning_rate=RATE, lr_scheduler_type="linear",
            warmup_steps=WARMUP, weight_decay=DECAY, max_grad_norm=MOST_NORM, save_strategy="no", logging_strategy="no",
            bf16=run.training.precision == "bfloat16", seed=seed,
            train_sampling_strategy="group_by_length" if by_length else "random",
        )  # fmt: skip
        given: dict[str, Any] = {"data_collator": batch_of, "train_dataset": rows, "callbacks": [watch]}
        trainer = Trainer(model=Wrapped(run), args=words, **given)
        trainer.train()
        waited(run)
        watch.on_step_end()
    return watch.taken(int(trainer.state.global_step))._replace(score=score(run))


def ours(run: TrainingRun) -> Taken:
    """The training loop of the harness."""
    run.folder.mkdir(parents=True, exist_ok=True)
    watch = Stopwatch()
    for number in range(run.total_steps):
        watch.on_step_begin()
        training._step(run, number)
    waited(run)
    watch.on_step_end()
    return watch.taken(run.total_steps)._replace(score=score(run))


def bare(run: TrainingRun) -> Taken:
    """What a device has to compute for the same steps."""
    (work,) = run.works.values()
    steps = []
    for number in range(run.total_steps):
        _, batch = training._inputs(run, number)
        if len(batch.ready) > 1:
            raise SystemExit(f"a step takes {len(batch.ready)} passes here: leave `bare` out of --beside, or take a shorter task")
        (piece,), (ready,) = batch.pieces, batch.ready
        steps.append((piece, ready.on(run.machine.device), batch.num_targets))
    watch = Stopwatch()
    for number, (piece, own, targets) in enumerate(steps):
        watch.on_step_begin()
        outputs = ask(work, own, step=number, piece=piece)
        run.precision.scaled(work.module.loss(outputs, own, work.options) / targets).backward()
        run.precision.unscale(run.optimizer)
        clip(run.optimizer.parameters.values(), MOST_NORM)
        run.precision.step(run.optimizer)
        run.scheduler.step()
        run.optimizer.zero_grad()
    waited(run)
    watch.on_step_end()
    return watch.taken(run.total_steps)._replace(score=score(run))


def waited(run: TrainingRun) -> None:
    """A GPU has computed what was begun."""
    if run.machine.device.startswith("cuda"):
        torch.cuda.synchronize()


def score(run: TrainingRun) -> float:
    """Of the English development rows."""
    (data,) = run.data.values()
    assert data.validation_spec is not None
    run.module.eval()
    asked = AskedTask(data.validation_spec, data.module, data.options, data.question)
    return float(evaluate(run.adapter, data.validation, data.validation_features, asked=asked, machine=run.machine))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data_dir")
    parser.add_argument("--task", default="panx")
    parser.add_argument("--steps", type=int, default=60, help=f"of {BATCH} examples each (default: %(default)s)")
    parser.add_argument("--dev_rows", type=int, default=1000)
    parser.add_argument("--beside", default=",".join(SIDES), help="some of the other sides (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--device")
    parser.add_argument("--minutes", type=float, default=15.0, help="no round begins that would end later (default: %(default)s)")
    parser.add_argument("--record", type=Path, help="file that gets the rows, for the table (see bench.py)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        name = recipe(Path(folder), args)
        catalog, place = Catalog([Path(folder)]), DataPlace.resolve(args.data_dir)
        machine = Machine(place=place, device_name=args.device, progress=False, task_folders=catalog.task_folders())
        request = RunRequest(model=args.model, tasks=args.task, recipe=name, languages=("en",), limit=1)
        plan = make_plan(request, catalog=catalog, place=place)
        (stage,) = [stage for stage in plan.stages if stage.verb == "train"]
        stage = dataclasses.replace(stage, inputs=())
        measure(stage, machine, Path(folder), args)


def measure(stage: Any, machine: Machine, folder: Path, args: argparse.Namespace) -> None:
    """The rounds, and the rows of the table."""
    sides = args.beside.split(",")
    if unknown := set(sides) - SIDES.keys():
        raise SystemExit(f"--beside {', '.join(sorted(unknown))}: one of {', '.join(SIDES)}")
    taken: dict[str, list[Taken]] = {name: [] for name in ("ours", *sides)}
    loads = []
    begun = time.monotonic()
    for number in range(args.rounds):
        if number and (time.monotonic() - begun) * (number + 1) / number > args.minutes * 60:
            break
        names = list(taken) if number % 2 == 0 else list(taken)[::-1]
        for name in names:
            # Trainer trains the whole table of words.
            run = prepare(stage, root=folder, machine=dataclasses.replace(machine, word_rows=name in {"ours", "bare"}))
            own = {"ours": ours, "bare": bare}.get(name)
            found = own(run) if own else theirs(run, by_length=name == "by_length", seed=number)
            taken[name].append(found)
        if len({values[-1].steps for values in taken.values()}) != 1:
            raise SystemExit("the sides made different numbers of steps")
        loads.append(os.getloadavg()[0])
        seen = ", ".join(f"{name} {values[-1].seconds:.1f} s (score {values[-1].score:.1f})" for name, values in taken.items())
        say(f"round {number + 1}: {seen}; load {loads[-1]:.1f}")
    own = taken["ours"]
    for name in sides:
        part = f"fine-tuning on {args.task}, {own[0].steps} steps of {BATCH} examples, {args.precision}"
        row = Row(name=f"finetune_{name}", part=part, peer=SIDES[name], goal=GOALS[name], machine=machine_words(loads))
        row.ratios = [other.seconds / one.seconds for other, one in zip(taken[name], own, strict=True)]
        row.ratio, row.threads = statistics.median(row.ratios), torch.get_num_threads()
        row.processor_ratio = statistics.median(
            other.processor / one.processor for other, one in zip(taken[name], own, strict=True)
        )
        row.ours, row.theirs = (statistics.median(one.seconds for one in values) for values in (own, taken[name]))
        means = [statistics.mean(one.score for one in values) for values in (own, taken[name])]
        row.agreement = f"mean development scores {means[0]:.2f} and {means[1]:.2f} ({args.dev_rows:,} rows)"
        if abs(means[0] - means[1]) > WITHIN:
            row.note = f"development scores differ by more than {WITHIN}"
        finish(row, args.record)


if __name__ == "__main__":
    main()
