"""The only prediction loop: all unfinished cells of one checkpoint, loaded once, sorted by length across languages.

    predict_bundle(stages, root=Path("runs"), machine=machine)   # writes predict/<name>-<key>/predictions.jsonl for each

Batches are planned over the whole bundle before finished features are skipped, so that an interrupted run makes the same batches
as an uninterrupted one and gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from harness.batching import collate, plan_batches
from harness.data.examples import load_examples
from harness.devices import Machine
from harness.fakes import Fake, load_fake
from harness.loading import load_adapter
from harness.partials import open_partials, remove_partials
from harness.protocols import Feature, HeadSpec, Output, Pooling, Prediction
from harness.provenance import provenance
from harness.registry import TASK_TYPES
from harness.scoring import score_value
from harness.specs.portable import revive
from harness.specs.task import TaskSpec
from harness.stages import Stage, mark_done, write_text

ENCODE_CHUNK = 1000


class Question(NamedTuple):
    """What an adapter is asked for a feature: one of its heads, or a pooled vector."""

    head: str | None
    pooling: Pooling | None

    @staticmethod
    def of(module: Any, options: Any, *, head: str | None) -> Question:
        """The question of a task type: pooled vectors where the type has no head."""
        pools = getattr(module, "pools", None)
        pooling = pools(options) if pools else None
        return Question(None, pooling) if pooling else Question(head, None)


@dataclass(kw_only=True)
class Cell:
    """One (task, language) of a bundle."""

    stage: Stage
    folder: Path
    machine: Machine
    tokenizer: Any
    rank: int

    @property
    def args(self) -> Any:
        """The stage's arguments."""
        return self.stage.args

    @cached_property
    def spec(self) -> TaskSpec:
        """The task as the stage knows it."""
        return revive(self.args["task"], self.args["spec"])

    @cached_property
    def module(self) -> Any:
        """The task type."""
        return TASK_TYPES.load(self.spec.type)

    @cached_property
    def options(self) -> Any:
        """The options of the task type."""
        return self.module.Options.model_validate(self.args["options"])

    @cached_property
    def question(self) -> Question:
        """What the model is asked."""
        return Question.of(self.module, self.options, head=self.args["head"])

    @cached_property
    def examples(self) -> Sequence[Any]:
        """The test rows, or the seeded sample of them."""
        loaded = load_examples(
            self.spec,
            split="test",
            langs=[self.args["lang"]],
            place=self.machine.place,
            task_folder=self.machine.task_folders.get(self.spec.task),
            limit=self.args.get("limit"),
        )
        return loaded.examples

    @cached_property
    def features(self) -> list[Feature]:
        """The encoded rows."""
        features: list[Feature] = []
        for start in range(0, len(self.examples), ENCODE_CHUNK):
            chunk = self.examples[start : start + ENCODE_CHUNK]
            encoded = self.module.encode(chunk, task=self.spec, tokenizer=self.tokenizer, options=self.options, train=False)
            features += [_shifted(feature, start) for feature in encoded]
        return features

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of each feature; kept on disk, so that batches can be planned without encoding finished cells again."""
        path = self.folder / "lengths.json"
        if not path.is_file():
            write_text(path, json.dumps([len(feature.input_ids) for feature in self.features]))
        found: list[int] = json.loads(path.read_text(encoding="utf-8"))
        return found

    @cached_property
    def partials(self) -> Any:
        """What the model has said so far."""
        return open_partials(self.folder, vectors=self.question.pooling is not None, rank=self.rank)


def _shifted(feature: Feature, by: int) -> Feature:
    if not by:
        return feature
    values = {name: getattr(feature, name) for name in Feature.__slots__}
    return Feature(**{**values, "example": feature.example + by})


def predict_bundle(stages: Sequence[Stage], *, todo: Sequence[Stage], root: Path, machine: Machine) -> None:
    """Predict the cells `todo` of a bundle whose stages all start from one checkpoint; raises what loading raises.

    `stages` is the whole bundle (the finished ones too): it decides which sequences share a batch.
    """
    answers = _answers(todo, root=root, machine=machine)
    rank, num_ranks = _rank()
    keys = {stage.key for stage in todo}
    cells = [
        Cell(stage=stage, folder=stage.folder(root), machine=machine, tokenizer=answers.tokenizer, rank=rank) for stage in stages
    ]
    groups: dict[Question, list[Cell]] = {}
    for cell in tqdm(cells, desc="encode", unit="cell", delay=2, leave=False, disable=not machine.progress):
        if cell.lengths or cell.stage.key in keys:
            groups.setdefault(cell.question, []).append(cell)
    total = sum(sum(cell.lengths) for cell in cells if cell.stage.key in keys)
    with tqdm(total=total, desc="predict", unit="token", unit_scale=True, delay=2, disable=not machine.progress or rank) as bar:
        for question, members in groups.items():
            unfinished = [cell for cell in members if cell.stage.key in keys]
            if unfinished:
                _run_group(answers, question, members, unfinished, machine=machine, bar=bar, ranks=(rank, num_ranks))
    for cell in cells:
        if cell.stage.key in keys:
            cell.partials.close()


def _rank() -> tuple[int, int]:
    """(rank, number of processes) of a distributed run, (0, 1) otherwise."""
    import torch.distributed as dist

    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


class Answers(NamedTuple):
    """Where outputs come from: a model, or a fake in its place."""

    tokenizer: Any
    ask: Callable[[Sequence[tuple[Cell, int]], Question, Machine], list[Output]]


def _answers(stages: Sequence[Stage], *, root: Path, machine: Machine) -> Answers:
    """Load the checkpoint of a bundle, with every head that its cells ask."""
    model = stages[0].args["model"]
    if model["adapter"] == "fake":
        fake = load_fake(model["extra"]["kind"], tokenizer=stages[0].knobs.get("tokenizer"))
        return Answers(fake.tokenizer, lambda chosen, question, machine: [_fake_answer(fake, cell, n) for cell, n in chosen])
    heads: dict[str, HeadSpec] = {}
    labels: dict[str, Sequence[str]] = {}
    for stage in stages:
        if stage.args["head"]:
            spec = revive(stage.args["task"], stage.args["spec"])
            module = TASK_TYPES.load(spec.type)
            heads[stage.args["head"]] = module.head(spec, module.Options.model_validate(stage.args["options"]))
            labels[stage.args["head"]] = spec.labels
    adapter = load_adapter(
        stages[0], root=root, machine=machine, heads=heads, labels=labels, keep_heads=list(heads), inference=True
    )

    def ask(chosen: Sequence[tuple[Cell, int]], question: Question, machine: Machine) -> list[Output]:
        return _ask(adapter, [cell.features[n] for cell, n in chosen], question, machine)

    return Answers(adapter.tokenizer, ask)


def _fake_answer(fake: Fake, cell: Cell, number: int) -> Output:
    feature = cell.features[number]
    return fake.answer(feature, cell.examples[feature.example], module=cell.module, task=cell.spec, options=cell.options)


def _ask(adapter: Any, features: Sequence[Feature], question: Question, machine: Machine) -> list[Output]:
    """Outputs of one batch; out of memory halves it, which changes results by rounding at most."""
    import torch

    batch = collate(features, pad_id=adapter.tokenizer.pad_token_id, device=machine.device)
    try:
        if question.pooling:
            outputs: list[Output] = adapter.embed(batch, question.pooling)
        else:
            outputs = adapter.forward_head(batch, question.head)
        return outputs
    except torch.OutOfMemoryError:
        if len(features) == 1:
            raise
        del batch
        torch.cuda.empty_cache()
        half = len(features) // 2
        return _ask(adapter, features[:half], question, machine) + _ask(adapter, features[half:], question, machine)


def _run_group(
    answers: Answers,
    question: Question,
    members: Sequence[Cell],
    unfinished: Sequence[Cell],
    *,
    machine: Machine,
    bar: Any,
    ranks: Any,
) -> None:
    """Run the batches of cells that ask the same question, and finish each cell as soon as it is complete."""
    index = [(cell, n) for cell in members for n in range(len(cell.lengths))]
    lengths = [length for cell in members for length in cell.lengths]
    waiting = {cell.stage.key for cell in unfinished}
    left = {cell.stage.key: sum(n not in cell.partials for n in range(len(cell.lengths))) for cell in unfinished}
    rank, num_ranks = ranks
    for number, batch in enumerate(plan_batches(lengths, max_tokens=machine.budget(train=False))):
        chosen = [index[i] for i in batch]
        missing = {(cell.stage.key, n) for cell, n in chosen if cell.stage.key in waiting and n not in cell.partials}
        bar.update(sum(lengths[i] for i, (cell, n) in zip(batch, chosen, strict=True) if cell.stage.key in waiting))
        if not missing or number % num_ranks != rank:
            continue
        outputs = answers.ask(chosen, question, machine)
        by_cell: dict[str, list[tuple[int, Any]]] = {}
        cells = {cell.stage.key: cell for cell, _ in chosen}
        for (cell, n), output in zip(chosen, outputs, strict=True):
            if (cell.stage.key, n) in missing:
                partial = cell.module.reduce(cell.features[n], output, task=cell.spec, options=cell.options)
                by_cell.setdefault(cell.stage.key, []).append((n, partial))
        for key, found in by_cell.items():
            cells[key].partials.write(found)
            left[key] -= len(found)
            if not left[key] and num_ranks == 1:
                _finish_cell(cells[key])
                left.pop(key)
    _finish_rest(unfinished, left, ranks)


def _finish_rest(unfinished: Sequence[Cell], left: dict[str, int], ranks: tuple[int, int]) -> None:
    """Finish the cells that the loop did not: all of them after a distributed run, by the first process."""
    rank, num_ranks = ranks
    if num_ranks > 1:
        import torch.distributed as dist

        dist.barrier()
    for cell in unfinished:
        if cell.stage.key in left and rank == 0:
            cell.partials.close()
            del cell.partials
            _finish_cell(cell)
    if num_ranks > 1:
        dist.barrier()


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
        "truncated_examples": sum(prediction.num_truncated > 0 for prediction in predictions),
        "dtype": cell.machine.dtype(cell.args["model"].get("dtype", "auto")),
        **provenance(),
    }
    mark_done(cell.stage, cell.folder.parent.parent, facts)
    cell.partials.close()
    remove_partials(cell.folder)


def _line(prediction: Prediction) -> str:
    record = {name: getattr(prediction, name) for name in Prediction.__slots__}
    return json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n"


def read_predictions(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of a finished cell's predictions.jsonl."""
    with (folder / "predictions.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def evaluate(
    adapter: Any,
    examples: Sequence[Any],
    features: Sequence[Feature],
    *,
    task: TaskSpec,
    options: Any,
    question: Question,
    machine: Machine,
) -> float:
    """The task's score (0-100) of a model in memory, without writing anything: selection on English validation rows."""
    import torch

    module = TASK_TYPES.load(task.type)
    partials: list[Any] = [None] * len(features)
    adapter.module.eval()
    with torch.inference_mode():
        for batch in plan_batches([len(f.input_ids) for f in features], max_tokens=machine.budget(train=False)):
            for i, output in zip(batch, _ask(adapter, [features[i] for i in batch], question, machine), strict=True):
                partials[i] = module.reduce(features[i], output, task=task, options=options)
    if question.pooling:
        partials = [np.asarray(vector) for vector in partials]
    predictions = module.decode(examples, features, partials, task=task, options=options)
    records = [{name: getattr(p, name) for name in Prediction.__slots__} for p in predictions]
    metrics = [use.metric for use in task.metrics]
    return score_value(records, metrics=metrics, score=task.score, lang=task.train_languages[0])
