"""The only prediction loop: all unfinished cells of one checkpoint, loaded once, sorted by length across languages.

    predict_bundle(stages, todo=stages, root=Path("runs"), machine=machine)  # writes predict/<name>-<key>/predictions.jsonl each

Batches are planned before finished features are skipped, so that an interrupted run makes the same batches as an uninterrupted
one and gives the same bytes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from harness.api.progress import ProgressBar, progress_bar, progress_over
from harness.api.protocols import Feature, PendingOutputs, Prediction
from harness.prediction.answers import Answers, AskedBatch, ask_batch, load_answers, planned_batches
from harness.prediction.batching import num_tokens
from harness.prediction.bundles import SharedBatches, forget_cells, recorded_ceiling, shared_batches
from harness.prediction.cell import AskedOrder, Cell, PredictStage, asked_in_order
from harness.prediction.failures import CellFailure, failure_of, merged
from harness.prediction.finishing import finish_cell
from harness.prediction.pipeline import Background, ahead
from harness.prediction.questions import Question
from harness.runtime.budget import TRAINING, Ceiling
from harness.runtime.garbage import rare_collections
from harness.runtime.machine import Machine
from harness.runtime.processes import end_together, from_first, gather, num_ranks, rank, together
from harness.scoring.score import score_value
from harness.specs.task import TaskSpec


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
    with contextlib.closing(answers), rare_collections():
        wanted = machine.batch_tokens is not None
        shared = from_first(lambda: shared_batches(stages, todo=todo, root=root, tokens=answers.tokens, wanted=wanted))
        keys = {stage.key for stage in todo}
        with together():
            groups, own = _encoded(shared, answers, root=root, machine=machine)
        failures = merged(gather(own))
        if failures:
            from_first(lambda: forget_cells(shared, lost=set(failures), todo=todo, root=root))
            groups = [left for group in groups if (left := group.without(failures)).cells]
        total = sum(sum(cell.lengths) for group in groups for cell in group.cells if cell.stage.key in keys)
        show = machine.progress and not rank()
        with progress_bar("predict", total=total, unit="token", scaled=True, stays=True, shown=show) as bar:
            for group in groups:
                unfinished = [cell for cell in group.cells if cell.stage.key in keys]
                if unfinished:
                    failures |= _group_failures(answers, group, unfinished, bar=bar, on_done=on_done)
    return {key: failure for key, failure in failures.items() if key in keys}


class _Group(NamedTuple):
    """Cells whose features share batches, and that ask the same."""

    cells: list[Cell]
    tokens: int

    def without(self, lost: Mapping[str, CellFailure]) -> _Group:
        return _Group([cell for cell in self.cells if cell.stage.key not in lost], self.tokens)


def _group_failures(
    answers: Answers, group: _Group, unfinished: Sequence[Cell], *, bar: ProgressBar, on_done: Callable[[PredictStage], None]
) -> dict[str, CellFailure]:
    """Run the cells that ask the model the same; what failed of them, the same in every process."""
    root = unfinished[0].folder.parent.parent
    try:
        return _run_group(answers, group, unfinished, bar=bar, on_done=on_done)
    except Exception as error:
        failure = failure_of(error, folder=root)
        return {cell.stage.key: failure for cell in unfinished if not cell.stage.is_done(root)}
    finally:
        for cell in unfinished:
            cell.close()


def _encoded(
    shared: Sequence[SharedBatches], answers: Answers, *, root: Path, machine: Machine
) -> tuple[list[_Group], dict[str, CellFailure]]:
    """Cells with their lengths, in groups that share batches (those planned together that ask the same), and what failed."""
    groups: dict[tuple[int, Question], _Group] = {}
    failures: dict[str, CellFailure] = {}
    everything = [(number, stage) for number, group in enumerate(shared) for stage in group.stages]
    show = machine.progress and not rank()
    for number, stage in progress_over(everything, "encode", unit="cell", shown=show):
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
            cell.measure()  # here, so that the bar says what is going on
            groups.setdefault((number, cell.question), _Group([], shared[number].tokens)).cells.append(cell)
        except Exception as error:
            failures[stage.key] = failure_of(error, folder=root)
    # Vectors last: an engine of its own makes them, and takes the place of the one for words.
    return sorted(groups.values(), key=lambda group: group.cells[0].question.pooling is not None), failures


Outputs: TypeAlias = Sequence[Any] | Mapping[int, Any]
"Of a batch, by place in it."


class _Work(NamedTuple):
    """A batch of a group."""

    number: int
    places: list[tuple[Cell, int]]
    "Cell and number of each feature."
    missing: list[int]
    "Those among them whose answers are not on disk."


def _run_group(
    answers: Answers, group: _Group, unfinished: Sequence[Cell], *, bar: ProgressBar, on_done: Callable[[PredictStage], None]
) -> dict[str, CellFailure]:
    """Run the batches of cells that ask the same question, and finish each cell as soon as it is complete; what cannot be."""
    failures: dict[str, CellFailure] = {}
    alone = num_ranks() == 1
    left: dict[str, int] = {}
    beside = answers.computes and unfinished[0].machine.lookahead
    with together(), Background(beside=beside) as background:
        waiting = {cell.stage.key: cell for cell in unfinished}
        left |= {key: cell.partials.num_missing(len(cell.lengths)) for key, cell in waiting.items()}
        index = asked_in_order(group.cells)
        ceiling = recorded_ceiling(unfinished, tokens=group.tokens, rank=rank())
        works = _works(index, group, waiting, has_own_passes=answers.has_own_passes, bar=bar)
        computed = _computed(answers, works, ceiling, beside=beside) if answers.singly is None else _answered(answers, works)
        for work, asked, outputs in computed:
            found: dict[str, list[int]] = {}
            for at in work.missing:
                found.setdefault(work.places[at][0].stage.key, []).append(at)
            for key, places in found.items():
                background.do(_keep, waiting[key], asked, outputs, places)
                left[key] -= len(places)
                if not left[key] and alone:
                    background.do(lambda cell: failures.update(_finish([cell], on_done=on_done)), waiting[key])
                    left.pop(key)
    for cell in unfinished:
        if cell.stage.key in left:
            cell.partials.close()
    # All of them where several processes have worked, and those without a batch.
    rest = [cell for cell in unfinished if cell.stage.key in left]
    return failures | from_first(lambda: _finish(rest, again=True, on_done=on_done))


def _works(
    index: AskedOrder, group: _Group, waiting: Mapping[str, Cell], *, has_own_passes: bool, bar: ProgressBar
) -> Iterator[_Work]:
    """The batches of a group that this process computes; all are planned, whatever is on disk."""
    lengths = index.lengths()
    question = group.cells[0].question
    for number, batch in enumerate(planned_batches(lengths, question, tokens=group.tokens, has_own_passes=has_own_passes)):
        places = [index[i] for i in batch]
        missing = [at for at, (c, n) in enumerate(places) if c.stage.key in waiting and n not in waiting[c.stage.key].partials]
        bar.update(sum(lengths[i] for i, (cell, _) in zip(batch, places, strict=True) if cell.stage.key in waiting))
        if missing and number % num_ranks() == rank():
            yield _Work(number, places, missing)


def _computed(
    answers: Answers, works: Iterator[_Work], ceiling: Ceiling, *, beside: bool
) -> Iterator[tuple[_Work, AskedBatch, Outputs]]:
    """Batches with their outputs, in order: where a device computes by itself, the next one is begun before they are taken."""
    before: tuple[_Work, AskedBatch, PendingOutputs] | None = None
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


def _answered(answers: Answers, works: Iterator[_Work]) -> Iterator[tuple[_Work, AskedBatch, Outputs]]:
    """Answers one by one, as they come from a model that answers each question by itself; only what is missing is asked."""
    assert answers.singly is not None
    for work in works:
        asked = answers.make_ready(work.places)
        for number, output in answers.singly([work.places[at] for at in work.missing]):
            at = work.missing[number]
            yield work._replace(missing=[at]), asked, {at: output}


def _keep(cell: Cell, asked: AskedBatch, outputs: Outputs, places: Sequence[int]) -> None:
    """Write down what a cell needs of the outputs of a batch, by place in it."""
    kept = []
    for at in places:
        partial = cell.module.reduce(asked.features[at], outputs[at], task=cell.spec, options=cell.options)
        kept.append((asked.places[at][1], partial))
    cell.partials.write(kept)


def _finish(
    cells: Sequence[Cell], *, again: bool = False, on_done: Callable[[PredictStage], None] = lambda _: None
) -> dict[str, CellFailure]:
    """Finish complete cells, `again` = after reading what other processes have written; what cannot be decoded."""
    failures: dict[str, CellFailure] = {}
    for cell in cells:
        if again:
            cell.close()
        try:
            finish_cell(cell)
        except Exception as error:
            failures[cell.stage.key] = failure_of(error, folder=cell.folder)
        else:
            on_done(cell.stage)
    return failures


class AskedTask(NamedTuple):
    """How a task is put to a model."""

    task: TaskSpec
    module: Any
    "The task type, or its prompt route."
    options: Any
    question: Question


def evaluate(
    adapter: Any,
    examples: Sequence[Any],
    features: Sequence[Feature],
    *,
    asked: AskedTask,
    machine: Machine,
    title: str = "",
    alike: bool = False,
) -> float:
    """The task's score (0-100) of a model in memory, without writing anything: selection on English validation rows.

    `title` is what the bar says, which is gone at the end; none is shown without it.  Several processes share the batches and
    make equally many passes, as a model that is divided among them wants it; `alike`: each asks everything, where one answer
    takes passes of a number that is not known before.
    """
    import torch

    task, module, options, question = asked
    tokens = machine.tokens(train=False, weights=TRAINING * adapter.weight_bytes)  # gradients and moments lie there as well
    ceiling = Ceiling(tokens, is_shared=num_ranks() > 1 and machine.sharding == "full")
    mine: dict[int, Any] = {}
    lengths = [num_tokens(feature) for feature in features]
    bar = progress_bar(title, total=sum(lengths), unit="token", scaled=True, shown=bool(title) and not rank())
    batches = planned_batches(lengths, question, tokens=tokens)
    count, place = (1, 0) if alike else (num_ranks(), rank())
    # No `together`: a process that fails within a pass of a divided model cannot tell the others, and ends.
    with torch.no_grad(), bar:
        for first in range(0, len(batches), count):
            own = batches[min(first + place, len(batches) - 1)]
            ceiling.begin(first + place)
            asked_for = [features[i] for i in own]
            outputs = ask_batch(adapter, asked_for, question, device=machine.device, ceiling=ceiling)
            for i, output in zip(own, outputs, strict=True):
                mine[i] = module.reduce(features[i], output, task=task, options=options)
            bar.update(sum(lengths[i] for batch in batches[first : first + count] for i in batch))
            end_together()
    everyone = {i: partial for part in gather(mine) for i, partial in part.items()}
    partials = [np.asarray(everyone[i]) if question.pooling else everyone[i] for i in range(len(features))]
    predictions = module.decode(examples, features, partials, task=task, options=options)
    records = [{name: getattr(p, name) for name in Prediction.__slots__} for p in predictions]
    machine.metrics_at_hand()
    metrics = [use.metric for use in task.metrics]
    return score_value(records, metrics=metrics, score=task.score, lang=task.train_languages[0])
