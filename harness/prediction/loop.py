"""The only prediction loop: all unfinished cells of one checkpoint, loaded once, sorted by length across languages.

    predict_bundle(stages, todo=stages, root=Path("runs"), machine=machine)  # writes predict/<name>-<key>/predictions.jsonl each

Batches are planned before finished features are skipped, so that an interrupted run makes the same batches as an uninterrupted
one and gives the same bytes.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from harness.api.protocols import Feature, Prediction
from harness.prediction.answers import Answers, ask_batch, load_answers, planned_batches
from harness.prediction.batching import num_tokens
from harness.prediction.cell import BUNDLE_FILE, Cell, PredictStage, asked_in_order, forget_cells, shared_batches
from harness.prediction.failures import CellFailure, failure_of, merged
from harness.prediction.partials import remove_partials
from harness.prediction.questions import Question
from harness.runtime.machine import Machine
from harness.runtime.processes import from_first, gather, num_ranks, rank, together
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
        shared = from_first(lambda: [[stage.key for stage in group] for group in shared_batches(stages, todo=todo, root=root)])
        by_key = {stage.key: stage for stage in stages}
        keys = {stage.key for stage in todo}
        with together():
            groups, own = _encoded([[by_key[key] for key in group] for group in shared], answers, root=root, machine=machine)
        failures = merged(gather(own))
        if failures:
            from_first(lambda: forget_cells(shared, lost=set(failures), todo=todo, root=root))
            groups = [left for group in groups if (left := [cell for cell in group if cell.stage.key not in failures])]
        total = sum(sum(cell.lengths) for group in groups for cell in group if cell.stage.key in keys)
        show = machine.progress and not rank()
        with tqdm(total=total, desc="predict", unit="token", unit_scale=True, delay=2, disable=not show) as bar:
            for members in groups:
                unfinished = [cell for cell in members if cell.stage.key in keys]
                if unfinished:
                    failures |= _group_failures(answers, members, unfinished, bar=bar, root=root)
    return {key: failure for key, failure in failures.items() if key in keys}


def _group_failures(
    answers: Answers, members: Sequence[Cell], unfinished: Sequence[Cell], *, bar: Any, root: Path
) -> dict[str, CellFailure]:
    """Run the cells that ask the model the same; what failed of them, the same in every process."""
    try:
        return _run_group(answers, members, unfinished, bar=bar)
    except Exception as error:
        failure = failure_of(error, folder=root)
        return {cell.stage.key: failure for cell in unfinished if not cell.stage.is_done(root)}
    finally:
        for cell in unfinished:
            cell.close()


def _encoded(
    shared: Sequence[Sequence[PredictStage]], answers: Answers, *, root: Path, machine: Machine
) -> tuple[list[list[Cell]], dict[str, CellFailure]]:
    """Cells with their lengths, in groups that share batches (those planned together that ask the same), and what failed."""
    groups: dict[tuple[int, Question], list[Cell]] = {}
    failures: dict[str, CellFailure] = {}
    everything = [(number, stage) for number, group in enumerate(shared) for stage in group]
    show = machine.progress and not rank()
    for number, stage in tqdm(everything, desc="encode", unit="cell", delay=2, leave=False, disable=not show):
        cell = Cell(
            stage=stage,
            folder=stage.folder(root),
            machine=machine,
            tokenizer=answers.tokenizer,
            max_positions=answers.max_positions,
            num_embeddings=answers.num_embeddings,
            versions=answers.versions,
        )
        try:
            cell.measure()  # here, so that the bar says what is going on
            groups.setdefault((number, cell.question), []).append(cell)
        except Exception as error:
            failures[stage.key] = failure_of(error, folder=root)
    # Vectors last: an engine of its own makes them, and takes the place of the one for words.
    return sorted(groups.values(), key=lambda cells: cells[0].question.pooling is not None), failures


def _run_group(answers: Answers, members: Sequence[Cell], unfinished: Sequence[Cell], *, bar: Any) -> dict[str, CellFailure]:
    """Run the batches of cells that ask the same question, and finish each cell as soon as it is complete; what cannot be."""
    failures: dict[str, CellFailure] = {}
    machine = members[0].machine
    alone = num_ranks() == 1
    left: dict[str, int] = {}
    with together():
        index = asked_in_order(members)
        lengths = [cell.lengths[n] for cell, n in index]
        waiting = {cell.stage.key: cell for cell in unfinished}
        left |= {key: sum(n not in cell.partials for n in range(len(cell.lengths))) for key, cell in waiting.items()}
        plans = planned_batches(lengths, members[0].question, machine=machine, budget=answers.budget)
        for number, batch in enumerate(plans):
            chosen = [index[i] for i in batch]
            missing = [
                at for at, (c, n) in enumerate(chosen) if c.stage.key in waiting and n not in waiting[c.stage.key].partials
            ]
            bar.update(sum(lengths[i] for i, (cell, _) in zip(batch, chosen, strict=True) if cell.stage.key in waiting))
            if not missing or number % num_ranks() != rank():
                continue
            outputs = answers.ask(chosen)
            found: dict[str, list[tuple[int, Any]]] = {}
            for at in missing:
                cell, n = chosen[at]
                partial = cell.module.reduce(cell.features[n], outputs[at], task=cell.spec, options=cell.options)
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
        "dtype": cell.machine.dtype(cell.args.model.dtype),
        "arithmetic": cell.machine.arithmetic(cell.args.model.dtype),
        **provenance(),
    }
    facts["versions"] = {**facts["versions"], **cell.versions}
    mark_done(cell.stage, cell.folder.parent.parent, facts)
    cell.partials.close()
    clean(cell.folder)


def clean(folder: Path) -> None:
    """Remove what only an unfinished prediction needs; called when done.json stands."""
    remove_partials(folder)
    (folder / BUNDLE_FILE).unlink(missing_ok=True)


def _line(prediction: Prediction) -> str:
    record = {name: getattr(prediction, name) for name in Prediction.__slots__}
    for name in ("scores", "answer"):
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
) -> float:
    """The task's score (0-100) of a model in memory, without writing anything: selection on English validation rows."""
    import torch

    task, module, options, question = asked
    mine: dict[int, Any] = {}
    with together(), torch.inference_mode():
        plans = planned_batches([num_tokens(f) for f in features], question, machine=machine)
        for batch in plans[rank() :: num_ranks()]:
            for i, output in zip(batch, ask_batch(adapter, [features[i] for i in batch], question, machine), strict=True):
                mine[i] = module.reduce(features[i], output, task=task, options=options)
    everyone = {i: partial for part in gather(mine) for i, partial in part.items()}
    partials = [np.asarray(everyone[i]) if question.pooling else everyone[i] for i in range(len(features))]
    predictions = module.decode(examples, features, partials, task=task, options=options)
    records = [{name: getattr(p, name) for name in Prediction.__slots__} for p in predictions]
    metrics = [use.metric for use in task.metrics]
    return score_value(records, metrics=metrics, score=task.score, lang=task.train_languages[0])
