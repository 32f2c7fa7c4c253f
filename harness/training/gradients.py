"""Gradients of one recipe batch, whatever the device's batch size and however many processes share the work.

    loss = batch_gradients(work, groups, step=17)      # parameters hold the gradients of the mean loss over the batch's targets

The loss is summed over pieces that fit the device and divided by the targets of the whole batch.  Losses with in-batch negatives
are computed over the whole batch by gradient caching (Gao et al. 2021, arXiv 2101.06983).  Dropout is drawn per (seed, step,
piece): a resumed run, and a second pass over a piece, draw the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from harness.api.errors import UserError
from harness.api.protocols import Feature
from harness.api.randomness import seed_of
from harness.prediction.batching import collate, plan_batches
from harness.prediction.questions import Question
from harness.runtime.budget import TrainingBudget, ran_out_of_memory
from harness.runtime.machine import Machine
from harness.runtime.processes import add_up, agree, num_ranks, rank, together

if TYPE_CHECKING:
    import torch

EXCHANGE_ELEMENTS = 2**24
"Gradient values per exchange between processes."


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
    accelerator: Any
    seed: int
    one_pass_per_example: bool = False
    "The loss sets the features of an example against each other: they stay in one piece."

    def pieces(self, features: Sequence[Feature]) -> list[list[int]]:
        """Indices of features by forward pass."""
        budget = self.budget.tokens
        if not self.one_pass_per_example:
            return plan_batches([len(feature.input_ids) for feature in features], max_tokens=budget)
        examples: dict[int, list[int]] = {}
        for index, feature in enumerate(features):
            examples.setdefault(feature.example, []).append(index)
        own = list(examples.values())
        costs = [len(indices) * max(len(features[i].input_ids) for i in indices) for indices in own]
        return [[i for n in piece for i in own[n]] for piece in plan_batches(costs, max_tokens=budget)]


def batch_gradients(work: Work, groups: Sequence[list[Feature]], *, step: int) -> float:
    """Gradients of the mean loss over the targets of a recipe batch; returns that loss, the same in every process.

    Out of memory: the same step again in pieces of half the size.
    """
    import torch

    features = [feature for group in groups for feature in group]
    num_targets = max(1, work.module.num_targets(features))
    longest = max(len(feature.input_ids) for feature in features)
    least = max(map(len, groups)) * longest if work.one_pass_per_example else longest
    while True:
        try:
            if work.module.WHOLE_BATCH_LOSS:
                loss = _cached(work, features, num_targets, step)
            else:
                mine = [feature for group in groups[rank() :: num_ranks()] for feature in group]
                loss = _guarded(partial(_summed, work, mine, num_targets=num_targets, step=step))
            break
        except RuntimeError as error:
            if not ran_out_of_memory(error):
                raise
            work.adapter.module.zero_grad()
            with together():
                if work.budget.tokens <= least:
                    raise UserError(
                        f"out of memory with one sequence of {longest} tokens",
                        where=f"training step {step + 1}",
                        todo="gradient_checkpointing: true, a shorter max_length, or a larger device",
                    ) from error
            work.budget.halve()
            torch.cuda.empty_cache()
    _exchange(list(work.adapter.module.parameters()))
    return float(add_up(torch.as_tensor(loss, device=work.machine.device, dtype=torch.float32)))


def _guarded(attempt: Callable[[], Any]) -> Any:
    """Do this process's share; if any process runs out of memory, all do, so that all try again alike."""
    import torch

    if num_ranks() == 1:
        return attempt()
    result: Any = None
    failure: Exception | None = None
    try:
        result = attempt()
    except Exception as error:
        failure = error
    is_memory = isinstance(failure, RuntimeError) and ran_out_of_memory(failure)
    anywhere = bool(add_up(torch.tensor([float(is_memory)])).item())
    agree(None if is_memory else failure)
    if anywhere:
        raise torch.OutOfMemoryError("in some process") from failure
    return result


def _piece(work: Work, features: Sequence[Feature]) -> Any:
    return collate(features, pad_id=work.adapter.tokenizer.pad_token_id, device=work.machine.device)


def _ask(work: Work, batch: Any, *, step: int, piece: int) -> torch.Tensor:
    """Outputs with the dropout of this piece."""
    import torch

    torch.manual_seed(seed_of("dropout", step, piece, seed=work.seed) >> 1)
    with work.accelerator.autocast():
        outputs: torch.Tensor = work.adapter.module(batch, head=work.question.head, pooling=work.question.pooling)
    return outputs


def _summed(work: Work, features: Sequence[Feature], *, num_targets: int, step: int) -> Any:
    """Backward passes over this process's features, piece by piece; returns its part of the loss."""
    total: Any = 0.0
    plans = work.pieces(features)
    for number, indices in enumerate(plans):
        batch = _piece(work, [features[i] for i in sorted(indices)])
        outputs = _ask(work, batch, step=step, piece=number * num_ranks() + rank())
        loss = work.module.loss(outputs, batch, work.options) / num_targets
        work.accelerator.backward(loss)
        total += loss.detach().float()
    return total


def _cached(work: Work, features: Sequence[Feature], num_targets: int, step: int) -> Any:
    """A loss over all outputs of the recipe batch: outputs without graph, their gradients, then one backward per piece."""
    import torch

    plans = work.pieces(features)
    mine = range(rank(), len(plans), num_ranks())
    if len(plans) == 1:
        return _guarded(lambda: _direct(work, features, num_targets, step) if rank() == 0 else 0.0)

    def forward() -> list[torch.Tensor]:
        with torch.no_grad():
            return [_ask(work, _piece(work, [features[i] for i in plans[n]]), step=step, piece=n).float() for n in mine]

    found = _guarded(forward)
    width = add_up(torch.tensor([vectors.shape[-1] if n == 0 else 0 for n, vectors in zip(mine, found)][:1] or [0]))
    outputs = torch.zeros(len(features), int(width.item()), device=work.machine.device)
    for number, vectors in zip(mine, found):
        outputs[plans[number]] = vectors
    add_up(outputs).requires_grad_()
    loss = work.module.loss(outputs, _piece(work, features), work.options) / num_targets
    (gradient,) = torch.autograd.grad(loss, outputs)

    def backward() -> None:
        for number in mine:
            vectors = _ask(work, _piece(work, [features[i] for i in plans[number]]), step=step, piece=number)
            work.accelerator.backward((vectors.float() * gradient[plans[number]]).sum())

    _guarded(backward)
    return loss.detach() if rank() == 0 else 0.0


def _direct(work: Work, features: Sequence[Feature], num_targets: int, step: int) -> Any:
    """The same where the whole recipe batch fits the device."""
    batch = _piece(work, features)
    loss = work.module.loss(_ask(work, batch, step=step, piece=0), batch, work.options) / num_targets
    work.accelerator.backward(loss)
    return loss.detach()


def _exchange(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Add up the gradients of all processes, in a fixed order; a parameter that none has used keeps none."""
    import torch

    if num_ranks() == 1:
        return
    used = add_up(torch.tensor([float(p.grad is not None) for p in parameters]))
    shared = [p for p, count in zip(parameters, used.tolist()) if count]
    for parameter in shared:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    ends, size = [0], 0
    for number, parameter in enumerate(shared, start=1):
        size += parameter.numel()
        if size >= EXCHANGE_ELEMENTS or number == len(shared):
            ends.append(number)
            size = 0
    for begin, end in pairwise(ends):
        gradients = [p.grad for p in shared[begin:end] if p.grad is not None]
        summed = add_up(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, summed.split([g.numel() for g in gradients])):
            gradient.copy_(part.view_as(gradient))
