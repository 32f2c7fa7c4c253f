"""Where outputs come from: a model or a fake in its place, asked batch by batch.

answers = load_answers(stages, root=root, machine=machine)
plans = planned_batches(lengths, question, tokens=4096)
outputs = answers.ask([(cell, number), ...], Ceiling(4096))       # one batch
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
from harness.runtime.budget import Ceiling, ran_out_of_memory
from harness.runtime.loading import load_adapter
from harness.runtime.machine import Machine
from harness.task_types.prompting.encoding import plan_requests


class Answers(NamedTuple):
    """Where outputs come from: a model, or a fake in its place."""

    tokenizer: Any
    max_positions: int | None
    ask: Callable[[Sequence[tuple[Cell, int]], Ceiling], list[Any]]
    tokens: int
    "Padded tokens of a batch: what it wants at a time, or what the machine takes in a forward pass."
    has_own_passes: bool = False
    "It makes forward passes of a batch by itself."
    versions: Mapping[str, str] = {}
    "Of packages in another environment that it computes with."
    close: Callable[[], None] = lambda: None
    num_embeddings: int | None = None
    "Rows of the model's table of words."
    placed: Mapping[str, int] = {}
    "Bytes of the model's weights by where they lie."


def load_answers(stages: Sequence[PredictStage], *, root: Path, machine: Machine) -> Answers:
    """Load the checkpoint of a bundle, with every head that its cells ask."""
    model = stages[0].args.model
    if model.adapter == "fake":
        fake = load_fake(model.extra["kind"], tokenizer=stages[0].knobs.tokenizer)
        tokens = machine.tokens(train=False)
        return Answers(fake.tokenizer, None, lambda chosen, _: [_fake_answer(fake, cell, n) for cell, n in chosen], tokens)
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

    def ask(chosen: Sequence[tuple[Cell, int]], ceiling: Ceiling) -> list[Any]:
        features = [cell.features[n] for cell, n in chosen]
        return ask_batch(adapter, features, chosen[0][0].question, device=machine.device, ceiling=ceiling)

    return Answers(
        adapter.tokenizer,
        adapter.max_positions,
        ask,
        adapter.budget or machine.tokens(train=False, weights=adapter.weight_bytes, streamed=adapter.is_streamed),
        adapter.budget is not None,
        adapter.versions,
        adapter.close,
        num_embeddings=adapter.num_embeddings,
        placed=adapter.placed,
    )


def _fake_answer(fake: Fake, cell: Cell, number: int) -> Output:
    feature = cell.features[number]
    return fake.answer(feature, cell.examples[feature.example], module=cell.module, task=cell.spec, options=cell.options)


def ask_batch(adapter: Any, features: Sequence[Feature], question: Question, *, device: str, ceiling: Ceiling) -> list[Any]:
    """Outputs of one batch; out of memory halves it and all that follow, which changes results by rounding at most."""
    import torch

    if question.asks:
        return _answers_in_words(adapter, features, question, ceiling=ceiling)
    cost = len(features) * max(num_tokens(feature) for feature in features)
    # Batches are planned with the budget there was at first: only what turned out not to fit is cut here.
    if len(features) == 1 or adapter.budget is not None or ceiling.fits(cost):
        try:
            return _outputs(adapter, features, question, device=device)
        except RuntimeError as error:
            if len(features) == 1 or ceiling.is_shared or not ran_out_of_memory(error):
                raise
            ceiling.too_much(cost)
    torch.cuda.empty_cache()
    half = len(features) // 2
    parts = (features[:half], features[half:])
    return [output for part in parts for output in ask_batch(adapter, part, question, device=device, ceiling=ceiling)]


def _answers_in_words(adapter: Any, features: Sequence[Feature], question: Question, *, ceiling: Ceiling) -> list[Any]:
    """What a model says to requests: a text, and to those among them that have continuations their likelihoods."""
    rated = [number for number, feature in enumerate(features) if question.asks == "loglikelihood" or feature.continuations]
    written = [number for number in range(len(features)) if number not in set(rated)]
    found: dict[int, Any] = {}
    for answer, own in ((adapter.generate, written), (adapter.loglikelihood, rated)):
        if own:
            said = _in_own_passes(answer, [features[number] for number in own], adapter, ceiling=ceiling)
            found |= dict(zip(own, said, strict=True))
    return [found[number] for number in range(len(features))]


def _in_own_passes(answer: Any, features: Sequence[Feature], adapter: Any, *, ceiling: Ceiling) -> list[Any]:
    """The answers of a model that makes its forward passes by itself; out of memory makes these smaller."""
    import torch

    longest = max(num_tokens(feature) for feature in features)
    while True:
        try:
            found: list[Any] = answer(features, max_tokens=adapter.budget or ceiling.most)
            return found
        except RuntimeError as error:
            if adapter.budget is not None or ceiling.is_shared or ceiling.most < longest or not ran_out_of_memory(error):
                raise
            ceiling.too_much(ceiling.most)
        torch.cuda.empty_cache()


def _outputs(adapter: Any, features: Sequence[Feature], question: Question, *, device: str) -> list[Any]:
    """An Output of each feature of one batch."""
    batch = collate(features, pad_id=adapter.tokenizer.pad_token_id, device=adapter.batch_device or device)
    outputs: list[Output] = (
        adapter.embed(batch, question.pooling) if question.pooling else adapter.forward_head(batch, question.head)
    )
    return outputs


def planned_batches(lengths: Sequence[int], question: Question, *, tokens: int, has_own_passes: bool = False) -> list[list[int]]:
    """Indices of the features that go to the model together, `tokens` of them at a time.

    Sequences of one length for heads and vectors; neighbours for requests in words: what they share is computed once.
    """
    if not question.asks:
        return plan_batches(lengths, max_tokens=tokens)
    return plan_requests(lengths, max_tokens=tokens, **({"passes": 1} if has_own_passes else {}))
