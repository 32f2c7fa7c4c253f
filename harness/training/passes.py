"""Which forward and backward passes each process makes in a step: equally many, agreed by planning alike and not by trial.

    plan = plan_passes(groups, pieces=work.pieces, processes=4)
    plan.of(rank)           # [PassShare(indices=[...], number=0, counts=True), ...]

Every process sees the whole recipe batch and plans the passes of all.  One that has fewer pieces of its own than another makes
empty passes: over the batch's smallest item, with no weight in the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from harness.api.protocols import Feature


class PassShare(NamedTuple):
    """The features of one pass."""

    indices: list[int]
    "In the whole recipe batch."
    number: int
    "Of all pieces of the step: what its dropout is drawn by."
    counts: bool
    "False for an empty pass."


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """The passes of every process."""

    pieces: list[list[PassShare]]

    def of(self, rank: int) -> list[PassShare]:
        """Those of one process; equally many for each."""
        return self.pieces[rank]

    @property
    def is_one(self) -> bool:
        """Whether the whole batch goes through the model in one pass of one process."""
        return len(self.pieces) == len(self.pieces[0]) == 1


def plan_passes(
    groups: Sequence[Sequence[Feature]], *, pieces: Callable[[Sequence[Feature]], list[list[int]]], processes: int
) -> StepPlan:
    """Deal items (groups of features) out to processes, and cut what each has into pieces that fit a device."""
    begins = [*accumulate((len(group) for group in groups[:-1]), initial=0)]
    features = [feature for group in groups for feature in group]
    planned: list[list[list[int]]] = []
    for rank in range(processes):
        own = [begins[number] + at for number in range(rank, len(groups), processes) for at in range(len(groups[number]))]
        planned.append([[own[i] for i in piece] for piece in (pieces([features[i] for i in own]) if own else [])])
    most = max(map(len, planned))
    smallest = min(range(len(groups)), key=lambda number: (sum(len(one.input_ids) for one in groups[number]), number))
    empty = [begins[smallest] + at for at in range(len(groups[smallest]))]
    return StepPlan(
        pieces=[
            [
                PassShare(indices=own[at] if at < len(own) else empty, number=at * processes + rank, counts=at < len(own))
                for at in range(most)
            ]
            for rank, own in enumerate(planned)
        ]
    )
