"""Batches of a group of cells become outputs, in order.

for work, asked, outputs in computed(answers, works, ceiling, beside=True): ...
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from harness.api.protocols import PendingOutputs
from harness.prediction.answers import Answers, AskedBatch
from harness.prediction.cell import Cell
from harness.prediction.pipeline import ahead
from harness.runtime.budget import Ceiling

Outputs: TypeAlias = Sequence[Any] | Mapping[int, Any]
"Of a batch, by place in it."


class BatchWork(NamedTuple):
    """A batch of a group."""

    number: int
    places: list[tuple[Cell, int]]
    "Cell and number of each feature."
    missing: list[int]
    "Those among them whose answers are not on disk."


def computed(
    answers: Answers, works: Iterator[BatchWork | None], ceiling: Ceiling, *, beside: bool
) -> Iterator[tuple[BatchWork, AskedBatch, Outputs]]:
    """Batches with their outputs, in order; of a server that answers each question by itself, one with each answer."""
    return _singly(answers, works) if answers.singly else _whole(answers, works, ceiling, beside=beside)


def _whole(
    answers: Answers, works: Iterator[BatchWork | None], ceiling: Ceiling, *, beside: bool
) -> Iterator[tuple[BatchWork, AskedBatch, Outputs]]:
    """Where a device computes by itself, the next batch is begun before outputs are taken."""
    before: tuple[BatchWork, AskedBatch, PendingOutputs] | None = None
    try:
        for work, asked in ahead(works, lambda work: answers.make_ready(work.places), beside=beside):
            ceiling.begin(work.number)
            pending = answers.begin(asked, ceiling)
            last, before = before, (work, asked, pending)
            if last is not None:
                yield last[0], last[1], last[2].take()
            if pending.is_there or not beside:
                before = None
                yield work, asked, pending.take()
    except Exception:
        if before is not None:  # what was computed before an error counts
            yield before[0], before[1], before[2].take()
        raise
    if before is not None:
        yield before[0], before[1], before[2].take()


def _singly(answers: Answers, works: Iterator[BatchWork | None]) -> Iterator[tuple[BatchWork, AskedBatch, Outputs]]:
    """Answers as they come; only what is missing is asked."""
    assert answers.singly is not None
    for work in works:
        if work is None:
            continue
        asked = answers.make_ready(work.places)
        for number, output in answers.singly([work.places[at] for at in work.missing]):
            at = work.missing[number]
            yield work._replace(missing=[at]), asked, {at: output}
