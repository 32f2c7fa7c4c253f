"""The only prediction loop: all unfinished cells of one checkpoint, loaded once, in batches across languages.

    predict_bundle(stages, todo=stages, root=Path("runs"), machine=machine)  # writes predict/<name>-<key>/predictions.jsonl each

Batches are planned before finished features are skipped, so that an interrupted run makes the same batches as an uninterrupted
one and gives the same bytes.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.api.progress import progress_bar
from harness.api.protocols import Feature, Partial
from harness.prediction.answers import Answers, AskedBatch, load_answers, passes_of, planned_batches
from harness.prediction.asked_order import asked_in_order
from harness.prediction.bundles import BatchSizes, SharedBatches, forget_cells, recorded_ceiling, shared_batches
from harness.prediction.cell import Cell, PredictStage
from harness.prediction.computing import BatchWork, Outputs, computed
from harness.prediction.encoding import Encoding, Portion, QuestionGroup, cell_groups, portions
from harness.prediction.failures import CellFailure, failure_of, merged
from harness.prediction.finishing import finish_cell
from harness.prediction.pipeline import Background
from harness.runtime.budget import Ceiling
from harness.runtime.garbage import rare_collections
from harness.runtime.machine import Machine
from harness.runtime.processes import from_first, gather, num_ranks, rank, together

PADDED_FIRST = 8
"Batches of the first portion where padding is computed: among few sequences, not many have nearly the same length."
CPU_FIRST = 256
"The same on a CPU, which computes for minutes what it tokenizes in seconds: there is less to gain than padding costs."


def predict_bundle(
    stages: Sequence[PredictStage],
    *,
    todo: Sequence[PredictStage],
    root: Path,
    machine: Machine,
    on_done: Callable[[PredictStage], None] = lambda _: None,
) -> dict[str, CellFailure]:
    """Predict the cells `todo` of a bundle whose stages all start from one checkpoint; raises what loading raises.

    `stages` is the whole bundle: finished cells of an interrupted run still decide which sequences share a batch.  Returns by
    stage key what failed: a cell whose rows cannot be read or encoded is left out, and the others get the batches of a bundle
    without it.  `on_done` is told of each cell once it is done, while others are computed, in a thread beside them.
    """
    with together():
        answers = load_answers(todo, root=root, machine=machine)
    keys = {stage.key for stage in todo}
    beside = answers.computes and machine.lookahead
    with contextlib.closing(answers), rare_collections():
        wanted = machine.batch_tokens is not None
        sizes = BatchSizes(answers.tokens, first=_first_portion(answers, machine))
        shared = from_first(lambda: shared_batches(stages, todo=todo, root=root, sizes=sizes, wanted=wanted))
        bundle = _Bundle(answers, shared, todo=todo, root=root, on_done=on_done)
        with together():
            groups, own = cell_groups(shared, answers, root=root, machine=machine)
        bundle.lose(merged(gather(own)))
        groups = [left for group in groups if (left := group.without(bundle.lost)).asks_for(keys)]
        show = machine.progress and not rank()
        with (
            progress_bar("predict", total=0, unit="token", scaled=True, stays=True, shown=show) as bar,
            contextlib.ExitStack() as closed,
            Encoding(groups, keys=keys, beside=beside, bar=bar) as encoding,
            Background(beside=beside, most=0, may_be_left=True) as finishing,
        ):
            for group in groups:
                run = _GroupRun(bundle, group, encoding, finishing)
                closed.callback(run.close)
                run.all_portions()
    return {key: failure for key, failure in (bundle.failures | bundle.lost).items() if key in keys}


def _first_portion(answers: Answers, machine: Machine) -> int:
    """Batches of the first portion of cells; 0 where all are to be one."""
    if answers.is_streamed:  # a pass takes as long for few tokens as for many
        return 0
    if answers.computes and machine.device == "cpu":
        return CPU_FIRST
    return 1 if answers.packs else PADDED_FIRST


class _Bundle:
    """What the groups of a bundle have in common."""

    def __init__(
        self,
        answers: Answers,
        shared: Sequence[SharedBatches],
        *,
        todo: Sequence[PredictStage],
        root: Path,
        on_done: Callable[[PredictStage], None],
    ) -> None:
        self.answers, self.root, self.on_done = answers, root, on_done
        self.keys = {stage.key for stage in todo}
        self._shared, self._todo = shared, todo
        self.lost: dict[str, CellFailure] = {}
        "Of cells that could not be encoded, and share no batches with the others."
        self.failures: dict[str, CellFailure] = {}
        "Of the others."
        self.files = threading.Lock()
        "Taken by who finishes a cell, and by who writes down what unfinished ones need."

    def lose(self, lost: Mapping[str, CellFailure]) -> None:
        """Write down that cells share no batches with the others; asked in every process at once."""
        if lost.keys() <= self.lost.keys():
            return
        self.lost |= lost
        with self.files:
            from_first(self._forget)

    def _forget(self) -> None:
        undone = [stage for stage in self._todo if not stage.is_done(self.root)]
        forget_cells(self._shared, lost=self.lost, todo=undone, root=self.root)


class _GroupRun:
    """The cells of a bundle that ask the same are computed, and each is finished as soon as it is complete."""

    def __init__(self, bundle: _Bundle, group: QuestionGroup, encoding: Encoding, finishing: Background) -> None:
        self._bundle, self._group, self._encoding, self._finishing = bundle, group, encoding, finishing
        self._answers = bundle.answers
        self._waiting = {cell.stage.key: cell for cell in group.cells if cell.stage.key in bundle.keys}
        "Cells to predict."
        self._left: dict[str, int] = {}
        "Features without an answer, of those that are encoded and not finished."
        self._number = 0
        "Of the next batch; all are counted, whatever is on disk."
        self._question = group.cells[0].question
        self._beside = self._answers.computes and group.cells[0].machine.lookahead

    def all_portions(self) -> None:
        """Compute them; where that fails, so do all cells that are not done, the same in every process."""
        try:
            with together():
                ceiling = recorded_ceiling(
                    lambda: [cell.folder for cell in self._undone() if cell.stage.key not in self._bundle.lost],
                    tokens=self._group.sizes.tokens,
                    rank=rank(),
                    lock=self._bundle.files,
                )
            found = self._without_lost()
            if num_ranks() == 1:
                self._compute(found, ceiling)
            else:  # what processes tell each other comes between portions: within one, none waits for another
                for portion in found:
                    self._compute(iter([portion]), ceiling)
        except Exception as error:
            self._finishing.settle()
            self._fail(error)
            self.close()

    def close(self) -> None:
        """Close what cells have open that were not finished."""
        for cell in self._waiting.values():
            cell.close()

    def _undone(self) -> list[Cell]:
        return [cell for cell in self._waiting.values() if not cell.stage.is_done(self._bundle.root)]

    def _fail(self, error: Exception) -> None:
        """No cell goes on that is not done; those of which it is known already that they cannot be encoded say why."""
        failure = failure_of(error, folder=self._bundle.root)
        undone = self._undone()
        with together():
            own = {cell.stage.key: found for cell in undone if (found := self._encoding.give_up(cell))}
        self._bundle.lose(merged(gather(own)))
        self._bundle.failures = {cell.stage.key: failure for cell in undone} | self._bundle.failures

    def _without_lost(self) -> Iterator[Portion]:
        """The portions that have cells, once it is written down which cells share no batches with these."""
        tokens, first = self._group.sizes
        if self._question.asks:  # batches of requests have no padding
            first = min(first, 1)
        passes = passes_of(self._question, has_own_passes=self._answers.has_own_passes)
        for portion in portions(self._group, self._encoding, size=first * tokens * passes or None):
            self._bundle.lose(portion.lost)
            if portion.cells:
                yield portion

    def _compute(self, found: Iterator[Portion], ceiling: Ceiling) -> None:
        """Compute the batches of some portions, and finish their cells."""
        outcome = computed(self._answers, self._works(found), ceiling, beside=self._beside)
        with together(), Background(beside=self._beside) as keeping, contextlib.closing(outcome):
            for work, asked, take in outcome:
                keeping.do(self._keep, work, asked, take)
                del work, asked, take
        # All of them where several processes have worked, and those without a batch.
        rest = [self._waiting[key] for key in self._left]
        self._left.clear()
        for cell in rest:
            cell.close()  # what other processes have written is read with it when it is opened again
        self._bundle.failures |= from_first(lambda: self._finish(rest))

    def _keep(self, work: BatchWork, asked: AskedBatch, take: Outputs) -> None:
        """Write down what cells need of the outputs of a batch; have those finished that are complete."""
        outputs = take()
        kept: dict[str, list[int]] = {}
        for at in work.missing:
            kept.setdefault(work.places[at][0].stage.key, []).append(at)
        for key, places in kept.items():
            cell = self._waiting[key]
            partials = _reduced(cell, [asked.features[at] for at in places], [outputs[at] for at in places])
            cell.partials.write(zip([asked.places[at][1] for at in places], partials, strict=True))
            self._left[key] -= len(places)
            if not self._left[key] and num_ranks() == 1:
                self._left.pop(key)
                self._finishing.do(self._finish, [cell])

    def _works(self, found: Iterator[Portion]) -> Iterator[BatchWork]:
        """The batches that this process computes."""
        for portion in found:
            # All of them now: a cell may be finished while batches to come hold what it had on disk before.
            missing = {
                cell.stage.key: cell.partials.missing(len(cell.lengths))
                for cell in portion.cells
                if cell.stage.key in self._waiting
            }
            self._left |= {key: int(marks.sum()) for key, marks in missing.items()}
            none = {cell.stage.key: np.zeros(len(cell.lengths), dtype=bool) for cell in portion.cells}
            index = asked_in_order(portion.cells)
            is_missing = index.in_order(list((none | missing).values()))
            is_wanted = index.in_order([marks | (key in missing) for key, marks in none.items()])
            lengths = index.lengths()
            costs = np.where(is_wanted, lengths, 0)
            tokens, own_passes = self._group.sizes.tokens, self._answers.has_own_passes
            for batch in planned_batches(lengths, self._question, tokens=tokens, has_own_passes=own_passes):
                work = BatchWork(self._number, index.at(batch), np.flatnonzero(is_missing[batch]).tolist())
                self._encoding.show(int(costs[batch].sum()))
                if work.missing and self._number % num_ranks() == rank():
                    yield work
                self._number += 1

    def _finish(self, cells: Sequence[Cell]) -> dict[str, CellFailure]:
        """Finish complete cells; what cannot be decoded."""
        failures: dict[str, CellFailure] = {}
        for cell in cells:
            try:
                with self._bundle.files:
                    finish_cell(cell)
            except Exception as error:
                failures[cell.stage.key] = failure_of(error, folder=cell.folder)
            else:
                self._bundle.on_done(cell.stage)
            finally:
                cell.close()
        self._bundle.failures |= failures
        return failures


def _reduced(cell: Cell, features: Sequence[Feature], outputs: Sequence[Any]) -> list[Partial]:
    """What the task type keeps of the outputs of a cell's features."""
    how = {"task": cell.spec, "options": cell.options}
    if cell.module.reduce_batch is not None:
        return list(cell.module.reduce_batch(features, outputs, **how))
    return [cell.module.reduce(feature, output, **how) for feature, output in zip(features, outputs, strict=True)]
