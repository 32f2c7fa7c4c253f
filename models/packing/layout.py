"""Which tokens of a row of packed sequences see which: who computes attention over it asks for its parts.

    layout = PackedLayout([PackedSpan(0, 3), PackedSpan(3, 2), PackedSpan(5, 2, before=((0, 3),))])
    layout.positions                        # [0 1 2 0 1 3 4]: the third goes on from the first
    layout.parts(layout.kind(causal=True, window=None, dtype=torch.float32, device=device))

A pass has N tokens in one row.  They see tokens of the same pass and, where some were kept of earlier passes, K of those: source
tokens are numbered through, those kept first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from harness.api.placing import placed
from models.packing.rows import PackedSpan, QueryRow, TokenRuns, counted, grouped, num_tokens, numbers, query_rows, rows_of
from models.packing.whole_rows import WholeRows

GPU_MULTIPLE = 8
"Rows are padded to a multiple of it on GPUs, whose kernels would copy a mask to make it one."

CPU_WHOLE = (torch.bfloat16,)
"""Types of numbers in which a CPU computes causal attention over a whole sequence no more slowly than in blocks: 650 tokens
of 9 heads took 2.7 and 3.3 ms (3.7 and 3.9 without AMX), 2,000 took 17 and 25 (23 and 32)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedPart:
    """Rows whose attention is computed in one call, padded to the longest of them."""

    rows: Sequence[QueryRow]
    num_queries: int
    "Q, of each row with its padding."
    num_sources: int
    "S, of each row with its padding."
    queries: Tensor | None = None
    "int64 [R * Q], their tokens in the pass, or among those that are read; None for one row, whose tokens are neighbours."
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


class AttentionKind(NamedTuple):
    """What there is one kind of in a pass, or a few: layers of a kind have the same parts and masks."""

    causal: bool
    window: int | None
    "No token that is so many tokens or more away is seen."
    dtype: torch.dtype
    device: torch.device

    @property
    def on_cpu(self) -> bool:
        """Whether rows have the sizes that a CPU likes."""
        return self.device.type == "cpu"


class PackedLayout:
    """The spans of a pass, and what follows from them for attention."""

    def __init__(self, spans: Sequence[PackedSpan], *, num_kept: int = 0, reads: np.ndarray | None = None) -> None:
        """Spans in the order of their tokens, behind `num_kept` source tokens of earlier passes.

        `reads`: the tokens [R] that are queries, in order; None for all.
        """
        self.spans = [span for span in spans if span.length]
        self.num_kept, self.reads = num_kept, reads
        self._parts: dict[AttentionKind, list[PackedPart]] = {}
        self._orders: dict[AttentionKind, Tensor | None] = {}
        self._whole: dict[AttentionKind, WholeRows | None] = {}
        self._seen: dict[tuple[PackedPart, AttentionKind], Seen] = {}
        self._largest: dict[tuple[AttentionKind, bool], Tensor] = {}

    @cached_property
    def positions(self) -> np.ndarray:
        """[N] of each token in its sequence, from 0."""
        before, lengths = ([getattr(span, name) for span in self.spans] for name in ("num_before", "length"))
        return counted(np.array(before, dtype=np.int64), np.array(lengths, dtype=np.int64))

    @cached_property
    def firsts(self) -> np.ndarray:
        """[N] the first token of the span that each token belongs to."""
        return np.repeat([span.first for span in self.spans], [span.length for span in self.spans])

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max((span.num_before + span.length for span in self.spans), default=0)

    def kind(self, *, causal: bool, window: int | None, dtype: torch.dtype, device: torch.device) -> AttentionKind:
        """The kind of a layer's attention; a window in which every sequence lies whole is none."""
        return AttentionKind(causal, None if window is None or window >= self.longest else window, dtype, device)

    def parts(self, kind: AttentionKind) -> list[PackedPart]:
        """The calls of attention that compute the pass."""
        if kind not in self._parts:
            self._parts[kind] = [*self._made_parts(kind)]
        return self._parts[kind]

    def order(self, kind: AttentionKind) -> Tensor | None:
        """int64 [N or R]: where each query's output is among those of all parts, row by row; None where they are in order."""
        if kind not in self._orders:
            found = np.empty(len(self.positions) if self.reads is None else len(self.reads), dtype=np.int64)
            at, rows = 0, []
            for part in self.parts(kind):
                rows += [(row.first, at + place * part.num_queries, row.length) for place, row in enumerate(part.rows)]
                at += len(part.rows) * part.num_queries
            first_R, place_R, length_R = np.array(rows, dtype=np.int64).reshape(-1, 3).T
            found[counted(first_R, length_R)] = counted(place_R, length_R)
            in_order = at == len(found) and bool((found == np.arange(at)).all())
            self._orders[kind] = None if in_order else placed(found, kind.device)
        return self._orders[kind]

    def whole_rows(self, kind: AttentionKind) -> WholeRows | None:
        """Where tokens stand, if each stands in one row of the pass, as a query and as a source; else None."""
        if kind not in self._whole:
            parts = self.parts(kind)
            alone = self.reads is None and not self.num_kept and all(part.begins_all for part in parts)
            self._whole[kind] = self._made_whole(parts, kind) if alone else None
        return self._whole[kind]

    def _made_whole(self, parts: Sequence[PackedPart], kind: AttentionKind) -> WholeRows:
        sizes, places = [(len(part.rows), part.num_queries) for part in parts], self.order(kind)
        if places is None:
            return WholeRows(parts=sizes, tokens=None, places=None, is_padding=None)
        firsts = [part.rows[0].first for part in parts]
        tokens = torch.cat(
            [
                part.queries if part.queries is not None else placed(np.arange(first, first + part.num_queries), kind.device)
                for part, first in zip(parts, firsts, strict=True)
            ]
        )
        lengths = [np.array([row.length for row in part.rows])[:, None] for part in parts]
        padding = [(np.arange(size) >= length).reshape(-1) for (_, size), length in zip(sizes, lengths, strict=True)]
        is_padding = placed(np.concatenate(padding)[:, None, None], kind.device)
        return WholeRows(parts=sizes, tokens=tokens, places=places, is_padding=is_padding)

    def seen(self, part: PackedPart, kind: AttentionKind) -> Seen:
        """What a part's queries see."""
        if (part, kind) not in self._seen:
            self._seen[part, kind] = self._seen_by(part, kind)
        return self._seen[part, kind]

    def _seen_by(self, part: PackedPart, kind: AttentionKind) -> Seen:
        is_within = kind.window is None or kind.window >= part.num_sources
        masked = kind._replace(window=None) if is_within else kind
        if part.is_merged:
            return Seen(_mask_of_merged(part, masked), is_causal=False)
        if kind.causal and is_within and part.begins_all and part.num_queries == part.num_sources:
            return Seen(None, is_causal=True)  # what pads a row comes last
        is_even = all(row.num_seen == part.num_sources for row in part.rows)
        if is_even and is_within and (not kind.causal or part.num_queries == 1):
            return Seen(None, is_causal=False)
        if part.queries is not None:
            sizes = [(row.length, row.num_seen) for row in part.rows]
            return Seen(_mask(sizes, masked, num_queries=part.num_queries, num_sources=part.num_sources), is_causal=False)
        # What a query sees depends on how far it is from the end: masks of single rows are the ends of the largest one.
        if (kind, is_within) not in self._largest:
            own = [one for one in self.parts(kind) if one.queries is None]
            own = [one for one in own if not one.is_merged and not (kind.causal and is_within and one.begins_all)]
            most, seen = max(one.num_queries for one in own), max(one.num_sources for one in own)
            self._largest[kind, is_within] = _mask([(most, seen)], masked, num_queries=most, num_sources=seen)
        return Seen(self._largest[kind, is_within][:, :, -part.num_queries :, -part.num_sources :], is_causal=False)

    def _rows(self, kind: AttentionKind) -> list[QueryRow]:
        if self.reads is not None:
            return rows_of(self.reads, self.spans, num_kept=self.num_kept, causal=kind.causal)
        whole = kind.window is None and kind.dtype in CPU_WHOLE
        return query_rows(self.spans, num_kept=self.num_kept, causal=kind.causal, on_cpu=kind.on_cpu, whole=whole)

    def _made_parts(self, kind: AttentionKind) -> Iterable[PackedPart]:
        multiple = 1 if kind.on_cpu else GPU_MULTIPLE
        for group in grouped(self._rows(kind), on_cpu=kind.on_cpu):
            if len(group) == 1:
                yield PackedPart(rows=group, num_queries=group[0].length, num_sources=group[0].num_seen)
                continue
            most = -(-max(row.length for row in group) // multiple) * multiple
            seen = -(-max(row.num_seen for row in group) // multiple) * multiple
            queries = _filled([((row.first, row.first + row.length),) for row in group], most)
            sources = _filled([row.seen for row in group], seen)
            tokens = {"queries": placed(queries, kind.device), "sources": placed(sources, kind.device)}
            yield PackedPart(rows=group, num_queries=most, num_sources=seen, **tokens)


def _mask(sizes: Sequence[tuple[int, int]], kind: AttentionKind, *, num_queries: int, num_sources: int) -> Tensor:
    """[R, 1, Q or 1, S] of rows with (queries, sources): 0 for a source that a query sees, else minus infinity.

    Queries are the last tokens that their row sees; what pads them sees what the last one does.
    """
    lengths_R11, seen_R11 = placed(np.array(sizes, dtype=np.int64).T[..., None, None], kind.device)
    source_S = torch.arange(num_sources, device=kind.device)
    is_seen = source_S < seen_R11
    if kind.causal or kind.window is not None:
        query_Q1 = torch.arange(num_queries, device=kind.device)[:, None]
        query_RQ1 = torch.minimum(query_Q1, lengths_R11 - 1) + (seen_R11 - lengths_R11)
        if kind.causal:
            is_seen = is_seen & (source_S <= query_RQ1)
        if kind.window is not None:
            is_seen = is_seen & (source_S > query_RQ1 - kind.window) & (source_S < query_RQ1 + kind.window)
    return added_to_scores(is_seen, dtype=kind.dtype)


def _mask_of_merged(part: PackedPart, kind: AttentionKind) -> Tensor:
    """The same [R, 1, Q, S] of a causal model's rows, some of which were merged."""
    is_seen = np.zeros((len(part.rows), part.num_queries, part.num_sources), dtype=bool)
    for found, row in zip(is_seen, part.rows, strict=True):
        seen = row.sees(window=kind.window)
        found[: row.length, : row.num_seen] = seen
        found[row.length :, : row.num_seen] = seen[-1]
    return added_to_scores(placed(is_seen, kind.device), dtype=kind.dtype)


def added_to_scores(is_seen: Tensor, *, dtype: torch.dtype) -> Tensor:
    """0 where a source is seen and else minus infinity, [R, 1, Q or 1, S] of booleans [R, Q or 1, S]."""
    return torch.zeros(is_seen.shape, dtype=dtype, device=is_seen.device).masked_fill_(~is_seen, -torch.inf).unsqueeze(1)


def _filled(rows: Sequence[TokenRuns], size: int) -> np.ndarray:
    """[R * size] the numbers of tokens of each row, behind them that of its first one again."""
    found = np.repeat([runs[0][0] for runs in rows], size).reshape(-1, size)
    is_token = np.arange(size) < np.array([num_tokens(runs) for runs in rows])[:, None]
    found[is_token] = numbers([run for runs in rows for run in runs])
    return found.reshape(-1)
