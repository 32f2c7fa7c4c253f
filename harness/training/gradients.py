"""Gradients of one recipe batch, whatever the device's batch size and however many processes share the work.

    batch = work.batch(groups)                         # tokens of its passes, still in the memory of the host
    loss = batch_gradients(work, batch, step=17)       # parameters hold the gradients of the mean loss over the batch's targets

The loss is summed over pieces that fit the device and divided by the targets of the whole batch.  Losses with in-batch negatives
are computed over the whole batch by gradient caching (Gao et al. 2021, arXiv 2101.06983).  Dropout is drawn per (seed, step,
piece): a resumed run, and a second pass over a piece, draw the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.api.errors import UserError
from harness.api.placing import placed
from harness.api.protocols import Batch, Feature
from harness.api.randomness import seed_of
from harness.prediction.batching import made_ready, plan_batches, plan_packed_batches
from harness.prediction.questions import Question
from harness.runtime.budget import TrainingBudget, ran_out_of_memory
from harness.runtime.machine import Machine
from harness.runtime.processes import add_up, num_ranks, rank
from harness.training.passes import PassShare, plan_passes
from harness.training.precision import Precision
from harness.training.sharding import add_up_next

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a loss is computed with."""

    adapter: Any
    module: Any
    "The task type."
    options: Any
    question: Question
    machine: Machine
    budget: TrainingBudget
    "The same for all components."
    precision: Precision
    seed: int
    one_pass_per_example: bool = False
    "The loss sets the features of an example against each other: they stay in one piece."

    def pieces(self, features: Sequence[Feature]) -> list[list[int]]:
        """Indices of features by forward pass."""
        if not self.one_pass_per_example:
            return self._cut([len(feature.input_ids) for feature in features])
        examples: dict[int, list[int]] = {}
        for index, feature in enumerate(features):
            examples.setdefault(feature.example, []).append(index)
        own = list(examples.values())
        costs = [self.cost([features[i] for i in indices]) for indices in own]
        return [[i for n in piece for i in own[n]] for piece in self._cut(costs)]

    def cost(self, features: Sequence[Feature]) -> int:
        """Tokens of a pass over some features, padding included where it is computed."""
        lengths = [len(feature.input_ids) for feature in features]
        return sum(lengths) if self.adapter.packs else len(lengths) * max(lengths)

    def _cut(self, costs: Sequence[int]) -> list[list[int]]:
        """Numbers of what costs so many tokens, by pass."""
        plan = plan_packed_batches if self.adapter.packs else plan_batches
        return plan(costs, max_tokens=self.budget.tokens)

    def batch(self, groups: Sequence[list[Feature]]) -> RecipeBatch:
        """A recipe batch of items (groups of features), cut as the budget is now."""
        features = [feature for group in groups for feature in group]
        plan = plan_passes(groups, pieces=self.pieces, processes=num_ranks())
        own, needs_whole = plan.of(rank()), self.module.WHOLE_BATCH_LOSS and not plan.is_one
        if not needs_whole:
            own = [piece._replace(indices=sorted(piece.indices)) for piece in own]
        return RecipeBatch(
            groups=groups,
            num_targets=max(1, self.module.num_targets(features)),
            pieces=own,
            ready=[self._ready([features[i] for i in piece.indices]) for piece in own],
            whole=self._ready(features) if needs_whole else None,
        )

    def _ready(self, features: Sequence[Feature]) -> Batch:
        return made_ready(features, pad_id=self.adapter.tokenizer.pad_token_id, device=self.machine.device)


@dataclass(frozen=True, kw_only=True)
class RecipeBatch:
    """What one step needs, with the tokens of this process's passes in the memory of the host."""

    groups: Sequence[list[Feature]]
    num_targets: int
    pieces: Sequence[PassShare]
    "Of this process."
    ready: Sequence[Batch]
    "Of each of them."
    whole: Batch | None
    "All features in order, where the loss is over all outputs and these come in several pieces or from several processes."

    @property
    def features(self) -> list[Feature]:
        """Those of all items, in order."""
        return [feature for group in self.groups for feature in group]

    @property
    def num_tokens(self) -> int:
        """Tokens of all of them."""
        return sum(len(feature.input_ids) for group in self.groups for feature in group)


def batch_gradients(work: Work, batch: RecipeBatch, *, step: int, meanwhile: Callable[[], None] = lambda: None) -> float:
    """Gradients of the mean loss over the targets of a recipe batch; returns that loss, the same in every process.

    `meanwhile` is called before the loss is looked at: what a host does there a GPU that computes the passes does not wait for.
    Out of memory: a process alone makes the same step again in pieces of half the size.  Where several work together the others
    wait within the pass that failed, so that nothing is left but to end: a UserError, which is torchrun's to tell the others.
    """
    import torch

    while True:
        try:
            loss = (_cached if batch.whole else _summed)(work, batch, step=step)
            break
        except RuntimeError as error:
            if not ran_out_of_memory(error):
                raise
            work.adapter.module.zero_grad()
            longest = max(len(feature.input_ids) for feature in batch.features)
            least = max(work.cost(group) for group in batch.groups) if work.one_pass_per_example else longest
            if work.budget.tokens <= least or num_ranks() > 1:
                raise _too_much(work, longest, step) from error
            work.budget.halve()
            torch.cuda.empty_cache()
            batch = work.batch(batch.groups)
    meanwhile()
    return float(add_up(torch.as_tensor(loss, device=work.machine.device, dtype=torch.float32)))


def _too_much(work: Work, longest: int, step: int) -> UserError:
    """What to say where memory is short for good."""
    todo = "gradient_checkpointing: true, a shorter max_length, or a larger device"
    if num_ranks() > 1 and work.budget.tokens > longest:
        what = f"out of memory with {work.budget.tokens} tokens in process {rank()}"
        todo = f"the same command with --batch_tokens {max(longest, work.budget.tokens // 2)}; or {todo}"
    else:
        what = f"out of memory with one sequence of {longest} tokens"
    return UserError(what, where=f"training step {step + 1}", todo=todo)


def ask(work: Work, batch: Batch, *, step: int, piece: PassShare) -> torch.Tensor:
    """Outputs with the dropout of this piece."""
    seed_devices(seed_of("dropout", step, piece.number, seed=work.seed) >> 1, device=work.machine.device)
    with work.precision.autocast():
        outputs: torch.Tensor = work.adapter.module(batch, head=work.question.head, pooling=work.question.pooling)
    return outputs


def seed_devices(seed: int, *, device: str) -> None:
    """What `torch.manual_seed` does for a CPU and GPUs.

    That also keeps a seed, with the stack of the call, for each kind of device that is not here: 0.3 ms in every pass.
    """
    import torch

    if not device.startswith(("cpu", "cuda")):
        torch.manual_seed(seed)
        return
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


def _backward(work: Work, loss: torch.Tensor, *, last: bool) -> None:
    """A backward pass; the last one of the step adds up the gradients of all processes."""
    # With a part of every weight no process has room for gradients of all of them: they are added up after each pass.
    add_up_next(work.adapter.module, now=last or work.machine.sharding == "full")
    work.precision.scaled(loss).backward()


def _summed(work: Work, batch: RecipeBatch, *, step: int) -> Any:
    """Backward passes over this process's pieces; returns its part of the loss."""
    total: Any = 0.0
    for at, (piece, ready) in enumerate(zip(batch.pieces, batch.ready, strict=True), start=1):
        own = ready.on(work.machine.device)
        loss = work.module.loss(ask(work, own, step=step, piece=piece), own, work.options) / batch.num_targets
        if not piece.counts:
            loss = loss * 0.0
        _backward(work, loss, last=at == len(batch.pieces))
        total += loss.detach().float()
    return total


def _cached(work: Work, batch: RecipeBatch, *, step: int) -> Any:
    """A loss over all outputs of the recipe batch: outputs without graph, their gradients, then one backward per piece."""
    import torch

    assert batch.whole is not None
    device = work.machine.device
    own, whole = [ready.on(device) for ready in batch.ready], batch.whole.on(device)
    with torch.no_grad():
        found = [ask(work, one, step=step, piece=piece).float() for one, piece in zip(own, batch.pieces, strict=True)]
    outputs = torch.zeros(len(whole.features), found[0].shape[-1], device=device)
    places = [placed(np.array(piece.indices), outputs.device) for piece in batch.pieces]
    for piece, place, vectors in zip(batch.pieces, places, found, strict=True):
        if piece.counts:
            outputs.index_copy_(0, place, vectors)
    add_up(outputs).requires_grad_()
    loss = work.module.loss(outputs, whole, work.options) / batch.num_targets
    (gradient,) = torch.autograd.grad(loss, outputs)
    for at, (piece, place, one) in enumerate(zip(batch.pieces, places, own, strict=True), start=1):
        vectors = ask(work, one, step=step, piece=piece)
        weight = gradient.index_select(0, place) if piece.counts else torch.zeros_like(vectors, dtype=torch.float32)
        _backward(work, (vectors.float() * weight).sum(), last=at == len(batch.pieces))
    return loss.detach() if rank() == 0 else 0.0
