"""Gradients of one recipe batch, whatever the device's batch size and however many processes share the work.

    loss = batch_gradients(work, groups, step=17)      # parameters hold the gradients of the mean loss over the batch's targets

The loss is summed over pieces that fit the device and divided by the targets of the whole batch.  Losses with in-batch negatives
are computed over the whole batch by gradient caching (Gao et al. 2021, arXiv 2101.06983).  Dropout is drawn per (seed, step,
piece): a resumed run, and a second pass over a piece, draw the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.api.errors import UserError
from harness.api.protocols import Feature
from harness.api.randomness import seed_of
from harness.prediction.batching import collate, plan_batches, plan_packed_batches
from harness.prediction.questions import Question
from harness.runtime.budget import TrainingBudget, ran_out_of_memory
from harness.runtime.machine import Machine
from harness.runtime.processes import add_up, num_ranks, rank
from harness.training.passes import PassShare, StepPlan, plan_passes
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


def batch_gradients(work: Work, groups: Sequence[list[Feature]], *, step: int) -> float:
    """Gradients of the mean loss over the targets of a recipe batch; returns that loss, the same in every process.

    Out of memory: a process alone makes the same step again in pieces of half the size.  Where several work together the others
    wait within the pass that failed, so that nothing is left but to end: a UserError, which is torchrun's to tell the others.
    """
    import torch

    features = [feature for group in groups for feature in group]
    num_targets = max(1, work.module.num_targets(features))
    longest = max(len(feature.input_ids) for feature in features)
    least = max(work.cost(group) for group in groups) if work.one_pass_per_example else longest
    while True:
        try:
            plan = plan_passes(groups, pieces=work.pieces, processes=num_ranks())
            way = _summed if not work.module.WHOLE_BATCH_LOSS else _direct if plan.is_one else _cached
            loss = way(work, features, plan, num_targets=num_targets, step=step)
            break
        except RuntimeError as error:
            if not ran_out_of_memory(error):
                raise
            work.adapter.module.zero_grad()
            if work.budget.tokens <= least or num_ranks() > 1:
                raise _too_much(work, longest, step) from error
            work.budget.halve()
            torch.cuda.empty_cache()
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


def _batch(work: Work, features: Sequence[Feature]) -> Any:
    return collate(features, pad_id=work.adapter.tokenizer.pad_token_id, device=work.machine.device)


def _ask(work: Work, batch: Any, *, step: int, piece: PassShare) -> torch.Tensor:
    """Outputs with the dropout of this piece."""
    import torch

    torch.manual_seed(seed_of("dropout", step, piece.number, seed=work.seed) >> 1)
    with work.precision.autocast():
        outputs: torch.Tensor = work.adapter.module(batch, head=work.question.head, pooling=work.question.pooling)
    return outputs


def _backward(work: Work, loss: torch.Tensor, *, last: bool) -> None:
    """A backward pass; the last one of the step adds up the gradients of all processes."""
    # With a part of every weight no process has room for gradients of all of them: they are added up after each pass.
    add_up_next(work.adapter.module, now=last or work.machine.sharding == "full")
    work.precision.scaled(loss).backward()


def _summed(work: Work, features: Sequence[Feature], plan: StepPlan, *, num_targets: int, step: int) -> Any:
    """Backward passes over this process's pieces; returns its part of the loss."""
    total: Any = 0.0
    mine = plan.of(rank())
    for at, piece in enumerate(mine, start=1):
        batch = _batch(work, [features[i] for i in sorted(piece.indices)])
        outputs = _ask(work, batch, step=step, piece=piece)
        loss = work.module.loss(outputs, batch, work.options) / num_targets
        if not piece.counts:
            loss = loss * 0.0
        _backward(work, loss, last=at == len(mine))
        total += loss.detach().float()
    return total


def _cached(work: Work, features: Sequence[Feature], plan: StepPlan, *, num_targets: int, step: int) -> Any:
    """A loss over all outputs of the recipe batch: outputs without graph, their gradients, then one backward per piece."""
    import torch

    mine = plan.of(rank())
    with torch.no_grad():
        found = [_ask(work, _batch(work, [features[i] for i in piece.indices]), step=step, piece=piece).float() for piece in mine]
    outputs = torch.zeros(len(features), found[0].shape[-1], device=work.machine.device)
    for piece, vectors in zip(mine, found):
        if piece.counts:
            outputs[piece.indices] = vectors
    add_up(outputs).requires_grad_()
    loss = work.module.loss(outputs, _batch(work, features), work.options) / num_targets
    (gradient,) = torch.autograd.grad(loss, outputs)
    for at, piece in enumerate(mine, start=1):
        vectors = _ask(work, _batch(work, [features[i] for i in piece.indices]), step=step, piece=piece)
        weight = gradient[piece.indices] if piece.counts else torch.zeros_like(vectors, dtype=torch.float32)
        _backward(work, (vectors.float() * weight).sum(), last=at == len(mine))
    return loss.detach() if rank() == 0 else 0.0


def _direct(work: Work, features: Sequence[Feature], plan: StepPlan, *, num_targets: int, step: int) -> Any:
    """The same where the whole recipe batch fits the device of the one process that there is."""
    batch = _batch(work, features)
    loss = work.module.loss(_ask(work, batch, step=step, piece=plan.of(0)[0]), batch, work.options) / num_targets
    _backward(work, loss, last=True)
    return loss.detach()
