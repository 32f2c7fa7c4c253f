"""How long a device waits for rows: the prediction loop with a simulated one, which takes no processor while it computes.

    python benchmarks/device_waits.py --model <folder> --data_dir <mirror>                     # tatoeba, all languages
    python benchmarks/device_waits.py --model <folder> --data_dir <mirror> --warm              # tokens of all rows in the cache

A pass is `--launches` small operations of torch, as those that a GPU is given, after which the device is busy for its tokens at
`--rate` a second; it computes passes in order, and nobody waits for it but who takes its outputs.  Tokenizer and rows are real.
Printed are seconds before the first pass and after the last, the device's own seconds, and their share of those between.
"""

import argparse
import dataclasses
import os
import statistics
import sys
import threading
import time
from pathlib import Path
from queue import Queue
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch

from benchmarks.predict_speed import whole
from harness.api.protocols import Adapter, Batch, PendingOutputs, Pooling
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import make_plan
from harness.planning.request import RunRequest
from harness.prediction.cell import PredictStage
from harness.runtime.loading import load_adapter
from harness.runtime.machine import Machine
from models.packing.unpadded import is_worth_packing

WIDTH = 384
"Numbers of a vector."


class Accelerated(Machine):
    """A machine whose device is none of its processors."""

    @property
    def device(self) -> str:
        """The device of torch that holds no numbers."""
        return "meta"


class Device:
    """Computes passes one after the other, in its own time."""

    def __init__(self, *, rate: float, launches: int) -> None:
        self.rate, self.launches = rate, launches
        self.passes: list[tuple[float, float]] = []
        "Begin and end of each."
        self._queue: Queue[tuple[int, threading.Event] | None] = Queue()
        self._small = torch.zeros(8)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (asked := self._queue.get()) is not None:
            tokens, done = asked
            begin_time = time.perf_counter()
            time.sleep(tokens / self.rate)
            self.passes.append((begin_time, time.perf_counter()))
            done.set()

    def launch(self, tokens: int) -> threading.Event:
        """Have a pass over so many tokens computed; set when it is."""
        for _ in range(self.launches):
            self._small.add_(1.0)
        done = threading.Event()
        self._queue.put((tokens, done))
        return done


class Simulated(Adapter):
    """An adapter whose vectors come from nowhere."""

    packs, batch_device = True, "cpu"

    def __init__(self, tokenizer: Any, device: Device) -> None:
        self.tokenizer, self.device, self.max_positions = tokenizer, device, 512

    def begin(self, batch: Batch, *, head: str | None = None, pooling: Pooling | None = None) -> PendingOutputs:
        """A pass over a batch, packed where a model that can would do so."""
        lengths = [len(feature.input_ids) for feature in batch.features]
        number, width = batch.input_ids.shape
        done = self.device.launch(sum(lengths) if is_worth_packing(lengths, width, trains=False) else number * width)
        return PendingOutputs(lambda: list(np.ones((number, WIDTH), dtype=np.float32)), done.wait)


def turn(stages: list[PredictStage], tokenizer: Any, machine: Machine, *, rate: float, launches: int) -> tuple[float, ...]:
    """Seconds before the first pass, of the device, between its first and last pass, after it, and in all."""
    device = Device(rate=rate, launches=launches)
    started = time.perf_counter()
    seconds = whole(stages, Simulated(tokenizer, device), machine)
    first, last = device.passes[0][0], device.passes[-1][1]
    busy = sum(end - begin_time for begin_time, end in device.passes)
    return first - started, busy, last - first, started + seconds - last, seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of an encoder, for its tokenizer")
    parser.add_argument("--data_dir")
    parser.add_argument("--tasks", default="tatoeba", help="tasks that ask for vectors (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=286_000, help="tokens a second (default: %(default)s, 0.56B on an H100)")
    parser.add_argument("--launches", type=int, default=400, help="operations of a pass (default: %(default)s, 24 layers)")
    parser.add_argument("--batch_tokens", type=int, default=65_536)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm", action="store_true", help="take tokens from the user's cache")
    args = parser.parse_args()
    if not args.warm:
        os.environ["XLIFT_TOKEN_CACHE_MB"] = "0"
    catalog, place = Catalog([]), DataPlace.resolve(args.data_dir)
    how: dict[str, Any] = {"place": place, "progress": False, "task_folders": catalog.task_folders()}
    machine = Accelerated(**how, batch_tokens=args.batch_tokens)
    request = RunRequest(model=args.model, tasks=args.tasks, no_train=True)
    plan = make_plan(request, catalog=catalog, place=place)
    stages = [dataclasses.replace(stage, inputs=()) for stage in plan.stages if stage.verb == "predict"]
    host = Machine(**how, device_name="cpu")
    tokenizer = load_adapter(stages[0], root=Path("none"), machine=host, heads={}, labels={}).tokenizer
    turn(stages, tokenizer, machine, rate=args.rate, launches=args.launches)  # reads the tokenizer, and fills the cache
    turns = [turn(stages, tokenizer, machine, rate=args.rate, launches=args.launches) for _ in range(args.rounds)]
    before, busy, between, after, in_all = (statistics.median(values) for values in zip(*turns, strict=True))
    cells = f"{len(stages)} cells, {'warm' if args.warm else 'cold'}"
    passes = f"{busy:.2f} s of passes in {between:.2f} s ({busy / between:.0%})"
    around = f"{before:.2f} s before the first pass, {passes}, {after:.2f} s after the last"
    sys.stdout.write(f"{cells}: {around}; {in_all:.2f} s in all (median of {len(turns)})\n")


if __name__ == "__main__":
    main()
