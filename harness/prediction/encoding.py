"""Rows become features ahead of the model: it computes the first cells while those that follow are read and tokenized.

    groups, failures = cell_groups(shared, answers, root=root, machine=machine)      # cells that ask the same; no rows are read
    with Encoding(groups, keys=todo, beside=True, bar=bar) as encoding:
        for portion in portions(groups[0], encoding, size=4096):                     # None: the next one is not there yet
            portion.cells, portion.lost

A portion holds neighbouring cells, whose features are put into batches together.  Its end depends on the lengths of its cells
alone, so that an interrupted bundle has the portions that it began with.  The first one is small, so that the device waits for
few rows; each has twice the tokens of the one before, for the last batches of a portion are rarely full.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from harness.api.progress import ProgressBar
from harness.prediction.answers import Answers
from harness.prediction.bundles import SharedBatches
from harness.prediction.cell import Abandoned, Cell
from harness.prediction.failures import CellFailure, failure_of, merged
from harness.prediction.questions import Question
from harness.runtime.machine import Machine
from harness.runtime.processes import gather, together

LARGEST = 32
"Batches of the largest portions: sequences of similar length for each, and few that are not full."
LOOK = 0.5
"Seconds between two looks at what a thread has encoded, while there is nothing else to do."


class QuestionGroup(NamedTuple):
    """Cells whose features may share batches: those planned together that ask the same."""

    cells: list[Cell]
    tokens: int
    "Padded tokens of a batch."


class Portion(NamedTuple):
    """Neighbouring cells of a group, with their features; and those before, among and behind them that have none."""

    cells: list[Cell]
    lost: Mapping[str, CellFailure]
    "By stage key."


def cell_groups(
    shared: Sequence[SharedBatches], answers: Answers, *, root: Path, machine: Machine
) -> tuple[list[QuestionGroup], dict[str, CellFailure]]:
    """The cells of a bundle in the order in which they are computed, and what failed of those whose question is not known."""
    groups: dict[tuple[int, Question], QuestionGroup] = {}
    failures: dict[str, CellFailure] = {}
    for number, stage in ((number, stage) for number, own in enumerate(shared) for stage in own.stages):
        cell = Cell(
            stage=stage,
            folder=stage.folder(root),
            machine=machine,
            tokenizer=answers.tokenizer,
            max_positions=answers.max_positions,
            num_embeddings=answers.num_embeddings,
            versions=answers.versions,
            placed=answers.placed,
            computes_here=answers.singly is None,
        )
        try:
            groups.setdefault((number, cell.question), QuestionGroup([], shared[number].tokens)).cells.append(cell)
        except Exception as error:
            failures[stage.key] = failure_of(error, folder=root)
    # Vectors last: an engine of its own makes them, and takes the place of the one for words.
    return sorted(groups.values(), key=lambda group: group.cells[0].question.pooling is not None), failures


class Encoding:
    """The cells of some groups, encoded in their order in a thread; with `beside=False` each when it is asked for."""

    def __init__(self, groups: Sequence[QuestionGroup], *, keys: Collection[str], beside: bool, bar: ProgressBar) -> None:
        """`keys` of cells to predict: others are of use for their lengths alone.  The bar shows how far they are encoded."""
        self._cells = [cell for group in groups for cell in group.cells]
        self._keys, self._bar = keys, bar
        self._done = self._tokens = 0
        self._closed = threading.Event()
        self._futures: dict[str, Future[CellFailure | None]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="encoding") if beside else None
        if self._pool:
            self._futures = {cell.stage.key: self._pool.submit(self._encode, cell) for cell in self._cells}

    def _encode(self, cell: Cell) -> CellFailure | None:
        """Have a cell know its features, or at least their lengths; says why it cannot."""
        try:
            cell.is_wanted = lambda: not self._closed.is_set()
            cell.measure()
            if cell.stage.key in self._keys:
                cell.encode()
                self._tokens += sum(cell.lengths)
        except Abandoned:
            return None
        except Exception as error:
            return failure_of(error, folder=cell.folder.parent.parent)
        finally:
            self._done += 1
        return None

    def is_ready(self, cell: Cell) -> bool:
        """Whether `take` has nothing to wait for."""
        return not self._pool or self._futures[cell.stage.key].done()

    def take(self, cell: Cell) -> CellFailure | None:
        """Wait until a cell is encoded; says why it is not."""
        if not self._pool and cell.stage.key not in self._futures:
            self._futures[cell.stage.key] = Future()
            self._futures[cell.stage.key].set_result(self._encode(cell))
            self.show()
        future = self._futures[cell.stage.key]
        while not future.done():
            wait([future], timeout=LOOK)
            self.show()
        return future.result()

    def give_up(self, cell: Cell) -> CellFailure | None:
        """Encode a cell no more if that has not begun; says why it cannot be, where that is known."""
        future = self._futures.get(cell.stage.key)
        if future is None or future.cancel() or not future.done() or future.exception():
            return None
        return future.result()

    def show(self, num_tokens: int = 0) -> None:
        """So many more tokens are computed, of those that are known by now."""
        self._bar.total = self._tokens
        number, left = len(self._cells), self._done < len(self._cells)
        self._bar.set_postfix(refresh=False, **({"encoded": f"{self._done} of {number} cells"} if left else {}))
        self._bar.update(num_tokens)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the thread, after a thousand rows at most where an error ends the work."""
        self._closed.set()
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)


def portions(group: QuestionGroup, encoding: Encoding, *, size: int | None) -> Iterator[Portion | None]:
    """The portions of a group, the first one of `size` tokens or a little more; all of it in one where that is None.

    Gives None before it waits for a cell that is not encoded yet.  All processes that work together ask for the same, and a cell
    that one of them cannot encode is lost for all.
    """
    cells: list[Cell] = []
    lost: dict[str, CellFailure] = {}
    tokens, most = 0, size
    for cell in group.cells:
        if most is not None and tokens >= most and not _share_prompts(cells[-1], cell):
            yield Portion(cells, lost)
            assert size is not None
            cells, lost, tokens, most = [], {}, 0, min(2 * most, LARGEST * size)
        if not encoding.is_ready(cell):
            yield None
        with together():
            failure = encoding.take(cell)
        found = merged(gather({cell.stage.key: failure} if failure else {}))
        lost |= found
        if not found:
            cells.append(cell)
            tokens += sum(cell.lengths)
    if cells or lost:
        yield Portion(cells, lost)


def _share_prompts(one: Cell, other: Cell) -> bool:
    """Whether rows of two cells are asked in turns, for they have the same solved examples before them."""
    return other.args.shots is not None and (one.args.task, one.args.shots) == (other.args.task, other.args.shots)
