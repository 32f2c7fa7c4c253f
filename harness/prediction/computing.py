"""Batches of a group of cells become outputs, in order.

for work, asked, take in computed(answers, works, ceiling, beside=True):
    outputs = take()       # in whatever thread
"""

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from harness.api.protocols import PendingOutputs
from harness.prediction.answers import Answers, AskedBatch
from harness.prediction.cell import Cell
from harness.prediction.pipeline import ahead
from harness.runtime.budget import Ceiling
from harness.runtime.threads import short_turns

Outputs: TypeAlias = Callable[[], Sequence[Any] | Mapping[int, Any]]
"Gives those of a batch, by place in it: they are computed."


class BatchWork(NamedTuple):
    """A batch of a group."""

    number: int
    places: list[tuple[Cell, int]]
    "Cell and number of each feature."
    missing: list[int]
    "Those among them whose answers are not on disk."


def computed(
    answers: Answers, works: Iterator[BatchWork], ceiling: Ceiling, *, beside: bool
) -> Generator[tuple[BatchWork, AskedBatch, Outputs], None, None]:
    """Batches with their outputs, in order; of a server that answers each question by itself, one with each answer.

    With `beside` a thread finds works and makes batches ready: close what is left early.
    """
    return _singly(answers, works) if answers.singly else _whole(answers, works, ceiling, beside=beside)


def _whole(
    answers: Answers, works: Iterator[BatchWork], ceiling: Ceiling, *, beside: bool
) -> Generator[tuple[BatchWork, AskedBatch, Outputs], None, None]:
    """Where a device computes by itself, the next batch is begun before outputs are taken."""
    before: tuple[BatchWork, AskedBatch, PendingOutputs] | None = None
    with contextlib.closing(ahead(works, lambda work: answers.make_ready(work.places), beside=beside)) as ready:
        try:
            for work, asked in ready:
                ceiling.begin(work.number)
                with short_turns(beside):
                    pending = answers.begin(asked, ceiling)
                last, before = before, (work, asked, pending)
                if last is not None:
                    yield last[0], last[1], _waited(last[2])
                if pending.wait is None or not beside:
                    before = None
                    yield work, asked, _waited(pending)
                # Whoever keeps the answers forgets the batch with them, while the next one is computed.
                del work, asked, pending, last
        except Exception:
            if before is not None:  # what was computed before an error counts
                yield before[0], before[1], _waited(before[2])
            raise
    if before is not None:
        yield before[0], before[1], _waited(before[2])


def _waited(pending: PendingOutputs) -> Outputs:
    """Wait for a device, and go on as soon as it has computed."""
    if pending.wait:
        with short_turns():
            pending.wait()
    return pending.take


def _singly(answers: Answers, works: Iterator[BatchWork]) -> Generator[tuple[BatchWork, AskedBatch, Outputs], None, None]:
    """Answers as they come; only what is missing is asked."""
    assert answers.singly is not None
    for work in works:
        asked = answers.make_ready(work.places)
        for number, output in answers.singly([work.places[at] for at in work.missing]):
            at = work.missing[number]
            yield work._replace(missing=[at]), asked, partial(dict, [(at, output)])
