"""Metrics of values that predictions carry by name, because the task itself computes them: tasks of lm-evaluation-harness.

    METRICS.load("lm_eval_mean:acc_norm").stats({"values": {"acc_norm": 1.0}}, None, lang="de", prepared={})

A family is a module whose `named(name)` gives the metric of one value; the module itself is that of the value called "value".
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

from harness.api.errors import UserError, did_you_mean

DEFAULT = "value"
"The value that a module itself reads, without a name."


@dataclass(frozen=True, kw_only=True)
class ValueMetric(ABC):
    """The metric of one value, in the shape of `Metric` (harness/scoring/metrics/_protocol.py)."""

    name: str
    family: str
    CHOOSES_THRESHOLDS: ClassVar[bool] = False
    all_stats: ClassVar[None] = None
    KEYS: tuple[str, ...]
    SIGNATURE: str
    total: Callable[[np.ndarray], dict[str, np.ndarray]]

    def prepare(self, predictions: Sequence[Any], golds: Sequence[Any], *, lang: str) -> dict[str, Any]:
        """Nothing; raises UserError where no example has the value, which no number could tell from zero."""
        there = [_values(prediction) for prediction in predictions if prediction is not None]
        if there and not any(self.name in values for values in there):
            names = sorted({name for values in there for name in values})
            raise UserError(f"the task gives no '{self.name}'", found=", ".join(names), todo=did_you_mean(self.name, names))
        return {}

    @abstractmethod
    def stats(
        self, prediction: Mapping[str, Any] | None, gold: Any, *, lang: str, prepared: Mapping[str, Any] | None = None
    ) -> Sequence[float]:
        """Statistics of an example; zeros where it has no such value: it does not count, as in lm-eval."""

    def combine(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Scores from summed statistics."""
        return self.total(totals)


@dataclass(frozen=True, kw_only=True)
class CountedValueMetric(ValueMetric):
    """The metric of a value whose statistics are those of the value alone, whatever other examples are."""

    count: Callable[[Any, str], Sequence[float]]
    "Additive statistics of a value; the second argument is its name, for messages."
    num_stats: int

    def stats(
        self, prediction: Mapping[str, Any] | None, gold: Any, *, lang: str, prepared: Mapping[str, Any] | None = None
    ) -> Sequence[float]:
        """Statistics of an example; zeros where it has no such value: it does not count, as in lm-eval."""
        values = {} if prediction is None else _values(prediction)
        return self.count(values[self.name], self.name) if self.name in values else (0.0,) * self.num_stats


def _values(prediction: Any) -> Mapping[str, Any]:
    """The values by name that a prediction carries; raises UserError where it is of a task that computes none."""
    values = prediction.get("values") if isinstance(prediction, Mapping) else None
    if not isinstance(values, Mapping):
        todo = "take one of the metrics that compare a prediction with its gold (docs/metrics.md)"
        raise UserError(
            "this prediction carries no values", expected="a task of type lm_eval", found=f"{prediction!r:.80}", todo=todo
        )
    return values


def family(
    name: str,
    *,
    keys: tuple[str, ...],
    signature: str,
    count: Callable[[Any, str], Sequence[float]],
    num_stats: int,
    total: Callable[[np.ndarray], dict[str, np.ndarray]],
) -> Callable[[str], CountedValueMetric]:
    """Make the function that a module calls `named`: it gives the metric of one value."""

    @cache
    def named(value: str) -> CountedValueMetric:
        own = signature if value == DEFAULT else f"{signature}|{value}"
        return CountedValueMetric(
            name=value, family=name, KEYS=keys, SIGNATURE=own, count=count, num_stats=num_stats, total=total
        )

    return named


def number(value: Any, name: str) -> float:
    """A value that is a number; raises UserError for anything else."""
    if not isinstance(value, int | float):
        raise UserError(f"'{name}' is no number", found=f"{type(value).__name__} {value!r:.60}")
    return float(value)
