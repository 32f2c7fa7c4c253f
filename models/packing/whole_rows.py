"""Attention of passes in which each token stands in one row, with a backward pass that adds nothing up.

    rows = layout.whole_rows(kind)                        # None where tokens stand in several rows
    outputs_NHS = rows.attended(query, key, value, attend=attend)

The backward pass of gathering adds gradients to zeros, since a token might have been gathered twice: on GPUs, with a fixed order
of sums, by a sort and some ten kernels each time.  Here every token is there once, and what pads its row has no gradient, so that
gradients are gathered as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class WholeRows:
    """The places of all rows of a pass, part by part; in each part rows are padded to the same size."""

    parts: Sequence[tuple[int, int]]
    "(rows, size) of each part; P places in all."
    tokens: Tensor | None
    "int64 [P], the token at each place, in padding the row's first one again; None where tokens are in this order, unpadded."
    places: Tensor | None
    "int64 [N], the place of each token; None with `tokens`."
    is_padding: Tensor | None
    "bool [P, 1, 1]; None with `tokens`."

    def attended(self, query: Tensor, key: Tensor, value: Tensor, *, attend: Callable[..., Tensor]) -> Tensor:
        """Outputs [N, heads, size] of states [1, heads, N, size].

        `attend(number, query, key, value)` computes a part: of [rows, heads, length, size] each [rows * length, heads, size].
        """
        by_part = zip(*(self._by_part(states) for states in (query, key, value)), strict=True)
        found = [attend(number, *states) for number, states in enumerate(by_part)]
        found_PHS = torch.cat(found) if len(found) > 1 else found[0]
        if self.tokens is None:
            return found_PHS
        outputs_NHS: Tensor = _PutBack.apply(found_PHS, self.places, self.tokens, self.is_padding)
        return outputs_NHS

    def _by_part(self, states: Tensor) -> list[Tensor]:
        by_token = states.squeeze(0).transpose(0, 1)
        if self.tokens is not None:
            by_token = _Gathered.apply(by_token, self.tokens, self.places)
        sizes = [rows * size for rows, size in self.parts]
        pieces = by_token.split(sizes) if len(sizes) > 1 else [by_token]
        return [piece.unflatten(0, part).transpose(1, 2) for piece, part in zip(pieces, self.parts, strict=True)]


class _Gathered(torch.autograd.Function):
    """Tokens [N, ...] at their places [P, ...]."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, tokens: Tensor, places: Tensor) -> Tensor:
        """Gather."""
        ctx.save_for_backward(places)
        return states.index_select(0, tokens)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """A token has the gradient of its place: padding, which is not seen and whose output is dropped, has none."""
        (places,) = ctx.saved_tensors
        return gradient.index_select(0, places), None, None


class _PutBack(torch.autograd.Function):
    """Outputs at places [P, ...] in the order of the tokens [N, ...]."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, places: Tensor, tokens: Tensor, is_padding: Tensor) -> Tensor:
        """Gather."""
        ctx.save_for_backward(tokens, is_padding)
        return outputs.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """A place has the gradient of its token, and where it is padding none."""
        tokens, is_padding = ctx.saved_tensors
        return gradient.index_select(0, tokens).masked_fill_(is_padding, 0.0), None, None, None
