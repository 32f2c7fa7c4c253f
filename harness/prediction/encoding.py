"""Rows become features ahead of the model: it computes the first cells while those that follow are read and tokenized.

    groups, failures = cell_groups(shared, answers, root=root, machine=machine)      # cells that ask the same; no rows are read
    with Encoding(groups, keys=todo, beside=True, bar=bar) as encoding:
        for portion in portions(groups[0], encoding, size=4096):                     # waits until its cells are encoded
            portion.cells, portion.lost

A portion holds neighbouring cells, whose features are put into batches together.  Its end depends on the lengths of its cells
alone, so that an interrupted bundle has the portions that it began with.  The first one is small, so that the device waits for
few rows; each has twice the tokens of the one before, for the last batches of a portion are rarely full.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from harness.api.abandoning import Abandoned, abandoned_when, check_wanted
from harness.api.progress import ProgressBar
from harness.prediction.answers import Answers
from harness.prediction.asked_order import prompts_of
from harness.prediction.bundles import BatchSizes, SharedBatches
from harness.prediction.cell import Cell
from harness.prediction.failures import CellFailure, failure_of, merged
from harness.prediction.questions import Question
from harness.runtime.machine import Machine
from harness.runtime.processes import gather, rank, together

LARGEST = 32
"The largest portions have so many times the tokens of the first: sequences of similar length, and few batches that are not full."
LOOK = 0.5
"Seconds between two looks at what a thread has encoded, while there is nothing else to do."
PATIENCE = 3.0
"Seconds for which a run that is told to end waits for the thread, which may be within a package that reads files."


class QuestionGroup(NamedTuple):
    """Cells whose features may share batches: those planned together that ask the same."""

    cells: list[Cell]
    sizes: BatchSizes

    def without(self, lost: Collection[str]) -> QuestionGroup:
        """Without cells of some stage keys."""
        return self._replace(cells=[cell for cell in self.cells if cell.stage.key not in lost])

    def asks_for(self, keys: Collection[str]) -> bool:
        """Whether one of its cells is of a stage with one of the keys."""
        return any(cell.stage.key in keys for cell in self.cells)


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
            groups.setdefault((number, cell.question), QuestionGroup([], shared[number].sizes)).cells.append(cell)
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
        self._done = self._given_up = self._tokens = 0
        self._closed = threading.Event()
        self._futures: dict[str, Future[CellFailure | None]] = {}
        self._thread: threading.Thread | None = None
        if beside:
            self._futures = {cell.stage.key: Future() for cell in self._cells}
            self._thread = threading.Thread(target=self._work, name="encoding", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        for cell in self._cells:
            future = self._futures[cell.stage.key]
            if self._closed.is_set():
                return
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(self._encode(cell))
                except BaseException as error:
                    future.set_exception(error)
        self._read_ahead()

    def _read_ahead(self) -> None:
        """Have the rows there that predictions are made of, where tokens were kept and rows were not needed for them."""
        if rank():  # the first process makes them
            return
        for cell in self._cells:
            if self._closed.is_set():
                return
            future = self._futures[cell.stage.key]  # done, for all cells have been gone through
            if cell.stage.key in self._keys and not future.cancelled() and not future.exception() and not future.result():
                # What is wrong with rows is told by whoever needs them.
                with contextlib.suppress(Exception), abandoned_when(self._closed.is_set):
                    cell.read_ahead()

    def _encode(self, cell: Cell) -> CellFailure | None:
        """Have a cell know its features, or at least their lengths; says why it cannot."""
        try:
            with abandoned_when(self._closed.is_set):
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

    def take(self, cell: Cell) -> CellFailure | None:
        """Wait until a cell is encoded; says why it is not.  Abandoned where nobody wants it any more."""
        if not self._thread and cell.stage.key not in self._futures:
            self._futures[cell.stage.key] = Future()
            self._futures[cell.stage.key].set_result(self._encode(cell))
            self.show()
        future = self._futures[cell.stage.key]
        while not future.done():
            check_wanted()
            wait([future], timeout=LOOK)
            self.show()
        return future.result()

    def give_up(self, cell: Cell) -> CellFailure | None:
        """Encode a cell no more if that has not begun; says why it cannot be, where that is known."""
        future = self._futures.get(cell.stage.key)
        if future is not None and future.cancel():
            self._given_up += 1
        return future.result() if future is not None and future.done() and not future.cancelled() else None

    def show(self, num_tokens: int = 0) -> None:
        """So many more tokens are computed, of those that are known by now."""
        self._bar.total = self._tokens
        number = len(self._cells) - self._given_up
        how_far = {"encoded": f"{self._done} of {number} cells"} if self._done < number else {}
        self._bar.set_postfix(refresh=False, **how_far)
        self._bar.update(num_tokens)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the thread, after some rows: where the run is told to end it is not waited for long."""
        self._closed.set()
        if self._thread:
            self._thread.join(None if kind is None or issubclass(kind, Exception) else PATIENCE)


def portions(group: QuestionGroup, encoding: Encoding, *, size: int | None) -> Iterator[Portion]:
    """The portions of a group, the first one of `size` tokens or a little more; all of it in one where that is None.

    All processes that work together ask for the same, and a cell that one of them cannot encode is lost for all.
    """
    cells: list[Cell] = []
    lost: dict[str, CellFailure] = {}
    tokens, most = 0, size
    for cell in group.cells:
        if most is not None and tokens >= most and not _share_prompts(cells[-1], cell):
            yield Portion(cells, lost)
            assert size is not None
            cells, lost, tokens, most = [], {}, 0, min(2 * most, LARGEST * size)
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
    return other.args.shots is not None and prompts_of(one) == prompts_of(other)
