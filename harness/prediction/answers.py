"""Where outputs come from: a model or a fake in its place, asked batch by batch.

answers = load_answers(stages, root=root, machine=machine)
plans = planned_batches(lengths, question, tokens=4096)
asked = answers.make_ready([(cell, number), ...])                 # one batch, in whatever thread
outputs = answers.begin(asked, Ceiling(4096)).now()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from harness.api.protocols import Batch, Feature, HeadSpec, Output, PendingOutputs
from harness.api.registry import TASK_TYPES
from harness.prediction.batching import collate, made_ready, num_tokens, plan_batches
from harness.prediction.cell import Cell, PredictStage
from harness.prediction.fakes import Fake, load_fake
from harness.prediction.questions import Question
from harness.runtime.budget import Ceiling, ran_out_of_memory
from harness.runtime.loading import load_adapter
from harness.runtime.machine import Machine
from harness.task_types.prompting.encoding import PASSES, plan_requests


class AskedBatch(NamedTuple):
    """Features that are asked together."""

    places: Sequence[tuple[Cell, int]]
    "Each with its cell, and its number there."
    features: Sequence[Feature]
    batch: Batch | None = None
    "In the memory of the host; None for requests in words, whose passes are made otherwise, and for fakes."


class Remote(Protocol):
    """Adapters with `is_remote`: answers come one by one, and only those are asked that are not there."""

    def answer_singly(self, features: Sequence[Feature], *, asks: str) -> Iterator[tuple[int, Output | str]]:
        """(number of the feature, output) of `loglikelihood` or `generate`, in whatever order."""


class Answers(NamedTuple):
    """Where outputs come from: a model, or a fake in its place."""

    tokenizer: Any
    max_positions: int | None
    make_ready: Callable[[Sequence[tuple[Cell, int]]], AskedBatch]
    "What can be done of a batch before the device wants it: features, padded tensors."
    begin: Callable[[AskedBatch, Ceiling], PendingOutputs]
    "Has it computed."
    tokens: int
    "Padded tokens of a batch: what it wants at a time, or what the machine takes in a forward pass."
    has_own_passes: bool = False
    "It makes forward passes of a batch by itself."
    versions: Mapping[str, str] = {}
    "Of packages in another environment that it computes with."
    close: Callable[[], None] = lambda: None
    num_embeddings: int | None = None
    "Rows of the model's table of words."
    computes: bool = False
    "A model does, so that other work fits in beside it."
    placed: Mapping[str, int] = {}
    "Bytes of the model's weights by where they lie."
    singly: Callable[[Sequence[tuple[Cell, int]]], Iterator[tuple[int, Any]]] | None = None
    "Gives (place in the batch, output) one by one, for a model whose answers do not depend on what is asked beside them."
    is_streamed: bool = False
    "Weights are copied to the device for each pass."
    packs: bool = True
    "A pass costs its tokens, whatever their padding."


def load_answers(stages: Sequence[PredictStage], *, root: Path, machine: Machine) -> Answers:
    """Load the checkpoint of a bundle, with every head that its cells ask."""
    model = stages[0].args.model
    if model.adapter == "fake":
        fake = load_fake(model.extra["kind"], tokenizer=stages[0].knobs.tokenizer)
        tokens = machine.tokens(train=False)
        return Answers(fake.tokenizer, None, _features_of, partial(_fake_answers, fake), tokens)
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

    where = adapter.batch_device or machine.device

    def make_ready(chosen: Sequence[tuple[Cell, int]]) -> AskedBatch:
        asked = _features_of(chosen)
        if chosen[0][0].question.asks:
            return asked
        return asked._replace(batch=made_ready(asked.features, pad_id=adapter.tokenizer.pad_token_id, device=where))

    def begin(asked: AskedBatch, ceiling: Ceiling) -> PendingOutputs:
        question = asked.places[0][0].question
        if asked.batch is not None and _is_tried_whole(adapter, asked.features, ceiling):
            try:
                return adapter.begin(asked.batch.on(where), head=question.head, pooling=question.pooling)
            except RuntimeError as error:
                if len(asked.features) == 1 or ceiling.is_shared or not ran_out_of_memory(error):
                    raise
                ceiling.too_much(_cost(asked.features))
        if question.asks == "loglikelihood":
            pending: PendingOutputs = _in_own_passes(adapter.begin_loglikelihood, asked.features, adapter, ceiling=ceiling)
            return pending
        outputs = ask_batch(adapter, asked.features, question, device=machine.device, ceiling=ceiling)
        return PendingOutputs(lambda: outputs)

    def singly(chosen: Sequence[tuple[Cell, int]]) -> Iterator[tuple[int, Any]]:
        remote: Remote = adapter
        asks = chosen[0][0].question.asks
        assert asks is not None, "a server answers in words"
        return remote.answer_singly([cell.features[n] for cell, n in chosen], asks=asks)

    return Answers(
        adapter.tokenizer,
        adapter.max_positions,
        make_ready,
        begin,
        adapter.budget or machine.tokens(train=False, weights=adapter.weight_bytes, streamed=adapter.is_streamed),
        adapter.budget is not None,
        adapter.versions,
        adapter.close,
        num_embeddings=adapter.num_embeddings,
        computes=True,
        placed=adapter.placed,
        singly=singly if adapter.is_remote else None,
        is_streamed=adapter.is_streamed,
        packs=adapter.packs,
    )


def _features_of(chosen: Sequence[tuple[Cell, int]]) -> AskedBatch:
    features = {key: cell.features for key, cell in {cell.stage.key: cell for cell, _ in chosen}.items()}
    return AskedBatch(chosen, [features[cell.stage.key][number] for cell, number in chosen])


def _fake_answers(fake: Fake, asked: AskedBatch, ceiling: Ceiling) -> PendingOutputs:
    found = [_fake_answer(fake, cell, feature) for (cell, _), feature in zip(asked.places, asked.features, strict=True)]
    return PendingOutputs(lambda: found)


def _fake_answer(fake: Fake, cell: Cell, feature: Feature) -> Output:
    return fake.answer(feature, cell.examples[feature.example], module=cell.module, task=cell.spec, options=cell.options)


def _cost(features: Sequence[Feature]) -> int:
    """Padded tokens of a batch."""
    return len(features) * max(num_tokens(feature) for feature in features)


def _is_tried_whole(adapter: Any, features: Sequence[Feature], ceiling: Ceiling) -> bool:
    """Batches are planned with the budget there was at first: only what turned out not to fit is cut."""
    return len(features) == 1 or adapter.budget is not None or not ceiling.learnt or ceiling.fits(_cost(features))


def ask_batch(adapter: Any, features: Sequence[Feature], question: Question, *, device: str, ceiling: Ceiling) -> list[Any]:
    """Outputs of one batch; out of memory halves it and all that follow, which changes results by rounding at most."""
    import torch

    if question.asks:
        return _answers_in_words(adapter, features, question, ceiling=ceiling)
    if _is_tried_whole(adapter, features, ceiling):
        try:
            return _outputs(adapter, features, question, device=device)
        except RuntimeError as error:
            if len(features) == 1 or ceiling.is_shared or not ran_out_of_memory(error):
                raise
            ceiling.too_much(_cost(features))
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


def _in_own_passes(answer: Any, features: Sequence[Feature], adapter: Any, *, ceiling: Ceiling) -> Any:
    """The answers of a model that makes its forward passes by itself; out of memory makes these smaller."""
    import torch

    longest = max(num_tokens(feature) for feature in features)
    while True:
        try:
            return answer(features, max_tokens=adapter.budget or ceiling.most)
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
    return plan_requests(lengths, max_tokens=tokens, passes=passes_of(question, has_own_passes=has_own_passes))


def passes_of(question: Question, *, has_own_passes: bool) -> int:
    """Forward passes of a full batch."""
    return PASSES if question.asks and not has_own_passes else 1
