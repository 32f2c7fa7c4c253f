"""What a plan costs, as `plan` prints it: memory by part, arithmetic, hours and money by kind of stage; and all of it as JSON.

out(costs_text(plan, numbers, done=done, price=2.5))
costs_json(plan, numbers, done=done, price=None)["total"]["device_seconds"]
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.commands._table import paragraphs, table
from harness.planning.costs.devices import Device
from harness.planning.costs.estimate import Estimate, StageCost
from harness.planning.costs.memory import PARTS
from harness.planning.costs.totals import Totals, totals
from harness.planning.costs.words import gib, hours, money, operations
from harness.planning.plan import Plan
from harness.runtime.stages import AnyStage, Stage


def costs_text(plan: Plan, numbers: Estimate, *, done: set[str], price: float | None) -> str:
    """A line for each training and each target that is left to do, then the sums; empty where nothing is known."""
    left = _left(plan, done)
    groups = _groups(left, numbers)
    if not groups:
        return ""
    shown = [part for part in PARTS if any(getattr(cost.memory, part) for own in groups.values() for cost in own)]
    header = ["to do", "stages", *(part.replace("_", " ") for part in shown), "peak", "work", "time"]
    rows = []
    for name, own in groups.items():
        worst = max(own, key=lambda cost: cost.memory.total)
        line = [name, str(len(own)), *(gib(getattr(worst.memory, part)) for part in shown), gib(worst.memory.total)]
        line += [operations(_sum([cost.flops for cost in own])), hours(_sum([cost.seconds for cost in own]))]
        rows.append(line + ([_paid(own, price)] if price is not None else []))
    found = totals(left, numbers.stages, devices=numbers.device.count, is_sharded=numbers.layout.sharding == "full")
    parts = [table(header + (["cost"] if price is not None else []), rows), paragraphs("\n".join(_lines(numbers, found, price)))]
    return "\n\n".join(parts)


def _left(plan: Plan, done: set[str]) -> list[AnyStage]:
    return [stage for stage in plan.stages if stage.name not in done]


def _groups(stages: Sequence[AnyStage], numbers: Estimate) -> dict[str, list[StageCost]]:
    """Costs of stages that are alike: the trainings on a task in a phase, the predictions of a target."""
    groups: dict[str, list[StageCost]] = {}
    for stage in stages:
        cost = numbers.stages.get(stage.key)
        if cost:
            groups.setdefault(_kind(stage), []).append(cost)
    return groups


def _kind(stage: Stage[Any]) -> str:
    if stage.verb == "train":
        return f"train {stage.args.name} ({stage.phase})" if stage.phase else f"train {stage.args.name}"
    return f"predict {stage.args.task}"


def _sum(values: Sequence[float | None]) -> float | None:
    """The sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _paid(costs: Sequence[StageCost], price: float) -> str:
    seconds = _sum([cost.seconds for cost in costs])
    return "?" if seconds is None else money(seconds, price)


def _lines(numbers: Estimate, found: Totals, price: float | None) -> list[str]:
    """The device, the sums, and what they rest on."""
    device, layout = numbers.device, numbers.layout
    sharded = f"; trainings sharded over {layout.processes} processes" if layout.sharding == "full" else ""
    sharded += ", what they hold in main memory" if layout.offload == "cpu" else ""
    lines = [device_line(device) + sharded]
    text = f"in all: {operations(found.flops)}, {hours(found.seconds)} on one device"
    if device.count > 1:
        text += f", {hours(found.at_once)} on {device.count} at best"
    if price is not None:
        text += f"; cost {money(found.seconds, price)}: an hour of one device at {price:g}, in the currency of the price"
    if found.unknown:
        text += f"; without {found.unknown} stages whose rows are not here"
    lines.append(text)
    if numbers.sources:
        lines.append(f"time: computing alone, without loading and writing; {'; '.join(numbers.sources)}")
    if any(not cost.is_measured for cost in numbers.stages.values()):
        lines.append("lengths: every text counts with max_length where its rows or the tokenizer are not here: at most so much")
    if numbers.shape and numbers.shape.guess:
        lines.append(f"sizes: {numbers.shape.guess}")
    return lines


def device_line(device: Device) -> str:
    """What a device is, and where its numbers stand."""
    spec = device.spec
    what = "this machine" if device.is_here and spec.kind == "cpu" else spec.description or spec.device
    halves = f", {spec.bfloat16_tflops:.3g} in bf16" if spec.bfloat16_tflops else ", no bf16"
    times = f"{device.count} x " if device.count > 1 else ""
    peaks = f"peaks of {spec.float32_tflops:.3g} TFLOP/s in fp32{halves}"
    return f"device: {times}{what}: {spec.memory_gib:.4g} GiB, {peaks} ({spec.source})"


def costs_json(plan: Plan, numbers: Estimate, *, done: set[str], price: float | None) -> dict[str, Any]:
    """All of it: each stage with every part."""
    left = _left(plan, done)
    found = totals(left, numbers.stages, devices=numbers.device.count, is_sharded=numbers.layout.sharding == "full")
    return {
        "model": plan.backbone.name,
        "parameters": numbers.shape.parameters if numbers.shape else None,
        "sizes_are_guessed": numbers.shape.guess if numbers.shape else None,
        "device": numbers.device.spec.model_dump(mode="json")
        | {"count": numbers.device.count, "is_here": numbers.device.is_here},
        "layout": {
            "sharding": numbers.layout.sharding,
            "processes": numbers.layout.processes,
            "offload": numbers.layout.offload,
        },
        "speeds_from": list(numbers.sources),
        "stages": [
            _stage_json(stage, cost, numbers, done=done, price=price)
            for stage in plan.stages
            if (cost := numbers.stages.get(stage.key))
        ],
        "total": {
            "flops": found.flops,
            "device_seconds": found.seconds,
            "seconds_on_all_devices": found.at_once,
            "unknown_stages": found.unknown,
            "cost": None if price is None else found.seconds / 3600 * price,
        },
        "notes": list(numbers.notes),
    }


def _stage_json(stage: AnyStage, cost: StageCost, numbers: Estimate, *, done: set[str], price: float | None) -> Mapping[str, Any]:
    rows = numbers.training.get(stage.key)
    return {
        "stage": stage.name,
        "verb": stage.verb,
        "done": stage.name in done,
        "precision": cost.precision,
        "steps": rows.steps if rows else None,
        "rows": rows.rows if rows else None,
        "tokens": cost.tokens,
        "lengths_are_counted": cost.is_measured,
        "memory": cost.memory.json(),
        "least_memory": cost.least.json(),
        "flops": cost.flops,
        "seconds": cost.seconds,
        "cost": None if price is None or cost.seconds is None else cost.seconds / 3600 * price,
    }
