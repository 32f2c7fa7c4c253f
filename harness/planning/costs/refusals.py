"""What cannot fit a device, said before anything is loaded, with the smallest changes that make it fit.

    raise_all(refusals(plan, root=root, machine=machine, device=device))

A stage is refused where even its smallest batch needs more than all the memory that the device has.  Batches that are too
large are no reason: they are halved while it runs.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from harness.api.errors import UserError
from harness.planning.costs.devices import Device
from harness.planning.costs.estimate import Costing, StageCost, costing_of
from harness.planning.costs.loads import lora_parameters
from harness.planning.costs.memory import AnswerLoad, Layout, MemoryParts, TrainingLoad, answer_memory, training_memory
from harness.planning.costs.shapes import ModelShape
from harness.planning.costs.words import gib
from harness.planning.plan import Plan
from harness.runtime.arguments import ModelArguments, TrainArguments
from harness.runtime.machine import Machine
from harness.runtime.stages import AnyStage

PROCESSES = (2, 4, 8, 16, 32, 64, 128)
"How many devices are tried."
RANK = 16
"Of the low-rank adapters that are proposed."
FLAG = "--ignore_memory"


class Change(NamedTuple):
    """Something that can be changed, and what a device must have then."""

    text: str
    need: MemoryParts


def refusals(plan: Plan, *, root: Path, machine: Machine, device: Device) -> list[UserError]:
    """An error for each kind of unfinished stage that cannot fit, the one that needs most standing for all."""
    costing = costing_of(plan, machine=machine, device=device, counts=False)
    if costing is None:
        return []
    worst: dict[tuple[str, str], tuple[AnyStage, StageCost]] = {}
    for stage in plan.stages:
        if stage.verb not in ("train", "predict") or stage.is_done(root):
            continue
        cost = costing.stage(stage)
        if cost is None or cost.is_spread or cost.least.total <= device.memory:
            continue
        key = (cost.verb, cost.precision)
        if key not in worst or cost.least.total > worst[key][1].least.total:
            worst[key] = (stage, cost)
    return [_refusal(plan, costing, stage, cost) for stage, cost in worst.values()]


def _refusal(plan: Plan, costing: Costing, stage: AnyStage, cost: StageCost) -> UserError:
    """What a stage needs, what there is, and what would help."""
    device, shape = costing.device, costing.shape
    changes = list(changes_for(costing, stage))
    doing = f"to train on {stage.args.name}" if isinstance(stage.args, TrainArguments) else "to predict"
    memory = "memory" if device.spec.kind == "cpu" else "device memory"
    parts = ", ".join(
        f"{gib(getattr(cost.least, part))} {part.replace('_', ' ')}"
        for part in ("weights", "gradients", "optimizer", "activations", "logits", "workspace")
        if getattr(cost.least, part) >= cost.least.total / 100
    )
    todo = "; or ".join(f"{change.text} (needs {gib(change.need.total)}{_host(change.need)} each)" for change in changes)
    return UserError(
        f"{plan.backbone.name} ({shape.parameters:,} parameters) needs {gib(cost.least.total)} {doing}, one sequence at a time",
        where=f"stage {stage.name}",
        expected=f"at most {gib(device.memory)} of {memory}, all that {_named(device)} has",
        found=f"{parts}{f' ({shape.guess})' if shape.guess else ''}",
        todo=(todo or "a smaller model, or a larger device") + f"; {FLAG} tries it as it is",
    )


def _named(device: Device) -> str:
    return "this machine" if device.is_here else device.spec.device


def _host(need: MemoryParts) -> str:
    return f" and {gib(need.on_host)} of main memory" if need.on_host else ""


def changes_for(costing: Costing, stage: AnyStage) -> Iterator[Change]:
    """The smallest change of each kind that makes a stage fit: what changes no result first."""
    if isinstance(stage.args, TrainArguments):
        load = costing.loads.training(stage).least
        assert isinstance(load, TrainingLoad)
        yield from _for_training(costing, load, stage.args.model)
    else:
        load = costing.loads.prediction(stage).least
        assert isinstance(load, AnswerLoad)
        yield from _for_prediction(costing, load)


def _for_training(costing: Costing, load: TrainingLoad, model: ModelArguments) -> Iterator[Change]:
    """On the device as it is, then on several, then with other memory for what is trained."""
    limit, layout, shape = costing.device.memory, costing.layout, costing.shape
    saving = replace(load, how=replace(load.how, checkpointing=True))
    checkpointed = "" if load.how.checkpointing else "gradient_checkpointing: true in the recipe"
    small = replace(saving, optimizer="adamw_8bit")
    both = f"optimizer: adamw_8bit in the recipe{' with ' + checkpointed.removesuffix(' in the recipe') if checkpointed else ''}"
    offloaded = replace(layout, sharding="full", offload="cpu")
    alone = [
        *([(checkpointed, saving, layout)] if checkpointed else []),
        *([(both, small, layout)] if load.optimizer == "adamw" and not load.lora_parameters else []),
        (_with("`--sharding full --offload cpu`", checkpointed), saving, offloaded),
    ]
    yield from _first(shape, alone, limit)
    several = [
        (
            _with(f"`--sharding full` on {number} processes", checkpointed),
            saving,
            replace(layout, sharding="full", processes=number),
        )
        for number in PROCESSES
        if number > layout.processes
    ]
    plain = [
        (f"`--sharding full` on {number} processes", load, replace(layout, sharding="full", processes=number))
        for number in PROCESSES
        if number > layout.processes
    ]
    yield from _first(shape, [one for pair in zip(plain, several, strict=True) for one in pair], limit)
    if not load.lora_parameters:
        yield from _first(shape, list(_low_rank(shape, saving, model, layout, checkpointed)), limit)


def _low_rank(
    shape: ModelShape, load: TrainingLoad, model: ModelArguments, layout: Layout, checkpointed: str
) -> Iterator[tuple[str, TrainingLoad, Layout]]:
    """Low-rank adapters on a base in half precision, then in four bits."""
    trained = lora_parameters(shape, replace(model, extra={**model.extra, "lora": {"rank": RANK}}))
    how = replace(load.how, whole=False)
    for text, base in (
        (f"--model_args lora_rank={RANK}", how.precision),
        (f"--model_args lora_rank={RANK},quantization=nf4", "nf4"),
    ):
        yield _with(text, checkpointed), replace(load, how=how, lora_parameters=trained, base=base), layout


def _for_prediction(costing: Costing, load: AnswerLoad) -> Iterator[Change]:
    """Half precision, four bits, or weights that do not all lie on the device."""
    limit = costing.device.memory
    tried = [("--model_args dtype=bfloat16", replace(load, precision="bfloat16"))] if load.precision == "float32" else []
    tried.append(("quantization=nf4 in --model_args", replace(load, precision="bfloat16", base="nf4")))
    for text, changed in tried:
        need = answer_memory(costing.shape, changed)
        if need.total <= limit:
            yield Change(text, need)
            break
    spread = answer_memory(costing.shape, load)
    share = max(1, -(-spread.weights // max(1, limit // 2)))
    yield Change(
        "--model_args device_map=auto, which spreads layers over devices, memory and disk",
        replace(spread, weights=spread.weights // share),
    )


def _first(shape: ModelShape, tried: list[tuple[str, TrainingLoad, Layout]], limit: int) -> Iterator[Change]:
    """The first that fits."""
    for text, load, layout in tried:
        need = training_memory(shape, load, layout=layout)
        if need.total <= limit:
            yield Change(text, need)
            return


def _with(text: str, checkpointed: str) -> str:
    return f"{text} with {checkpointed}" if checkpointed else text
