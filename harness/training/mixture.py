"""Which task and which items each training step sees: a pure function of the step, so that resuming needs the step's number only.

mixture = Mixture(components=[SampledTask(name="mnli", strata=(392702,), num_examples=392702, batch_size=32)], seed=1)
mixture.steps_for(epochs=2)      # 24544
mixture.step(1000)               # StepItems(task='mnli', epoch=0, items=array([...]))

Each step trains one task, drawn with the probabilities of `rates`; each task goes through permutations of its items.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from harness.api.randomness import generator

CAP = 2**17
"K of proportional sampling with a cap (Raffel et al. 2020, arXiv 1910.10683; Phang et al. 2020 take 2^17)."
_CHUNK = 2**16


class StepItems(NamedTuple):
    """The items of one optimizer step."""

    task: str
    epoch: int
    items: np.ndarray


@dataclass(frozen=True, kw_only=True)
class SampledTask:
    """One task of a mixture."""

    name: str
    strata: tuple[int, ...]
    "Number of its training items, by language in the order of the items; one number where all count alike."
    num_examples: int
    "Rows behind the items: what sampling rates go by."
    batch_size: int
    alpha: float | None = None
    "Languages get shares proportional to items^alpha of an epoch; None = every item once."

    @property
    def num_items(self) -> int:
        """Training items, and the length of an epoch."""
        return sum(self.strata)


def rates(
    sizes: Mapping[str, int], *, sampling: str = "proportional", cap: int = CAP, temperature: float = 1.0
) -> dict[str, float]:
    """Probability of each task per step, of the numbers e of training examples.

    proportional: min(e, cap) / sum; temperature: min(e, cap)^(1/T) / sum; uniform: 1 / number of tasks.
    """
    powers = {"proportional": 1.0, "temperature": 1.0 / temperature, "uniform": 0.0}
    weights = {name: float(min(size, cap)) ** powers[sampling] for name, size in sizes.items()}
    total = math.fsum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def shares(strata: Sequence[int], alpha: float) -> list[int]:
    """Items of each language in an epoch of sum(strata) items: proportional to size^alpha, rounded by largest remainders."""
    weights = [float(size) ** alpha if size else 0.0 for size in strata]
    exact = [sum(strata) * weight / math.fsum(weights) for weight in weights]
    counts = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda n: (counts[n] - exact[n], n))
    for n in by_remainder[: sum(strata) - sum(counts)]:
        counts[n] += 1
    return counts


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The steps of a training stage."""

    components: Sequence[SampledTask]
    seed: int
    sampling: str = "proportional"
    cap: int = CAP
    temperature: float = 1.0
    _orders: dict[str, tuple[int, np.ndarray]] = field(default_factory=dict, repr=False, compare=False)
    _drawn: dict[str, np.ndarray] = field(default_factory=lambda: {"task": np.empty(0)}, repr=False, compare=False)

    @cached_property
    def rates(self) -> dict[str, float]:
        """Probability of each task per step."""
        sizes = {component.name: component.num_examples for component in self.components}
        return rates(sizes, sampling=self.sampling, cap=self.cap, temperature=self.temperature)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass; in a mixture each task counts with `cap` items at most."""
        cap = self.cap if len(self.components) > 1 else None
        return sum(math.ceil(min(c.num_items, cap or c.num_items) / c.batch_size) for c in self.components)

    def steps_for(self, *, epochs: float | None, max_steps: int | None = None) -> int:
        """Optimizer steps of a run; the smaller where both are given."""
        limits = [max_steps] if max_steps is not None else []
        if epochs is not None:
            limits.append(math.ceil(self.steps_per_epoch * epochs))
        return min(limits)

    def step(self, number: int) -> StepItems:
        """The items of step `number`, counted from 0."""
        component, own = self._component(number)
        epoch, position = divmod(own, math.ceil(component.num_items / component.batch_size))
        known = self._orders.get(component.name)
        if known is None or known[0] != epoch:
            known = (epoch, self._order(component, epoch))
            self._orders[component.name] = known
        start = position * component.batch_size
        return StepItems(component.name, epoch, known[1][start : start + component.batch_size])

    def task_of(self, number: int) -> str:
        """The task of a step."""
        return self._component(number)[0].name

    def _component(self, number: int) -> tuple[SampledTask, int]:
        """The task of a step, and how many of the steps before it were that task's."""
        if len(self.components) == 1:
            return self.components[0], number
        if len(self._drawn["task"]) <= number:
            self._draw((number // _CHUNK + 1) * _CHUNK)
        return self.components[int(self._drawn["task"][number])], int(self._drawn["before"][number])

    def _draw(self, size: int) -> None:
        """Draw the tasks of the first `size` steps: the first values of a generator do not depend on how many are asked for."""
        edges = np.cumsum([self.rates[c.name] for c in self.components])
        values = generator("mixture", *(c.name for c in self.components), seed=self.seed).random(size)
        drawn = np.minimum(np.searchsorted(edges, values, side="right"), len(edges) - 1)
        before = np.empty(size, dtype=np.int64)
        for chosen in range(len(edges)):
            own = drawn == chosen
            before[own] = np.arange(np.count_nonzero(own))
        self._drawn.update(task=drawn, before=before)

    def _order(self, component: SampledTask, epoch: int) -> np.ndarray:
        """The items of an epoch, shuffled."""
        rng = generator("order", component.name, epoch, seed=self.seed)
        if component.alpha is None:
            return rng.permutation(component.num_items)
        counts = shares(component.strata, component.alpha)
        starts = np.cumsum([0, *component.strata[:-1]])
        items = [
            first + self._stretch(component.name, language, size=size, begin=epoch * count, count=count)
            for language, (first, size, count) in enumerate(zip(starts, component.strata, counts, strict=True))
        ]
        return rng.permutation(np.concatenate(items))

    def _stretch(self, name: str, language: int, *, size: int, begin: int, count: int) -> np.ndarray:
        """`count` places from `begin` on of the endless sequence of permutations of a language's items."""
        found: list[np.ndarray] = [np.empty(0, dtype=np.int64)]
        place, end = begin, begin + count
        while place < end:
            turn, offset = divmod(place, size)
            part = generator("language", name, language, turn, seed=self.seed).permutation(size)[offset : offset + end - place]
            found.append(part)
            place += len(part)
        return np.concatenate(found)
