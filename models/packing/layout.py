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
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

TokenRuns = tuple[tuple[int, int], ...]
"Tokens from a to b, from c to d, ..."

CPU_BLOCK = 64
"""Queries of a causal model that are set against the tokens up to the last of them at once.  On a CPU attention computes scores
that its mask then takes away: 500 tokens of 9 heads took 6.8 ms at once and 4.4 in blocks of 64 (bfloat16; 6.4 and 4.1 in
float32)."""
CPU_ALONE = 1 << 13
"Scores of a row of queries beside which a call of its own is cheap: with 9 heads some 0.3 ms, where a call takes 0.05."
GPU_ALONE = 1 << 22
"The same on a GPU, where a call takes as long as that many scores."


def placed(array: np.ndarray, device: torch.device) -> Tensor:
    """An array on a device; nobody waits for the copy to a GPU."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


class PackedSpan(NamedTuple):
    """Neighbouring tokens of a pass that belong to one sequence."""

    first: int
    "Number of the first token in the pass."
    length: int
    before: TokenRuns = ()
    "Source tokens that stand before them in their sequence, in order."

    @property
    def num_before(self) -> int:
        """How many those are."""
        return sum(end - begin for begin, end in self.before)


class QueryRow(NamedTuple):
    """Queries that see the same tokens, or each those up to itself."""

    first: int
    "In the pass."
    length: int
    seen: TokenRuns
    "Source tokens."

    @property
    def num_seen(self) -> int:
        """How many tokens they see."""
        return sum(end - begin for begin, end in self.seen)

    @property
    def area(self) -> int:
        """Scores to compute."""
        return self.length * self.num_seen


@dataclass(frozen=True, kw_only=True)
class PackedPart:
    """Rows whose attention is computed in one call, padded to the longest of them."""

    rows: Sequence[QueryRow]
    causal: bool
    device: torch.device
    queries: Tensor | None
    "int64 [R * Q], their tokens in the pass; None for one row, whose tokens are neighbours."
    sources: Tensor | None
    "int64 [R * S], the tokens that they see; None for one row."

    @property
    def num_queries(self) -> int:
        """Q, of the longest row."""
        return max(row.length for row in self.rows)

    @property
    def num_sources(self) -> int:
        """S, of the row that sees the most."""
        return max(row.num_seen for row in self.rows)

    def mask(self, window: int | None) -> Tensor | None:
        """Bool [R, 1, Q or 1, S], True = seen; None where all see everything.  `window`: see `PackedLayout.mask`."""
        seen_R = np.array([row.num_seen for row in self.rows])
        lengths_R = np.array([row.length for row in self.rows])
        source_S = np.arange(self.num_sources)
        is_seen = source_S < seen_R[:, None, None]
        if self.causal or window is not None:
            # Queries are the last tokens that their row sees; what pads queries sees what the last one does.
            query_RQ = np.minimum(np.arange(self.num_queries), lengths_R[:, None] - 1) + (seen_R - lengths_R)[:, None]
            distance_RQS = query_RQ[..., None] - source_S
            is_seen = is_seen & (distance_RQS >= 0 if self.causal else True)
            is_seen = is_seen & (np.abs(distance_RQS) < window if window is not None else True)
        return None if is_seen.all() else placed(is_seen[:, None], self.device)


class PackedLayout:
    """The spans of a pass, and what follows from them for attention."""

    def __init__(self, spans: Sequence[PackedSpan], *, num_kept: int = 0) -> None:
        """Spans in the order of their tokens, behind `num_kept` source tokens of earlier passes."""
        self.spans = spans
        self.num_kept = num_kept
        self._parts: dict[tuple[bool, torch.device], list[PackedPart]] = {}
        self._orders: dict[tuple[bool, torch.device], Tensor | None] = {}
        self._masks: dict[tuple[int, int | None, torch.dtype], Tensor | None] = {}

    @cached_property
    def positions(self) -> np.ndarray:
        """[N] of each token in its sequence, from 0."""
        return np.concatenate([np.arange(span.length) + span.num_before for span in self.spans])

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

    def mask(self, part: PackedPart, *, window: int | None, dtype: torch.dtype) -> Tensor | None:
        """What is added to a part's scores: 0 for what is seen, else minus infinity; [R, 1, Q or 1, S], None where all is seen.

        `window`: no query sees a token that is so many tokens or more away.
        """
        if window is not None and window >= part.num_sources:
            window = None
        key = (id(part), window, dtype)
        if key not in self._masks:
            is_seen = part.mask(window)
            self._masks[key] = (
                None
                if is_seen is None
                else torch.zeros(is_seen.shape, dtype=dtype, device=part.device).masked_fill_(~is_seen, -torch.inf)
            )
        return self._masks[key]

    def _made_parts(self, *, causal: bool, device: torch.device) -> Iterable[PackedPart]:
        is_cpu = device.type == "cpu"
        rows = [row for span in self.spans for row in self._rows(span, block=CPU_BLOCK if causal and is_cpu else None)]
        alone = CPU_ALONE if is_cpu else GPU_ALONE
        for group in _groups(rows, alone=alone):
            if len(group) == 1:
                yield PackedPart(rows=group, causal=causal, device=device, queries=None, sources=None)
                continue
            most, seen = max(row.length for row in group), max(row.num_seen for row in group)
            queries = [_filled([(row.first, row.first + row.length)], most) for row in group]
            sources = [_filled(row.seen, seen) for row in group]
            yield PackedPart(
                rows=group,
                causal=causal,
                device=device,
                queries=placed(np.concatenate(queries), device),
                sources=placed(np.concatenate(sources), device),
            )

    def _rows(self, span: PackedSpan, *, block: int | None) -> Iterable[QueryRow]:
        """A span in blocks, each of which sees no more than what is before its end."""
        own = self.num_kept + span.first
        for begin in range(0, span.length, block or span.length):
            end = min(span.length, begin + (block or span.length))
            yield QueryRow(span.first + begin, end - begin, _joined((*span.before, (own, own + end))))


def _joined(runs: TokenRuns) -> TokenRuns:
    """The same tokens in as few runs as can be."""
    found: list[tuple[int, int]] = []
    for begin, end in runs:
        if found and found[-1][1] == begin:
            found[-1] = (found[-1][0], end)
        elif end > begin:
            found.append((begin, end))
    return tuple(found)


def _filled(runs: Iterable[tuple[int, int]], size: int) -> np.ndarray:
    """[size] the numbers of tokens, behind them that of the first again."""
    found = np.fromiter(chain.from_iterable(range(*run) for run in runs), dtype=np.int64)
    return np.concatenate([found, np.full(size - len(found), found[0], dtype=np.int64)])


def _groups(rows: Sequence[QueryRow], *, alone: int) -> list[list[QueryRow]]:
    """Rows by call: a long one has its own; others share one until its padding costs more than another call would."""
    groups: list[list[QueryRow]] = []
    short = [row for row in rows if row.area < alone]
    area = most = seen = 0
    for row in sorted(short, key=lambda row: (-row.num_seen, -row.length, row.first)):
        wider = max(most, row.length)
        if not groups or (len(groups[-1]) + 1) * wider * seen - area - row.area > alone:
            groups.append([])
            area, wider, seen = 0, row.length, row.num_seen
        groups[-1].append(row)
        most, area = wider, area + row.area
    return [*groups, *([row] for row in rows if row.area >= alone)]
