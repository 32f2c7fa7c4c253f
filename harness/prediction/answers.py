"""Where outputs come from: a model or a fake in its place, asked batch by batch.

answers = load_answers(stages, root=root, machine=machine)
plans = planned_batches(lengths, question, machine=machine, budget=answers.budget)
outputs = answers.ask([(cell, number), ...])       # one batch
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.api.protocols import Feature, HeadSpec, Output
from harness.api.registry import TASK_TYPES
from harness.prediction.batching import collate, num_tokens, plan_batches
from harness.prediction.cell import Cell, PredictStage
from harness.prediction.fakes import Fake, load_fake
from harness.prediction.questions import Question
from harness.runtime.loading import load_adapter
from harness.runtime.machine import Machine
from harness.task_types.prompting.encoding import plan_requests


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


def load_answers(stages: Sequence[PredictStage], *, root: Path, machine: Machine) -> Answers:
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
        return ask_batch(adapter, [cell.features[n] for cell, n in chosen], chosen[0][0].question, machine)

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


def ask_batch(adapter: Any, features: Sequence[Feature], question: Question, machine: Machine) -> list[Any]:
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
    return ask_batch(adapter, features[:half], question, machine) + ask_batch(adapter, features[half:], question, machine)


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


def planned_batches(
    lengths: Sequence[int], question: Question, *, machine: Machine, budget: int | None = None
) -> list[list[int]]:
    """Indices of the features that go to the model together; `budget` is what the adapter wants at a time, if it says so.

    Sequences of one length for heads and vectors; neighbours for requests in words: what they share is computed once.
    """
    max_tokens = budget or machine.budget(train=False)
    if not question.asks:
        return plan_batches(lengths, max_tokens=max_tokens)
    return plan_requests(lengths, max_tokens=max_tokens, **({"passes": 1} if budget else {}))
