"""Which tokens of a row of packed sequences see which: who computes attention over it asks for its parts.

    layout = PackedLayout([PackedSpan(0, 3), PackedSpan(3, 2), PackedSpan(5, 2, before=((0, 3),))])
    layout.positions                        # [0 1 2 0 1 3 4]: the third goes on from the first
    layout.parts(causal=True, device=device)

A pass has N tokens in one row.  They see tokens of the same pass and, where some were kept of earlier passes, K of those: source
tokens are numbered through, those kept first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.packing.rows import PackedSpan, QueryRow, TokenRuns, grouped, numbers, query_rows

GPU_MULTIPLE = 8
"Rows are padded to a multiple of it on GPUs, whose kernels would copy a mask to make it one."


def placed(array: np.ndarray, device: torch.device) -> Tensor:
    """An array on a device; nobody waits for the copy to a GPU."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedPart:
    """Rows whose attention is computed in one call, padded to the longest of them."""

    rows: Sequence[QueryRow]
    num_queries: int
    "Q, of each row with its padding."
    num_sources: int
    "S, of each row with its padding."
    queries: Tensor | None = None
    "int64 [R * Q], their tokens in the pass; None for one row, whose tokens are neighbours."
    sources: Tensor | None = None
    "int64 [R * S], the tokens that they see; None for one row."

    @property
    def begins_all(self) -> bool:
        """Whether each row is a sequence from its beginning."""
        return all(row.length == row.num_seen and not row.merged for row in self.rows)

    @property
    def is_merged(self) -> bool:
        """Whether queries of a row see different tokens, not only those up to themselves."""
        return any(row.merged for row in self.rows)


class Seen(NamedTuple):
    """Which sources the queries of a part see."""

    mask: Tensor | None
    "Added to the scores, 0 where a source is seen and else minus infinity, [R, 1, Q or 1, S]; None where nothing is masked."
    is_causal: bool
    "The n-th query sees the first n sources, without a mask that says so."


class PackedLayout:
    """The spans of a pass, and what follows from them for attention."""

    def __init__(self, spans: Sequence[PackedSpan], *, num_kept: int = 0) -> None:
        """Spans in the order of their tokens, behind `num_kept` source tokens of earlier passes."""
        self.spans = [span for span in spans if span.length]
        self.num_kept = num_kept
        self._parts: dict[tuple[bool, torch.device], list[PackedPart]] = {}
        self._orders: dict[tuple[bool, torch.device], Tensor | None] = {}
        self._seen: dict[tuple[PackedPart, int | None, torch.dtype], Seen] = {}
        self._largest: dict[tuple[bool, int | None, torch.dtype, torch.device], Tensor] = {}

    @cached_property
    def positions(self) -> np.ndarray:
        """[N] of each token in its sequence, from 0."""
        return np.concatenate([np.arange(span.length) + span.num_before for span in self.spans])

    @cached_property
    def firsts(self) -> np.ndarray:
        """[N] the first token of the span that each token belongs to."""
        return np.repeat([span.first for span in self.spans], [span.length for span in self.spans])

    def parts(self, *, causal: bool, device: torch.device) -> list[PackedPart]:
        """The calls of attention that compute the pass."""
        if (causal, device) not in self._parts:
            self._parts[causal, device] = [*self._made_parts(causal=causal, device=device)]
        return self._parts[causal, device]

    def order(self, *, causal: bool, device: torch.device) -> Tensor | None:
        """int64 [N]: where each token's output is among those of all parts, row behind row; None where they are in order."""
        if (causal, device) not in self._orders:
            found = np.empty(len(self.positions), dtype=np.int64)
            at = 0
            for part in self.parts(causal=causal, device=device):
                for row in part.rows:
                    found[row.first : row.first + row.length] = np.arange(at, at + row.length)
                    at += part.num_queries
            in_order = at == len(found) and bool((found == np.arange(at)).all())
            self._orders[causal, device] = None if in_order else placed(found, device)
        return self._orders[causal, device]

    def seen(self, part: PackedPart, *, causal: bool, window: int | None, dtype: torch.dtype, device: torch.device) -> Seen:
        """What a part's queries see; `window`: no token that is so many tokens or more away."""
        if window is not None and window >= part.num_sources:
            window = None
        key = (part, window, dtype)
        if key not in self._seen:
            self._seen[key] = self._seen_by(part, causal=causal, window=window, dtype=dtype, device=device)
        return self._seen[key]

    def _seen_by(self, part: PackedPart, *, causal: bool, window: int | None, dtype: torch.dtype, device: torch.device) -> Seen:
        if part.is_merged:
            return Seen(_mask_of_merged(part, window=window, dtype=dtype, device=device), is_causal=False)
        if causal and window is None and part.begins_all and part.num_queries == part.num_sources:
            return Seen(None, is_causal=True)  # what pads a row comes last
        is_even = all(row.num_seen == part.num_sources for row in part.rows)
        if is_even and window is None and (not causal or part.num_queries == 1):
            return Seen(None, is_causal=False)
        how: dict[str, Any] = {"causal": causal, "window": window, "dtype": dtype, "device": device}
        if part.queries is not None:
            sizes = [(row.length, row.num_seen) for row in part.rows]
            return Seen(_mask(sizes, num_queries=part.num_queries, num_sources=part.num_sources, **how), is_causal=False)
        # What a query sees depends on how far it is from the end: masks of single rows are the ends of the largest one.
        largest = (causal, window, dtype, device)
        if largest not in self._largest:
            own = [one for one in self.parts(causal=causal, device=device) if one.queries is None]
            own = [one for one in own if not one.is_merged and not (causal and window is None and one.begins_all)]
            most, seen = max(one.num_queries for one in own), max(one.num_sources for one in own)
            self._largest[largest] = _mask([(most, seen)], num_queries=most, num_sources=seen, **how)
        return Seen(self._largest[largest][:, :, -part.num_queries :, -part.num_sources :], is_causal=False)

    def _made_parts(self, *, causal: bool, device: torch.device) -> Iterable[PackedPart]:
        is_cpu = device.type == "cpu"
        rows = query_rows(self.spans, num_kept=self.num_kept, causal=causal, on_cpu=is_cpu)
        multiple = 1 if is_cpu else GPU_MULTIPLE
        for group in grouped(rows, on_cpu=is_cpu):
            if len(group) == 1:
                yield PackedPart(rows=group, num_queries=group[0].length, num_sources=group[0].num_seen)
                continue
            most = -(-max(row.length for row in group) // multiple) * multiple
            seen = -(-max(row.num_seen for row in group) // multiple) * multiple
            queries = np.concatenate([_filled(((row.first, row.first + row.length),), most) for row in group])
            sources = np.concatenate([_filled(row.seen, seen) for row in group])
            tokens = {"queries": placed(queries, device), "sources": placed(sources, device)}
            yield PackedPart(rows=group, num_queries=most, num_sources=seen, **tokens)


def _mask(
    sizes: Sequence[tuple[int, int]],
    *,
    num_queries: int,
    num_sources: int,
    causal: bool,
    window: int | None,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """[R, 1, Q or 1, S] of rows with (queries, sources): 0 for a source that a query sees, else minus infinity.

    Queries are the last tokens that their row sees; what pads them sees what the last one does.
    """
    lengths_R11, seen_R11 = placed(np.array(sizes, dtype=np.int64).T[..., None, None], device)
    source_S = torch.arange(num_sources, device=device)
    is_seen = source_S < seen_R11
    if causal or window is not None:
        query_Q1 = torch.arange(num_queries, device=device)[:, None]
        query_RQ1 = torch.minimum(query_Q1, lengths_R11 - 1) + (seen_R11 - lengths_R11)
        if causal:
            is_seen = is_seen & (source_S <= query_RQ1)
        if window is not None:
            is_seen = is_seen & (source_S > query_RQ1 - window) & (source_S < query_RQ1 + window)
    return added_to_scores(is_seen, dtype=dtype)


def _mask_of_merged(part: PackedPart, *, window: int | None, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The same [R, 1, Q, S] of a causal model's rows, some of which were merged."""
    is_seen = np.zeros((len(part.rows), part.num_queries, part.num_sources), dtype=bool)
    for found, row in zip(is_seen, part.rows, strict=True):
        seen = row.sees(window=window)
        found[: row.length, : row.num_seen] = seen
        found[row.length :, : row.num_seen] = seen[-1]
    return added_to_scores(placed(is_seen, device), dtype=dtype)


def added_to_scores(is_seen: Tensor, *, dtype: torch.dtype) -> Tensor:
    """0 where a source is seen and else minus infinity, [R, 1, Q or 1, S] of booleans [R, Q or 1, S]."""
    return torch.zeros(is_seen.shape, dtype=dtype, device=is_seen.device).masked_fill_(~is_seen, -torch.inf).unsqueeze(1)


def _filled(runs: TokenRuns, size: int) -> np.ndarray:
    """[size] the numbers of tokens, behind them that of the first again."""
    found = numbers(runs)
    return np.concatenate([found, np.full(size - len(found), found[0])])
