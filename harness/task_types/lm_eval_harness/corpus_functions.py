"""Functions of a task's own code that make one number of the values of all examples, as shares of the single examples.

    put_shares(scored, "f1", function)       # scored[i]["f1"] becomes a number; the mean of all is function([...all values...])

The shares are those of a jackknife: how much the number changes where an example is left out says how much it hangs on it.  So
such a number has intervals and paired tests like any mean.  Of many examples groups are left out, every so many-th one.
"""

import math
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import numpy as np

from harness.api.errors import UserError
from harness.task_types.lm_eval_harness.evaluate_metrics import Percent, plain_means

SINGLY = 100
"Examples up to which each is left out by itself."
GROUPS = 25
"Parts of more examples, of which one is left out at a time."


def put_shares(scored: Sequence[MutableMapping[str, Any]], name: str, function: Callable[[list[Any]], Any]) -> None:
    """Put shares in place of the values of that name; examples without one have none."""
    places = [place for place, values in enumerate(scored) if name in values]
    if not places:
        return
    for place, share in zip(places, shares([scored[place][name] for place in places], name, function), strict=True):
        scored[place][name] = share


def shares(items: list[Any], name: str, function: Callable[[list[Any]], Any]) -> list[float]:
    """Numbers whose mean is what the function gives of all items, percent as shares of 1; UserError where that is no number."""
    given = function(list(items))
    whole, scale = _number(given, name), 0.01 if isinstance(given, Percent) else 1.0
    num_parts = len(items) if len(items) <= SINGLY else GROUPS
    if num_parts < 2 or not math.isfinite(whole):
        return [scale * whole] * len(items)
    left = [_without(items, part, num_parts, whole, name, function) for part in range(num_parts)]
    centre = sum(left) / num_parts
    influence = [(num_parts - 1) * (centre - one) for one in left]
    found = [whole + influence[place % num_parts] for place in range(len(items))]
    excess = math.fsum(found) / len(found) - whole  # parts may differ by one example in size
    return [scale * (share - excess) for share in found]


def _without(items: list[Any], part: int, num_parts: int, whole: float, name: str, function: Callable[[list[Any]], Any]) -> float:
    """The number without a part of the items; the whole one where the function cannot do without it (the last of a class)."""
    try:
        with plain_means():
            found = _number(function([item for place, item in enumerate(items) if place % num_parts != part]), name)
    except UserError:
        return whole
    return found if math.isfinite(found) else whole


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool | int | float | np.number):
        return float(value)
    if isinstance(value, np.ndarray) and value.size == 1:
        return float(value.item())
    raise UserError(f"the task's function gives no number for '{name}'", found=f"{type(value).__name__} {value!r:.60}")
