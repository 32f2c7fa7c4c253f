"""Tokens of a forward pass, padding included where it is computed: what a device takes, and what is learnt where it has no more.

tokens = device_tokens(80 << 30, weights=2 << 30, train=False)      # 162_000 or so
ceiling = Ceiling(tokens)
ceiling.begin(17); ceiling.fits(4096); ceiling.too_much(4096)

All of it belongs to one stage and is written down in its folder: what was learnt in another, or before a kill, decides nothing
unseen, so that an interrupted run computes what an uninterrupted one does.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

SPARE = 0.15
"Share of a device's memory that no budget counts on: the CUDA context, fragments, outputs, other processes."
TOKEN_BYTES = 1 << 18
"Bytes that a token takes in a forward pass of a model of SMALL bytes, between layers and in attention; an estimate from above."
SMALL = 1 << 30
"Larger models take more for each token, by the square root: their weights grow with width times width, activations with width."
TRAINING = 4
"Times as much in training: activations are kept for the backward pass, and weights have gradients and two moments."
LEAST = 512
"Tokens that are tried in any case."


def device_tokens(memory: int, *, weights: int, train: bool, model: int = 0) -> int:
    """Padded tokens of a forward pass on a device of so many bytes in all, `weights` of them taken by a model.

    `model`: bytes of all of its weights, where the device has a part of them: layers are whole while they compute.
    """
    times = TRAINING if train else 1
    room = memory * (1 - SPARE) - times * weights
    return max(LEAST, int(room / (times * TOKEN_BYTES * max(1.0, math.sqrt(max(weights, model) / SMALL)))))


def ran_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device, or the allocator of the CPU, had no more memory."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: " in str(error)


@dataclass(kw_only=True)
class TrainingBudget:
    """Tokens of a forward and backward pass of a training, with the padding that is computed."""

    planned: int
    "By the device, or --batch_tokens."
    tokens: int = 0
    "Now: halved whenever memory runs out."

    def __post_init__(self) -> None:
        self.tokens = self.tokens or self.planned

    def halve(self) -> None:
        """Half as many from now on."""
        self.tokens = max(1, self.tokens // 2)

    def go_on(self, before: "TrainingBudget", *, wanted: bool) -> None:
        """Take what the run before had when its state was saved; another number that the user `wanted` now stands."""
        if not wanted or before.planned == self.planned:
            self.planned, self.tokens = before.planned, before.tokens


@dataclass
class Ceiling:
    """Padded tokens that are tried in one pass of a prediction: those planned, fewer from the batch on where memory ran out."""

    planned: int
    learnt: list[tuple[int, int]] = field(default_factory=list)
    "(number of the batch, tokens from there on)."
    on_learning: Callable[[Sequence[tuple[int, int]]], Any] = lambda _: None
    "Called with that when it has grown, before anything is tried again."
    is_shared: bool = False
    "Other processes make the same passes at the same time: what does not fit is not cut."
    most: int = 0
    "Now."
    _batch: int = 0

    def __post_init__(self) -> None:
        self.begin(0)

    def begin(self, batch: int) -> None:
        """Take over what was learnt before that batch; what was learnt in it is found out again, as the first time."""
        self._batch = batch
        self.most = min([self.planned, *(tokens for number, tokens in self.learnt if number < batch)])

    def fits(self, tokens: int) -> bool:
        """Whether a pass over so many padded tokens may fit, as far as is known."""
        return tokens <= self.most

    def too_much(self, tokens: int) -> None:
        """A pass over so many padded tokens ran out of memory: more than half of it is not tried again."""
        self.most = max(1, tokens // 2)
        if (self._batch, self.most) not in self.learnt:
            self.learnt.append((self._batch, self.most))
            self.on_learning(self.learnt)
