"""What a study takes, before anything is loaded: cells, stages, memory, disk and compute by backbone.

out(study_page(design, plans, root=root, machine=machine))
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.commands._table import table
from harness.planning.costs import MemoryNeeds, gib, memory_of, training_cost, training_operations
from harness.planning.plan import Plan
from harness.runtime.arguments import TrainArguments
from harness.runtime.machine import Machine
from harness.runtime.stages import finished_stages
from harness.study.design.design import StudyDesign
from harness.study.design.ladder import LadderMember
from harness.study.design.learning_rates import RateTrial, trial_stages

DEVICES = ((24, "24 GB"), (48, "48 GB"), (80, "80 GB"), (141, "141 GB"))
"Memory of usual devices, in 10^9 bytes."
EXA = 1e18


class PlannedMember(NamedTuple):
    """A member, the plan of its cells and that of its trials (an empty list where nothing is to be chosen)."""

    member: LadderMember
    plan: Plan
    trials: Sequence[RateTrial]


def study_page(design: StudyDesign, members: Sequence[PlannedMember], *, root: Path, machine: Machine) -> str:
    """All of it as text."""
    done = finished_stages(root)
    rows: list[list[str]] = []
    totals: Counter[str] = Counter()
    compute = _Compute(0.0, 0)
    disk = 0.0
    for planned in members:
        numbers, operations = _numbers(planned, machine, done)
        totals.update(numbers)
        compute = _Compute(compute.known + operations.known, compute.unknown + operations.unknown)
        memory = memory_of(planned.plan)
        kept = 0.0 if memory is None or machine.keep == "none" else memory.checkpoint * numbers["trainings"]
        disk += kept
        rows.append(_row(planned, numbers, operations, memory, kept))
    header = ["backbone", "family", "size", "method", "recipe", "cells", "trainings", "trials", "predictions"]
    header += ["to train", "to predict", "device", "checkpoints", "exaFLOP at most"]
    lines = [
        f"{design.spec.study}: {design.spec.description}",
        _title(design, totals),
        table(header, rows),
        *_sums(totals, compute, disk),
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


class _Compute(NamedTuple):
    """Floating-point operations of trainings."""

    known: float
    unknown: int
    "Trainings of which rows or lengths are not known here."

    def shown(self) -> str:
        """In 10^18."""
        return f"{self.known / EXA:,.3g}" + (f" ({self.unknown:,} trainings unknown)" if self.unknown else "")


def _numbers(planned: PlannedMember, machine: Machine, done: set[str]) -> tuple[dict[str, int], _Compute]:
    """Counts of a member, and the operations of its trainings, trials included."""
    plan = planned.plan
    stages = plan.stages
    own = [stage for stage in stages if isinstance(stage.args, TrainArguments)]
    trials = {stage.key: stage for stage in trial_stages(planned.trials) if isinstance(stage.args, TrainArguments)}
    size, low_rank = planned.member.size, planned.member.is_low_rank
    each = [
        training_operations(stage.args, training_cost(stage.args, machine), parameters=size, is_low_rank=low_rank)
        for stage in {**{stage.key: stage for stage in own}, **trials}.values()
    ]
    counts = {
        "cells": len(plan.cells),
        "blocked": sum(bool(cell.missing) for cell in plan.cells),
        "trainings": len(own),
        "trials": len({trial.stage.key for trial in planned.trials if trial.is_judged}),
        "predictions": sum(stage.verb == "predict" for stage in stages),
        "stages": len(stages),
        "done": sum(stage.name in done for stage in stages),
        "alone": sum(len(cell.train) + 2 for cell in plan.cells if cell.score),
    }
    return counts, _Compute(sum(one for one in each if one is not None), sum(one is None for one in each))


def _row(
    planned: PlannedMember, numbers: Mapping[str, int], operations: _Compute, memory: MemoryNeeds | None, kept: float
) -> list[str]:
    member = planned.member
    return [
        member.name,
        member.family,
        short_size(member.size),
        member.method,
        member.recipe,
        f"{numbers['cells']:,}",
        f"{numbers['trainings']:,}",
        f"{numbers['trials']:,}" if planned.trials else "-",
        f"{numbers['predictions']:,}",
        gib(memory.train) if memory and memory.train is not None else "?",
        gib(memory.predict) if memory else "?",
        _device(memory),
        gib(kept) if memory else "?",
        operations.shown(),
    ]


def short_size(size: float) -> str:
    """A number of parameters, e.g. 86M or 9.67B."""
    return f"{size / 1e9:.2f}B" if size >= 1e9 else f"{size / 1e6:.0f}M" if size >= 1e6 else f"{size / 1e3:.0f}k"


def _device(memory: MemoryNeeds | None) -> str:
    """The smallest usual device that takes the weights to train (or predict), or how many of 80 GB share them."""
    if memory is None:
        return "?"
    need = (memory.train if memory.train is not None else memory.predict) / 1e9
    fitting = [name for size, name in DEVICES if need * 1.1 <= size]  # a tenth at least for activations
    return f"1 x {fitting[0]}" if fitting else f"{-int(-need * 1.1 // 80)} x 80 GB, sharded"


def _sums(totals: Mapping[str, int], compute: _Compute, disk: float) -> list[str]:
    shared = totals["alone"] - totals["stages"]
    trials = f"; {totals['trials']:,} trials of learning rates before them" if totals["trials"] else ""
    left_out = f" without {compute.unknown:,} trainings whose rows are not here" if compute.unknown else ""
    return [
        f"{totals['stages']:,} stages ({totals['done']:,} done), {totals['trainings']:,} of them trainings and "
        f"{totals['predictions']:,} predictions, {shared:,} fewer than if cells shared none{trials}",
        "memory: weights, gradients and the optimizer's moments without activations, which grow with batch and length; the "
        "device is the smallest usual one with a tenth to spare",
        f"compute: at most {compute.known / EXA:,.3g} exaFLOP of training{left_out}, every text at its full length; hours depend "
        "on the device: at a sustained 100 TFLOP/s an exaFLOP takes 2.8 of them",
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
