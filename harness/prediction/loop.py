"""The only prediction loop: all unfinished cells of one checkpoint, loaded once, sorted by length across languages.

    predict_bundle(stages, todo=stages, root=Path("runs"), machine=machine)  # writes predict/<name>-<key>/predictions.jsonl each

Batches are planned before finished features are skipped, so that an interrupted run makes the same batches as an uninterrupted
one and gives the same bytes.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.api.progress import ProgressBar, progress_bar, progress_over
from harness.api.protocols import Feature, Prediction
from harness.prediction.answers import Answers, ask_batch, load_answers, planned_batches
from harness.prediction.batching import num_tokens
from harness.prediction.bundles import SharedBatches, forget_cells, recorded_ceiling, remove_bundle_files, shared_batches
from harness.prediction.cell import Cell, PredictStage, asked_in_order
from harness.prediction.failures import CellFailure, failure_of, merged
from harness.prediction.partials import remove_partials
from harness.prediction.questions import Question
from harness.runtime.budget import TRAINING, Ceiling
from harness.runtime.machine import Machine
from harness.runtime.processes import end_together, from_first, gather, num_ranks, rank, together
from harness.runtime.provenance import provenance
from harness.runtime.stages import mark_done, write_text
from harness.scoring.score import score_value
from harness.specs.task import TaskSpec


def predict_bundle(
    stages: Sequence[PredictStage], *, todo: Sequence[PredictStage], root: Path, machine: Machine
) -> dict[str, CellFailure]:
    """Predict the cells `todo` of a bundle whose stages all start from one checkpoint; raises what loading raises.

    `stages` is the whole bundle: finished cells of an interrupted run still decide which sequences share a batch.  Returns by
    stage key what failed: a cell whose rows cannot be read or encoded is left out, and the others get the batches of a bundle
    without it.
    """
    with together():
        answers = load_answers(todo, root=root, machine=machine)
    with contextlib.closing(answers):
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
                    failures |= _group_failures(answers, group, unfinished, bar=bar, root=root)
    return {key: failure for key, failure in failures.items() if key in keys}


class _Group(NamedTuple):
    """Cells whose features share batches, and that ask the same."""

    cells: list[Cell]
    tokens: int

    def without(self, lost: Mapping[str, CellFailure]) -> _Group:
        return _Group([cell for cell in self.cells if cell.stage.key not in lost], self.tokens)


def _group_failures(
    answers: Answers, group: _Group, unfinished: Sequence[Cell], *, bar: ProgressBar, root: Path
) -> dict[str, CellFailure]:
    """Run the cells that ask the model the same; what failed of them, the same in every process."""
    try:
        return _run_group(answers, group, unfinished, bar=bar)
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


def _run_group(answers: Answers, group: _Group, unfinished: Sequence[Cell], *, bar: ProgressBar) -> dict[str, CellFailure]:
    """Run the batches of cells that ask the same question, and finish each cell as soon as it is complete; what cannot be."""
    failures: dict[str, CellFailure] = {}
    alone = num_ranks() == 1
    left: dict[str, int] = {}
    with together():
        index = asked_in_order(group.cells)
        lengths = [cell.lengths[n] for cell, n in index]
        waiting = {cell.stage.key: cell for cell in unfinished}
        left |= {key: sum(n not in cell.partials for n in range(len(cell.lengths))) for key, cell in waiting.items()}
        question, own_passes = group.cells[0].question, answers.has_own_passes
        ceiling = recorded_ceiling(unfinished, tokens=group.tokens, rank=rank())
        for number, batch in enumerate(planned_batches(lengths, question, tokens=group.tokens, has_own_passes=own_passes)):
            chosen = [index[i] for i in batch]
            missing = [
                at for at, (c, n) in enumerate(chosen) if c.stage.key in waiting and n not in waiting[c.stage.key].partials
            ]
            bar.update(sum(lengths[i] for i, (cell, _) in zip(batch, chosen, strict=True) if cell.stage.key in waiting))
            if not missing or number % num_ranks() != rank():
                continue
            ceiling.begin(number)
            for outputs in answers.of_batch(chosen, missing, ceiling):
                found: dict[str, list[tuple[int, Any]]] = {}
                for at, output in outputs:
                    cell, n = chosen[at]
                    partial = cell.module.reduce(cell.features[n], output, task=cell.spec, options=cell.options)
                    found.setdefault(cell.stage.key, []).append((n, partial))
                for key, partials in found.items():
                    waiting[key].partials.write(partials)
                    left[key] -= len(partials)
                    if not left[key] and alone:
                        failures |= _finish([waiting[key]])
                        left.pop(key)
        for cell in unfinished:
            if cell.stage.key in left:
                cell.partials.close()
    # All of them where several processes have worked, and those without a batch.
    return failures | from_first(lambda: _finish([cell for cell in unfinished if cell.stage.key in left], again=True))


def _finish(cells: Sequence[Cell], *, again: bool = False) -> dict[str, CellFailure]:
    """Finish complete cells, `again` = after reading what other processes have written; what cannot be decoded."""
    failures: dict[str, CellFailure] = {}
    for cell in cells:
        if again:
            cell.close()
        try:
            _finish_cell(cell)
        except Exception as error:
            failures[cell.stage.key] = failure_of(error, folder=cell.folder)
    return failures


def _finish_cell(cell: Cell) -> None:
    """Decode a complete cell into predictions.jsonl and mark its stage done."""
    partials = cell.partials.read(len(cell.features))
    assert partials is not None, f"{cell.stage.name}: features are missing"
    predictions = cell.module.decode(cell.examples, cell.features, partials, task=cell.spec, options=cell.options)
    write_text(cell.folder / "predictions.jsonl", "".join(_line(prediction) for prediction in predictions))

    facts = {
        "examples": len(predictions),
        "features": len(cell.features),
        "tokens": sum(cell.lengths),
        **cell.token_facts(),
        "truncated_examples": sum(prediction.num_truncated > 0 for prediction in predictions),
        **cell.computing(),
        **provenance(),
    }
    facts["versions"] = {**facts["versions"], **cell.versions}
    mark_done(cell.stage, cell.folder.parent.parent, facts)
    cell.partials.close()
    clean(cell.folder)


def clean(folder: Path) -> None:
    """Remove what only an unfinished prediction needs; called when done.json stands."""
    remove_partials(folder)
    remove_bundle_files(folder)


def _line(prediction: Prediction) -> str:
    record = {name: getattr(prediction, name) for name in Prediction.__slots__}
    for name in ("scores", "answer", "thoughts"):
        if record[name] is None:
            del record[name]
    return json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n"


def read_predictions(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of a finished cell's predictions.jsonl."""
    with (folder / "predictions.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


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
