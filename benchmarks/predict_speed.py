"""The prediction loop beside its limit, bare forward passes over the same batches, and beside transformers' Trainer.predict.

    python benchmarks/predict_speed.py --model <folder> --data_dir <mirror> --rows 300 --rounds 3
    python benchmarks/predict_speed.py --model <folder> --data_dir <mirror> --languages all --beside bare,by_batch

All sides run in one process, in turns, with the same model.  The loop is predict_bundle with all it does (reading rows,
tokenizing, batching, reducing, streaming to disk, decoding, predictions.jsonl); loading weights and packages happens before.
`bare` runs the module over the batches that the loop plans and drops the outputs.  `by_batch` and `to_maximum` (trainer_speed.py)
have features that were made beforehand: the one pads by batch in the same dtype, the other to 128 tokens in float32, the default
of the scripts that do so.
"""

import argparse
import copy
import dataclasses
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

import harness.prediction.answers as answering
import harness.prediction.loop as predicting
from benchmarks.pairs import Row, finish, machine_words
from harness.api.registry import TASK_TYPES
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import make_plan
from harness.planning.request import RunRequest
from harness.prediction.batching import collate, plan_batches
from harness.prediction.cell import Cell, PredictStage
from harness.runtime.heap import settle_heap
from harness.runtime.loading import load_adapter
from harness.runtime.machine import Machine
from harness.runtime.stages import begin


def load(stages: Sequence[PredictStage], machine: Machine) -> Any:
    """The model with a fresh head for each cell: what a head has learnt does not change how long it takes."""
    heads, labels = {}, {}
    for stage in stages:
        args, spec = stage.args, stage.args.task_spec
        module = TASK_TYPES.load(spec.type)
        heads[args.head] = module.head(spec, module.Options.model_validate(args.options))
        labels[args.head] = spec.labels
    return load_adapter(stages[0], root=Path("none"), machine=machine, heads=heads, labels=labels)


def whole(stages: Sequence[PredictStage], adapter: Any, machine: Machine) -> float:
    """Seconds of the whole prediction of the cells, in a new folder."""
    answering.load_adapter = lambda *args, **kwargs: adapter
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        begin_time = time.perf_counter()
        for stage in stages:
            begin(stage, root)
        if failures := predicting.predict_bundle(stages, todo=stages, root=root, machine=machine):
            raise SystemExit(f"{len(failures)} cells failed: {next(iter(failures.values()))}")
        return time.perf_counter() - begin_time


def prepared(stages: Sequence[PredictStage], adapter: Any, machine: Machine, folder: Path) -> list[tuple[str, Any]]:
    """The padded batches of the loop, with the head that each asks."""
    groups: dict[str, list[Any]] = {}
    for stage in stages:
        cell = Cell(stage=stage, folder=folder / stage.key, machine=machine, tokenizer=adapter.tokenizer)
        groups.setdefault(stage.args.head, []).extend(cell.features)
    batches = []
    for head, features in groups.items():
        for plan in plan_batches([len(f.input_ids) for f in features], max_tokens=machine.tokens(train=False)):
            batch = collate([features[i] for i in plan], pad_id=adapter.tokenizer.pad_token_id, device=machine.device)
            batches.append((head, batch))
    return batches


def bare(batches: Sequence[tuple[str, Any]], adapter: Any) -> float:
    """Seconds of the forward passes alone."""
    begin_time = time.perf_counter()
    with torch.no_grad():
        for head, batch in batches:
            outputs = adapter.module(batch, head=head)
        outputs.float().sum().item()  # waits for the device
    return time.perf_counter() - begin_time


BESIDE = {
    "bare": (0.95, "bare forward passes"),
    "by_batch": (1.9, "Trainer.predict, padding by batch"),
    "to_maximum": (9.0, "Trainer.predict, padding to 128, float32"),
}
"What the loop is measured beside: the ratio to reach, and its name."
MAXIMUM = 128
"Tokens that XTREME's scripts pad to."
ALIKE = 0.97
"Of the labels chosen, those that must be the same in bfloat16, whose sums depend on the batch."


def in_order(batches: Sequence[tuple[str, Any]], adapter: Any) -> dict[str, list[Any]]:
    """The features of each head in the order of their rows, without those longer than MAXIMUM."""
    found: dict[str, list[Any]] = {}
    for head, batch in batches:
        found.setdefault(head, []).extend(one for one in batch.features if len(one.input_ids) <= MAXIMUM)
    return {head: sorted(own, key=lambda one: (one.example, one.part)) for head, own in found.items()}


def peers_of(names: Sequence[str], batches: Sequence[tuple[str, Any]], adapter: Any) -> dict[str, Any]:
    """Trainer with padding by batch, and with padding to MAXIMUM and weights in float32; each must choose our labels."""
    from benchmarks.trainer_speed import TrainerSide, alike, bare_logits

    features = in_order(batches, adapter)
    sides: dict[str, Any] = {}
    if "by_batch" in names:
        sides["by_batch"] = TrainerSide(features, adapter, maximum=None)
    if "to_maximum" in names:
        wide = copy.copy(adapter)
        wide.module = copy.deepcopy(adapter.module).float()
        sides["to_maximum"] = TrainerSide(features, wide, maximum=MAXIMUM)
    ours = bare_logits(batches, adapter) if sides else {}
    for name, side in sides.items():
        for head, logits in side.turn()[1].items():
            share = alike([ours[id(one)] for one in features[head]], logits)
            sys.stdout.write(f"{name}, {head}: {share:.4f} of the labels are the same" + "\n")
            if share < ALIKE:
                raise SystemExit(f"results differ: {name}, {head}")
    return sides


def seconds_of(side: Any) -> float:
    """Of a peer's turn, with the heap as a process has it that does not say otherwise."""
    settle_heap(trains=True)
    seconds = float(side.turn()[0])
    settle_heap(trains=False)
    return seconds


def rows_of(times: dict[str, list[float]], words: str, *, threads: int, machine: str) -> list[Row]:
    """The rows of the table."""
    rows = []
    for name, (goal, peer) in BESIDE.items():
        if name not in times:
            continue
        ratios = [theirs / ours for theirs, ours in zip(times[name], times["whole"], strict=True)]
        own = Row(name=f"predict_{name}", part=words, peer=peer, goal=goal, machine=machine, threads=threads)
        own.ratio, own.ratios, own.agreement = statistics.median(ratios), ratios, "labels by the largest logit"
        own.ours, own.theirs = statistics.median(times["whole"]), statistics.median(times[name])
        rows.append(own)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data_dir")
    parser.add_argument("--include_path", action="append", default=[])
    parser.add_argument("--tasks", default="xnli,panx,xquad")
    parser.add_argument("--languages", default="de,sw,zh,en")
    parser.add_argument("--rows", type=int, default=300, help="test rows per task and language, 0 = all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int, default=1, help="of both sides (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=15.0, help="no round begins that would end later (default: %(default)s)")
    parser.add_argument("--beside", default="bare", help=f"of {', '.join(BESIDE)} (default: %(default)s)")
    parser.add_argument("--record", type=Path, help="file that gets the rows, for the table (see bench.py)")
    args = parser.parse_args()
    named = args.beside.split(",")
    if unknown := [name for name in named if name not in BESIDE]:
        parser.error(f"--beside {', '.join(unknown)}: expected some of {', '.join(BESIDE)}")
    torch.set_num_threads(args.threads)
    catalog = Catalog([Path(folder) for folder in args.include_path])
    place = DataPlace.resolve(args.data_dir)
    machine = Machine(place=place, device_name=args.device, progress=False, task_folders=catalog.task_folders())
    request = RunRequest(
        model=args.model,
        model_args=f"dtype={args.dtype}",
        tasks=args.tasks,
        recipe=args.recipe,
        languages=() if args.languages == "all" else tuple(args.languages.split(",")),
        limit=args.rows or None,
    )
    plan = make_plan(request, catalog=catalog, place=place)
    stages = [dataclasses.replace(stage, inputs=()) for stage in plan.stages if stage.verb == "predict"]
    adapter = load(stages, machine)
    with tempfile.TemporaryDirectory() as folder:
        batches = prepared(stages, adapter, machine, Path(folder))
    tokens = sum(len(feature.input_ids) for _, batch in batches for feature in batch.features)
    sys.stdout.write(f"{len(stages)} cells, {tokens} tokens in {len(batches)} batches, {args.dtype} on {machine.device}" + "\n")
    bare(batches[:2], adapter)
    sides = peers_of(named, batches, adapter)
    turns: dict[str, Callable[[], float]] = {
        "whole": lambda: whole(stages, adapter, machine),
        "bare": lambda: bare(batches, adapter),
        **{name: partial(seconds_of, side) for name, side in sides.items()},
    }
    times: dict[str, list[float]] = {name: [] for name in ("whole", *named)}
    loads = []
    started = time.monotonic()
    for number in range(args.rounds):
        if number and (time.monotonic() - started) * (number + 1) / number > args.minutes * 60:
            break
        for name in list(times) if number % 2 == 0 else list(times)[::-1]:
            times[name].append(turns[name]())
        loads.append(os.getloadavg()[0])
        speeds = {name: tokens / values[-1] for name, values in times.items()}
        shown = ", ".join(f"{name} {speed:.0f} tokens/s" for name, speed in speeds.items())
        sys.stdout.write(f"round {number + 1}: {shown}" + "\n")
    examples = sum(len(batch.features) for _, batch in batches)
    words = f"scoring {examples:,} sequences of {args.tasks} in {len(stages)} cells, {args.dtype}"
    for row in rows_of(times, words, threads=torch.get_num_threads(), machine=machine_words(loads)):
        finish(row, args.record)


if __name__ == "__main__":
    main()
