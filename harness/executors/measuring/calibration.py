"""Measures how fast a device trains and predicts: small models of several widths, in the loops that stages run in.

found = measure("cpu", precisions=["float32", "bfloat16"])
found.rates["float32"]        # [Rates(hidden=256, predicting=..., training=..., checkpointed=...), ...]
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.model_source import ModelSource
from harness.api.protocols import Feature, HeadSpec
from harness.api.registry import ADAPTERS, TASK_TYPES
from harness.data.locations import DataPlace
from harness.planning.costs.activations import HowTrained
from harness.planning.costs.architectures import shape_of
from harness.planning.costs.flops import PassLoad, forward_flops, training_flops
from harness.planning.costs.shapes import ModelShape
from harness.planning.costs.speeds import OPTIMIZER_BYTES, TABLE_BYTES, Rates
from harness.prediction.answers import ask_batch
from harness.prediction.questions import Question
from harness.runtime.budget import Ceiling, TrainingBudget
from harness.runtime.heap import settle_heap
from harness.runtime.machine import Machine
from harness.runtime.repeatability import make_repeatable
from harness.training.gradients import Work, batch_gradients
from harness.training.precision import Precision

if TYPE_CHECKING:
    import torch

WIDTHS = (256, 512, 1024)
"Hidden sizes that are tried; the feed-forward part is four times as wide, as in BERT."
LAYERS = 2
LENGTH = 128
WORDS = 2000
"Rows of the table of words: small, for its gradients are reckoned apart."
HEAD = "calibration"
SECONDS = 2.0
"Of each measurement."
BANDWIDTH_ELEMENTS = 1 << 25
"Of the parameter whose optimizer step is timed: 128 MiB in fp32."


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was measured of a device."""

    rates: dict[str, list[Rates]]
    "By precision."
    bandwidth: float
    "Bytes a second that the optimizer moves."
    product: float
    "Operations a second of a large product of matrices in the fastest precision."
    threads: int
    seconds: float

    def json(self) -> dict[str, Any]:
        """As the cache keeps it."""
        today = datetime.now(UTC).date().isoformat()
        content = {precision: [list(one) for one in rates] for precision, rates in self.rates.items()}
        return {**content, **{key: value for key, value in asdict(self).items() if key != "rates"}, "date": today}


def measure(device: str, *, precisions: Sequence[str], widths: Sequence[int] = WIDTHS, seconds: float = SECONDS) -> Calibration:
    """Train and ask a model of each width in each precision, for so many seconds each."""
    import torch

    begun = time.monotonic()
    make_repeatable(device, wanted=True)
    with tempfile.TemporaryDirectory() as folder:
        rates = {
            precision: [_rates(device, precision, width, folder=Path(folder) / f"{width}", seconds=seconds) for width in widths]
            for precision in precisions
        }
    return Calibration(
        rates=rates,
        bandwidth=_bandwidth(device, seconds=seconds / 2),
        product=_product(device, precisions[-1], seconds=seconds / 2),
        threads=torch.get_num_threads(),
        seconds=time.monotonic() - begun,
    )


def _rates(device: str, precision: str, width: int, *, folder: Path, seconds: float) -> Rates:
    """Operations a second of a model of one width."""
    config = {
        "model_type": "xlm-roberta",
        "hidden_size": width,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": width // 64,
        "intermediate_size": 4 * width,
        "max_position_embeddings": LENGTH + 2,
        "type_vocab_size": 1,
    }
    module = ADAPTERS.load("encoder")
    if not folder.is_dir():
        words = module.train_tokenizer([" ".join(f"w{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(600))], vocab_size=700)
        module.init_scratch({**config, "vocab_size": WORDS}, tokenizer=words, folder=folder, seed=1)
    shape = shape_of({**config, "vocab_size": WORDS}, facts={}, causal=False)
    assert shape is not None
    source = ModelSource(path=str(folder), dtype=precision)
    heads = {HEAD: HeadSpec(kind="sequence", num_outputs=2)}
    how = {"heads": heads, "device": device, "seed": 1}
    machine = Machine(place=DataPlace.resolve(None), device_name=device, progress=False)
    settle_heap(trains=False)
    asked = _predicting(module.load(source, **how, inference=True), shape, machine, seconds=seconds)
    name: Any = precision
    settle_heap(trains=True)
    trained, checkpointed = (
        _training(
            module.load(source, **how, inference=False),
            shape,
            machine,
            HowTrained(precision=name, checkpointing=twice),
            seconds=seconds,
        )
        for twice in (False, True)
    )
    return Rates(width, asked, trained, checkpointed)


def _features(tokens: int) -> list[Feature]:
    return [
        Feature(example=n, input_ids=[0, *(5 + (n * 31 + k) % 600 for k in range(LENGTH - 2)), 2], labels=n % 2)
        for n in range(max(1, tokens // LENGTH))
    ]


def _predicting(adapter: Any, shape: ModelShape, machine: Machine, *, seconds: float) -> float:
    tokens = machine.tokens(train=False, weights=adapter.weight_bytes)
    features = _features(tokens)
    batch = PassLoad(len(features) * LENGTH, len(features) * LENGTH * LENGTH)
    question, ceiling = Question(HEAD, None), Ceiling(tokens)
    took = _timed(lambda: ask_batch(adapter, features, question, device=machine.device, ceiling=ceiling), machine, seconds)
    return forward_flops(shape, batch) / took


def _training(adapter: Any, shape: ModelShape, machine: Machine, how: HowTrained, *, seconds: float) -> float:
    """Of forward and backward passes and the optimizer's step, less what this one's memory traffic takes."""
    budget = TrainingBudget(planned=machine.tokens(train=True, weights=adapter.weight_bytes))
    kind = TASK_TYPES.load("classification")
    work = Work(
        adapter=adapter,
        module=kind,
        options=kind.Options(),
        question=Question(HEAD, None),
        machine=machine,
        budget=budget,
        precision=Precision(how.precision, device=machine.device),
        seed=1,
    )
    groups = [[feature] for feature in _features(2 * budget.tokens)]
    batch = PassLoad(len(groups) * LENGTH, len(groups) * LENGTH * LENGTH, passes=2)

    def step() -> None:
        batch_gradients(work, work.batch(groups), step=0)
        adapter.module.zero_grad()

    adapter.module.train()
    if how.checkpointing:
        adapter.module.enable_gradient_checkpointing()
    took = _timed(step, machine, seconds)
    return training_flops(shape, batch, how) / took


def _bandwidth(device: str, *, seconds: float) -> float:
    """Bytes a second that AdamW and clipping move: what OPTIMIZER_BYTES counts."""
    import torch

    weights = torch.nn.Parameter(torch.zeros(BANDWIDTH_ELEMENTS, device=device))
    optimizer = torch.optim.AdamW([weights], lr=1e-5, fused=True)
    gradient = torch.zeros_like(weights)

    def step() -> None:
        weights.grad = gradient.clone()
        torch.nn.utils.clip_grad_norm_([weights], 1.0)
        optimizer.step()

    moved = (OPTIMIZER_BYTES + TABLE_BYTES - 4) * BANDWIDTH_ELEMENTS
    return moved / _timed(step, Machine(place=DataPlace.resolve(None), device_name=device), seconds)


def _product(device: str, precision: str, *, seconds: float) -> float:
    """Operations a second of a product of square matrices."""
    import torch

    size = 8192 if device.startswith("cuda") else 2048
    left: torch.Tensor = torch.ones(size, size, device=device, dtype=getattr(torch, precision))
    took = _timed(lambda: left @ left, Machine(place=DataPlace.resolve(None), device_name=device), seconds)
    return 2.0 * size**3 / took


def _timed(work: Callable[[], Any], machine: Machine, seconds: float) -> float:
    """Seconds of one call, the median of those that fit into the time: the fastest is what no long work keeps up.

    The first is for warming up.
    """
    import torch

    def once() -> float:
        begun = time.monotonic()
        work()
        if machine.device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.monotonic() - begun

    once()
    took, end = [once()], time.monotonic() + seconds
    while time.monotonic() < end:
        took.append(once())
    return statistics.median(took)
