"""The only prediction loop: all unfinished cells of one checkpoint, loaded once, sorted by length across languages.

    predict_bundle(stages, todo=stages, root=Path("runs"), machine=machine)  # writes predict/<name>-<key>/predictions.jsonl each

Batches are planned before finished features are skipped, so that an interrupted run makes the same batches as an uninterrupted
one and gives the same bytes.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from harness.api.protocols import Feature, HeadSpec, Output, Prediction
from harness.api.registry import TASK_TYPES
from harness.prediction.batching import collate, num_tokens, plan_batches
from harness.prediction.cell import BUNDLE_FILE, Cell, PredictStage, asked_in_order, shared_batches
from harness.prediction.fakes import Fake, load_fake
from harness.prediction.partials import remove_partials
from harness.prediction.questions import Question
from harness.runtime.loading import load_adapter
from harness.runtime.machine import Machine
from harness.runtime.processes import from_first, gather, num_ranks, rank, together
from harness.runtime.provenance import provenance
from harness.runtime.stages import mark_done, write_text
from harness.scoring.score import score_value
from harness.specs.task import TaskSpec
from harness.task_types.prompting.encoding import plan_requests


def predict_bundle(stages: Sequence[PredictStage], *, todo: Sequence[PredictStage], root: Path, machine: Machine) -> None:
    """Predict the cells `todo` of a bundle whose stages all start from one checkpoint; raises what loading raises.

    `stages` is the whole bundle: finished cells of an interrupted run still decide which sequences share a batch.
    """
    with together():
        answers = _answers(todo, root=root, machine=machine)
    with contextlib.closing(answers):
        shared = from_first(lambda: [[stage.key for stage in group] for group in shared_batches(stages, todo=todo, root=root)])
        by_key = {stage.key: stage for stage in stages}
        keys = {stage.key for stage in todo}
        with together():
            groups = _encoded([[by_key[key] for key in group] for group in shared], answers, root=root, machine=machine)
        total = sum(sum(cell.lengths) for group in groups for cell in group if cell.stage.key in keys)
        show = machine.progress and not rank()
        with tqdm(total=total, desc="predict", unit="token", unit_scale=True, delay=2, disable=not show) as bar:
            for members in groups:
                unfinished = [cell for cell in members if cell.stage.key in keys]
                if unfinished:
                    try:
                        _run_group(answers, members, unfinished, bar=bar)
                    finally:
                        for cell in unfinished:
                            cell.close()


def _encoded(shared: Sequence[Sequence[PredictStage]], answers: Answers, *, root: Path, machine: Machine) -> list[list[Cell]]:
    """Cells with their lengths, in groups that share batches: those planned together that ask the model the same."""
    groups: dict[tuple[int, Question], list[Cell]] = {}
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
        cell.measure()  # here, so that the bar says what is going on
        groups.setdefault((number, cell.question), []).append(cell)
    # Vectors last: an engine of its own makes them, and takes the place of the one for words.
    return sorted(groups.values(), key=lambda cells: cells[0].question.pooling is not None)


class Answers(NamedTuple):
    """Where outputs come from: a model, or a fake in its place."""

    tokenizer: Any
    max_positions: int | None
    ask: Callable[[Sequence[tuple[Cell, int]]], list[Any]]
    budget: int | None = None
    "Tokens that it wants at a time; None = what the machine takes in a forward pass."
    versions: Mapping[str, str] = {}
    "Of packages in another environment that it computes with."
    close: Callable[[], None] = lambda: None
    num_embeddings: int | None = None
    "Rows of the model's table of words."


def _answers(stages: Sequence[PredictStage], *, root: Path, machine: Machine) -> Answers:
    """Load the checkpoint of a bundle, with every head that its cells ask."""
    model = stages[0].args.model
    if model.adapter == "fake":
        fake = load_fake(model.extra["kind"], tokenizer=stages[0].knobs.tokenizer)
        return Answers(fake.tokenizer, None, lambda chosen: [_fake_answer(fake, cell, n) for cell, n in chosen])
    heads: dict[str, HeadSpec] = {}
    labels: dict[str, Sequence[str]] = {}
    for args in (stage.args for stage in stages):
        if args.head:
            spec = args.task_spec
            module = TASK_TYPES.load(spec.type)
            heads[args.head] = module.head(spec, module.Options.model_validate(args.options))
            labels[args.head] = spec.labels
    kept = {name: name for name in heads}
    adapter: Any = load_adapter(stages[0], root=root, machine=machine, heads=heads, labels=labels, keep_heads=kept)

    def ask(chosen: Sequence[tuple[Cell, int]]) -> list[Any]:
        return _ask(adapter, [cell.features[n] for cell, n in chosen], chosen[0][0].question, machine)

    return Answers(
        adapter.tokenizer,
        adapter.max_positions,
        ask,
        adapter.budget,
        adapter.versions,
        adapter.close,
        num_embeddings=adapter.num_embeddings,
    )


def _fake_answer(fake: Fake, cell: Cell, number: int) -> Output:
    feature = cell.features[number]
    return fake.answer(feature, cell.examples[feature.example], module=cell.module, task=cell.spec, options=cell.options)


def _ask(adapter: Any, features: Sequence[Feature], question: Question, machine: Machine) -> list[Any]:
    """Outputs of one batch; out of memory halves it and all that follow, which changes results by rounding at most."""
    import torch

    cost = len(features) * max(num_tokens(feature) for feature in features)
    # Batches are planned with the budget there was at first: only what turned out not to fit is cut here.
    if len(features) == 1 or adapter.budget is not None or machine.fits(cost):
        try:
            return _outputs(adapter, features, question, machine)
        except torch.OutOfMemoryError:
            if len(features) == 1:
                raise
            machine.remember_too_much(cost)
    torch.cuda.empty_cache()
    half = len(features) // 2
    return _ask(adapter, features[:half], question, machine) + _ask(adapter, features[half:], question, machine)


def _outputs(adapter: Any, features: Sequence[Feature], question: Question, machine: Machine) -> list[Any]:
    """What an adapter says to one batch: an Output for each feature, or a text."""
    if question.asks:
        answer = adapter.generate if question.asks == "generate" else adapter.loglikelihood
        found: list[Any] = answer(features, max_tokens=adapter.budget or machine.budget(train=False))
        return found
    device = adapter.batch_device or machine.device
    batch = collate(features, pad_id=adapter.tokenizer.pad_token_id, device=device)
    outputs: list[Output] = (
        adapter.embed(batch, question.pooling) if question.pooling else adapter.forward_head(batch, question.head)
    )
    return outputs


def _planned(lengths: Sequence[int], question: Question, *, machine: Machine, budget: int | None = None) -> list[list[int]]:
    """Indices of the features that go to the model together; `budget` is what the adapter wants at a time, if it says so.

    Sequences of one length for heads and vectors; neighbours for requests in words: what they share is computed once.
    """
    max_tokens = budget or machine.budget(train=False)
    if not question.asks:
        return plan_batches(lengths, max_tokens=max_tokens)
    return plan_requests(lengths, max_tokens=max_tokens, **({"passes": 1} if budget else {}))


def _run_group(answers: Answers, members: Sequence[Cell], unfinished: Sequence[Cell], *, bar: Any) -> None:
    """Run the batches of cells that ask the same question, and finish each cell as soon as it is complete."""
    machine = members[0].machine
    alone = num_ranks() == 1
    left: dict[str, int] = {}
    with together():
        index = asked_in_order(members)
        lengths = [cell.lengths[n] for cell, n in index]
        waiting = {cell.stage.key: cell for cell in unfinished}
        left |= {key: sum(n not in cell.partials for n in range(len(cell.lengths))) for key, cell in waiting.items()}
        plans = _planned(lengths, members[0].question, machine=machine, budget=answers.budget)
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
                    _finish_cell(waiting[key])
                    left.pop(key)
        for cell in unfinished:
            if cell.stage.key in left:
                cell.partials.close()
    from_first(lambda: _finish_rest([cell for cell in unfinished if cell.stage.key in left]))


def _finish_rest(cells: Sequence[Cell]) -> None:
    """Finish the cells that the loop did not: all of them where several processes have worked, and those without a batch."""
    for cell in cells:
        cell.close()  # read again: other processes have written too
        _finish_cell(cell)


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
        plans = _planned([num_tokens(f) for f in features], question, machine=machine)
        for batch in plans[rank() :: num_ranks()]:
            for i, output in zip(batch, _ask(adapter, [features[i] for i in batch], question, machine), strict=True):
                mine[i] = module.reduce(features[i], output, task=task, options=options)
    everyone = {i: partial for part in gather(mine) for i, partial in part.items()}
    partials = [np.asarray(everyone[i]) if question.pooling else everyone[i] for i in range(len(features))]
    predictions = module.decode(examples, features, partials, task=task, options=options)
    records = [{name: getattr(p, name) for name in Prediction.__slots__} for p in predictions]
    metrics = [use.metric for use in task.metrics]
    return score_value(records, metrics=metrics, score=task.score, lang=task.train_languages[0])
