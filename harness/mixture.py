"""Which task and which items each training step sees: a pure function of the step, so that resuming needs the step's number only.

schedule = Schedule(sizes={"mnli": 392702}, batch_size=32, seed=1)
schedule.steps_for(epochs=2)      # 24544
schedule.step(1000)               # StepItems(task='mnli', epoch=0, items=array([...]))
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from harness.randomness import generator


class StepItems(NamedTuple):
    """The items of one optimizer step."""

    task: str
    epoch: int
    items: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Each epoch is a fresh permutation of a task's items; its last batch may be smaller."""

    sizes: Mapping[str, int]
    "Task -> number of its training items; one task."
    batch_size: int
    seed: int
    _orders: dict[tuple[str, int], np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @property
    def task(self) -> str:
        """The task that all steps train."""
        (task,) = self.sizes
        return task

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass."""
        return math.ceil(self.sizes[self.task] / self.batch_size)

    def steps_for(self, *, epochs: float | None, max_steps: int | None = None) -> int:
        """Optimizer steps of a run; the smaller where both are given."""
        limits = [max_steps] if max_steps is not None else []
        if epochs is not None:
            limits.append(math.ceil(self.steps_per_epoch * epochs))
        return min(limits)

    def step(self, number: int) -> StepItems:
        """The items of step `number`, counted from 0."""
        epoch, position = divmod(number, self.steps_per_epoch)
        if (self.task, epoch) not in self._orders:
            self._orders.clear()
            order = generator("order", self.task, epoch, seed=self.seed).permutation(self.sizes[self.task])
            self._orders[self.task, epoch] = order
        start = position * self.batch_size
        return StepItems(self.task, epoch, self._orders[self.task, epoch][start : start + self.batch_size])
