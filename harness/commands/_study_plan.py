"""What a study takes, before anything is loaded: cells, stages, memory, disk, hours and cost by backbone.

out(study_page(design, plans, root=root, machine=machine, device=device, price=2.5))
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.commands._plan_costs import device_line
from harness.commands._table import table
from harness.planning.costs.devices import Device
from harness.planning.costs.estimate import Costing, StageCost, checkpoint_bytes, costing_of
from harness.planning.costs.totals import Totals, totals
from harness.planning.costs.words import gib, hours, money, operations
from harness.planning.plan import Plan
from harness.runtime.arguments import TrainArguments
from harness.runtime.machine import Machine
from harness.runtime.stages import AnyStage, finished_stages, in_order
from harness.study.design.design import StudyDesign
from harness.study.design.ladder import LadderMember
from harness.study.design.learning_rates import RateTrial, trial_stages

EXA = 1e18


class PlannedMember(NamedTuple):
    """A member, the plan of its cells and that of its trials (an empty list where nothing is to be chosen)."""

    member: LadderMember
    plan: Plan
    trials: Sequence[RateTrial]


class _Costs(NamedTuple):
    """What a member's stages take on the device, trials included."""

    stages: Mapping[str, StageCost]
    costing: Costing | None
    all: Totals
    left: Totals
    "Of those that are not done."

    def memory(self, verb: str) -> int | None:
        """Bytes that its stages of a verb take at most."""
        return max((cost.memory.total for cost in self.stages.values() if cost.verb == verb), default=None)

    def fits(self, device: Device) -> str:
        """Whether all of its stages fit the device."""
        if not self.stages:
            return "?"
        least = max(cost.least.total for cost in self.stages.values() if not cost.is_spread)
        return "yes" if least <= device.memory else f"no: {gib(least)}"


def _costs(planned: PlannedMember, machine: Machine, device: Device, done: set[str]) -> _Costs:
    costing = costing_of(planned.plan, machine=machine, device=device)
    stages: list[AnyStage] = in_order([*trial_stages(planned.trials), *planned.plan.stages])
    found = {stage.key: cost for stage in stages if costing and (cost := costing.stage(stage))}
    left = [stage for stage in stages if stage.name not in done]
    sharded = machine.sharding == "full"
    both = [totals(some, found, devices=device.count, is_sharded=sharded) for some in (stages, left)]
    return _Costs(found, costing, both[0], both[1])


def study_page(
    design: StudyDesign,
    members: Sequence[PlannedMember],
    *,
    root: Path,
    machine: Machine,
    device: Device,
    price: float | None = None,
) -> str:
    """All of it as text."""
    done = finished_stages(root)
    rows: list[list[str]] = []
    counts: Counter[str] = Counter()
    found: list[_Costs] = []
    disk = 0.0
    for planned in members:
        numbers, costs = _numbers(planned, done), _costs(planned, machine, device, done)
        counts.update(numbers)
        found.append(costs)
        checkpoint = checkpoint_bytes(planned.plan)
        kept = 0.0 if checkpoint is None or machine.keep == "none" else checkpoint * numbers["trainings"]
        disk += kept
        rows.append(_row(planned, numbers, costs, device, "?" if checkpoint is None else gib(kept), price))
    header = ["backbone", "family", "size", "method", "recipe", "cells", "trainings", "trials", "predictions"]
    header += ["to train", "to predict", "fits", "checkpoints", "exaFLOP", "time"] + (["cost"] if price is not None else [])
    lines = [
        f"{design.spec.study}: {design.spec.description}",
        _title(design, counts),
        table(header, rows),
        *_sums(counts, found, disk, device=device, price=price),
        *_trial_lines(design),
        *dict.fromkeys(note for planned in members for note in planned.plan.missing()),
    ]
    return "\n\n".join(lines)


def _title(design: StudyDesign, totals: Mapping[str, int]) -> str:
    spec = design.spec
    names = ", ".join(setting.name for setting in design.settings)
    bridges = sum(bool(member.bridges) for member in design.members)
    more = f", {bridges} of them bridges between methods" if bridges else ""
    blocked = f" ({totals['blocked']:,} blocked: data are not here)" if totals["blocked"] else ""
    return (
        f"{len(design.members)} backbones{more}, settings {names}; {len(design.tasks)} targets, {len(spec.seeds)} seeds: "
        f"{totals['cells']:,} cells{blocked}"
    )


def _numbers(planned: PlannedMember, done: set[str]) -> dict[str, int]:
    """Counts of a member."""
    plan = planned.plan
    return {
        "cells": len(plan.cells),
        "blocked": sum(bool(cell.missing) for cell in plan.cells),
        "trainings": sum(isinstance(stage.args, TrainArguments) for stage in plan.stages),
        "trials": len({trial.stage.key for trial in planned.trials if trial.is_judged}),
        "predictions": sum(stage.verb == "predict" for stage in plan.stages),
        "stages": len(plan.stages),
        "done": sum(stage.name in done for stage in plan.stages),
        "alone": sum(len(cell.train) + 2 for cell in plan.cells if cell.score),
    }


def _row(
    planned: PlannedMember, numbers: Mapping[str, int], costs: _Costs, device: Device, kept: str, price: float | None
) -> list[str]:
    member = planned.member
    train, predict = costs.memory("train"), costs.memory("predict")
    unknown = f" ({costs.all.unknown:,} stages unknown)" if costs.all.unknown else ""
    line = [
        member.name,
        member.family,
        short_size(member.size),
        member.method,
        member.recipe,
        f"{numbers['cells']:,}",
        f"{numbers['trainings']:,}",
        f"{numbers['trials']:,}" if planned.trials else "-",
        f"{numbers['predictions']:,}",
        "?" if train is None else gib(train),
        "?" if predict is None else gib(predict),
        costs.fits(device),
        kept,
        f"{costs.all.flops / EXA:,.3g}{unknown}",
        hours(costs.all.seconds) if costs.stages else "?",
    ]
    return line + ([money(costs.all.seconds, price) if costs.stages else "?"] if price is not None else [])


def short_size(size: float) -> str:
    """A number of parameters, e.g. 86M or 9.67B."""
    return f"{size / 1e9:.2f}B" if size >= 1e9 else f"{size / 1e6:.0f}M" if size >= 1e6 else f"{size / 1e3:.0f}k"


def _sums(counts: Mapping[str, int], found: Sequence[_Costs], disk: float, *, device: Device, price: float | None) -> list[str]:
    shared = counts["alone"] - counts["stages"]
    trials = f"; {counts['trials']:,} trials of learning rates before them" if counts["trials"] else ""
    seconds, left = sum(one.all.seconds for one in found), sum(one.left.seconds for one in found)
    at_once = sum(one.left.at_once for one in found)
    unknown = sum(one.all.unknown for one in found)
    without = f", without {unknown:,} stages whose rows are not here" if unknown else ""
    several = f", {hours(at_once)} on {device.count} at best, a backbone after the other" if device.count > 1 else ""
    paid = (
        f"; cost {money(seconds, price)}, of what is left {money(left, price)}, in the currency of the price"
        if price is not None
        else ""
    )
    speeds = [one.costing.speed(cost.precision).source for one in found if one.costing for cost in one.stages.values()]
    return [
        f"{counts['stages']:,} stages ({counts['done']:,} done), {counts['trainings']:,} of them trainings and "
        f"{counts['predictions']:,} predictions, {shared:,} fewer than if cells shared none{trials}",
        device_line(device),
        f"compute: {operations(sum(one.all.flops for one in found))} of trainings, trials and predictions{without}: "
        f"{hours(seconds)} on one device, {hours(left)} of them left{several}{paid}",
        "time: computing alone, without loading and writing; " + "; ".join(dict.fromkeys(speeds)),
        f"disk: about {gib(disk)} of checkpoints in the end (--keep none leaves none)",
    ]


def _trial_lines(design: StudyDesign) -> list[str]:
    """Which learning rates are tried, by method."""
    lines = []
    for name in dict.fromkeys(member.method for member in design.members):
        grid = design.spec.methods[name].learning_rates
        for what, rates in (("intermediate phase of a setting", grid.intermediate), ("target after a setting", grid.target)):
            if rates:
                tried = ", ".join(f"{rate:g}" for rate in rates)
                lines.append(f"{name}: each {what} tries {tried}; English development rows choose")
    if lines:
        lines.append(f"trials have the seeds {', '.join(map(str, design.spec.trial_seeds))}, which are not reported")
    return ["\n".join(lines)] if lines else []
