"""Hours of many stages: one after the other, and on several devices at once.

found = totals(stages, costs, devices=4, is_sharded=False)
found.seconds, found.at_once
"""

import heapq
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.planning.costs.estimate import StageCost
from harness.runtime.stages import AnyStage


class Totals(NamedTuple):
    """What some stages take together."""

    seconds: float
    "Of one device, stages one after the other: what is paid for."
    at_once: float
    "Until all are done, on all devices, each stage as soon as what it reads is done and a device is free."
    flops: float
    unknown: int
    "Trainings and predictions of which rows are not here: they are in none of the numbers."


def totals(stages: Sequence[AnyStage], costs: Mapping[str, StageCost], *, devices: int, is_sharded: bool) -> Totals:
    """Sums over stages, which come inputs first; a sharded training works on all devices at once."""
    known = {stage.key: cost.seconds for stage in stages if (cost := costs.get(stage.key)) and cost.seconds is not None}
    heavy = [stage for stage in stages if stage.verb in ("train", "predict") and stage.key in costs]
    seconds = sum(known.values())
    flops = sum(cost.flops or 0.0 for stage in heavy if (cost := costs.get(stage.key)))
    at_once = seconds / devices if is_sharded else _scheduled(stages, known, devices)
    return Totals(seconds, at_once, flops, sum(stage.key not in known for stage in heavy))


def _scheduled(stages: Sequence[AnyStage], seconds: Mapping[str, float], devices: int) -> float:
    """When the last stage ends: each is given the device that is free first (list scheduling, Graham 1966)."""
    free = [0.0] * devices
    heapq.heapify(free)
    ends: dict[str, float] = {}
    for stage in stages:
        begins = max((ends.get(parent.key, 0.0) for parent in stage.inputs), default=0.0)
        taken = seconds.get(stage.key, 0.0)
        if taken:
            ends[stage.key] = max(begins, heapq.heappop(free)) + taken
            heapq.heappush(free, ends[stage.key])
        else:
            ends[stage.key] = begins
    return max(ends.values(), default=0.0)
