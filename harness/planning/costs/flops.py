"""Floating-point operations of passes over tokens: matrices, attention's quadratic term, logits, backward passes.

    passes = PassLoad(tokens=1024, squares=1024 * 128)      # tokens computed, and the sum of each sequence's length squared
    forward_flops(shape, passes), training_flops(shape, passes, how)

Kaplan et al. (2020, arXiv 2001.08361) count 2 a parameter and token forwards and twice that backwards; Korthikanti et al.
(2022, arXiv 2205.05198) add attention's products of T x T: 4 T Q a token and layer, counted whole also where a model is causal.
Checkpointing computes the forward pass once more.  A frozen base has no gradients of its weights: half of a backward pass.
"""

from collections.abc import Sequence
from typing import NamedTuple

from harness.planning.costs.activations import HowTrained
from harness.planning.costs.shapes import ModelShape
from harness.prediction.batching import plan_batches, plan_packed_batches


class PassLoad(NamedTuple):
    """What goes through a model."""

    tokens: float
    "With padding, where it is computed."
    squares: float
    "Sum over the sequences of their length squared, padding included."
    passes: float = 1.0
    "Forward passes."
    reads: float = 0.0
    "Places whose logits over a vocabulary are computed."

    def times(self, factor: float) -> "PassLoad":
        """So many of it."""
        return PassLoad(*(number * factor for number in self))


def padded(lengths: Sequence[int], *, max_tokens: int, reads: float = 0.0) -> PassLoad:
    """Features of these lengths in the batches that a budget makes of them (harness/prediction/batching.py)."""
    tokens = squares = 0
    plans = plan_batches(lengths, max_tokens=max_tokens)
    for indices in plans:
        longest = max(lengths[index] for index in indices)
        tokens += longest * len(indices)
        squares += longest * longest * len(indices)
    return PassLoad(tokens, squares, len(plans), reads)


def packed(lengths: Sequence[int], *, max_tokens: int, reads: float = 0.0) -> PassLoad:
    """The same of batches that are computed without their padding."""
    plans = plan_packed_batches(lengths, max_tokens=max_tokens)
    return PassLoad(sum(lengths), sum(length * length for length in lengths), len(plans), reads)


def forward_flops(shape: ModelShape, batch: PassLoad) -> float:
    """Operations of a forward pass."""
    matrices = 2.0 * shape.in_matrices * batch.tokens
    attention = 4.0 * shape.layers * shape.query_width * batch.squares
    relative = 4.0 * shape.layers * shape.query_width * shape.relative_positions * batch.tokens
    return matrices + attention + relative + 2.0 * shape.vocab * shape.words_width * batch.reads


def training_flops(shape: ModelShape, batch: PassLoad, how: HowTrained) -> float:
    """Operations of a forward and backward pass."""
    forward = forward_flops(shape, batch)
    backward = 2.0 if how.whole else 1.0
    return forward * (1.0 + backward + (1.0 if how.checkpointing else 0.0))
