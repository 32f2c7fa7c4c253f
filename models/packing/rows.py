"""Which queries of a packed pass are computed together: spans of tokens become rows, and rows share calls of attention.

    rows = query_rows([PackedSpan(0, 3), PackedSpan(3, 2)], num_kept=0, causal=True, on_cpu=True)
    calls = grouped(rows, on_cpu=True)          # lists of rows, each computed in one call

Every row costs something beside its scores (a product of its own for each head, and what it gathers), and so does every call.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

TokenRuns = tuple[tuple[int, int], ...]
"Tokens from a to b, from c to d, ..."

CPU_BLOCK = 64
"""Queries of a causal model that are set against the tokens up to the last of them at once.  On a CPU attention computes scores
that its mask then takes away: 450 tokens of 9 heads took 4.5 ms at once and 3.3 in blocks of 64, 650 took 7.9 and 6.5 (in
float32)."""
CPU_MERGED = 3 << 11
"""Scores that a CPU computes and masks rather than have one more row that gathers the same tokens: XNLI's hypotheses stand behind
one premise.  Its attention took 1.22 s of 5.8 with it and 1.33 without, SmolLM2-135M in bfloat16."""
MOST_MERGED = 4 * CPU_BLOCK
"Queries of such a row, whose mask has a place for each token that one of them sees."
CPU_ALONE = 1 << 13
"Scores of a row of queries beside which a call of its own is cheap: with 9 heads some 0.3 ms, where a call takes 0.05."
GPU_ALONE = 1 << 22
"The same on a GPU, where a call takes as long as that many scores: an assumption."
MOST_COPIED = 1 << 15
"Source tokens that the rows of a call copy: behind a long beginning each row has a copy of it."


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
        return num_tokens(self.before)


class QueryRow(NamedTuple):
    """Neighbouring queries, and the tokens that they see: each all of them, in causal models those up to itself."""

    first: int
    "In the pass, or among those of its tokens that are read."
    length: int
    seen: TokenRuns
    "Source tokens."
    merged: "tuple[QueryRow, ...]" = ()
    "The rows that it was made of, where it was: the queries of each see no more than what that row sees."

    @property
    def num_seen(self) -> int:
        """How many tokens they see."""
        return num_tokens(self.seen)

    @property
    def area(self) -> int:
        """Scores to compute."""
        return self.length * self.num_seen

    def with_next(self, other: "QueryRow") -> "QueryRow":
        """One row of these queries and those behind them."""
        return QueryRow(
            self.first, self.length + other.length, union([self.seen, other.seen]), (*(self.merged or (self,)), other)
        )

    def sees(self, *, window: int | None) -> np.ndarray:
        """Which tokens each query of a causal model sees, as booleans [length, num_seen].

        `window`: none that is so many tokens or more away.
        """
        found = np.zeros((self.length, self.num_seen), dtype=bool)
        tokens = numbers(self.seen)
        for row in self.merged or (self,):
            place_S = np.arange(row.num_seen)  # in the sequence
            place_Q1 = row.num_seen - row.length + np.arange(row.length)[:, None]
            is_seen = place_S <= place_Q1
            if window is not None:
                is_seen &= place_S > place_Q1 - window
            begin = row.first - self.first
            found[begin : begin + row.length, np.searchsorted(tokens, numbers(row.seen))] = is_seen
        return found


def query_rows(spans: Iterable[PackedSpan], *, num_kept: int, causal: bool, on_cpu: bool, whole: bool = False) -> list[QueryRow]:
    """The rows of spans, whose tokens are source tokens behind `num_kept` others; on a CPU in sizes of its own.

    `whole`: a span with which its sequence begins is one row, however long it is.
    """
    found: list[QueryRow] = []
    for span in spans:
        own = num_kept + span.first
        block = CPU_BLOCK if causal and on_cpu and not (whole and not span.before) else span.length
        for begin in range(0, span.length, block):
            end = min(span.length, begin + block)
            seen = joined((*span.before, (own, own + end))) if span.before else ((own, own + end),)
            row = QueryRow(span.first + begin, end - begin, seen)
            if causal and on_cpu and found and not begin and (both := _worth_merging(found[-1], row)):
                found[-1] = both
            else:
                found.append(row)
    return found


def rows_of(reads: np.ndarray, spans: Iterable[PackedSpan], *, num_kept: int, causal: bool) -> list[QueryRow]:
    """The rows of some tokens [R] of the pass alone, in order; as queries they are numbered by their places among them."""
    found: list[QueryRow] = []
    for span in spans:
        own, (first, end) = num_kept + span.first, np.searchsorted(reads, (span.first, span.first + span.length)).tolist()
        places = reads[first:end] - span.first
        # Those of a causal model that follow each other share a row: each of them sees the tokens up to itself.
        runs = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if causal else [places]
        for run in runs if len(places) else []:
            seen = int(run[-1]) + 1 if causal else span.length
            found.append(QueryRow(first, len(run), joined((*span.before, (own, own + seen)))))
            first += len(run)
    return found


def _worth_merging(row: QueryRow, following: QueryRow) -> QueryRow | None:
    """Both in one, where they see tokens that are the same, and few that only one of them sees."""
    if row.first + row.length != following.first or row.length + following.length > MOST_MERGED:
        return None
    if not row.merged and row.length > CPU_BLOCK:  # a whole one, which needs no mask
        return None
    both = row.with_next(following)
    is_shared = both.num_seen < row.num_seen + following.num_seen
    return both if is_shared and both.area - row.area - following.area <= CPU_MERGED else None


def grouped(rows: Sequence[QueryRow], *, on_cpu: bool) -> list[list[QueryRow]]:
    """Rows by call: a long one has its own; others share one until its padding, or what it copies, costs more than another."""
    alone = CPU_ALONE if on_cpu else GPU_ALONE
    groups: list[list[QueryRow]] = []
    sizes = [row.num_seen for row in rows]
    areas = [row.length * size for row, size in zip(rows, sizes, strict=True)]
    short = [place for place, area in enumerate(areas) if area < alone]
    area = most = seen = 0
    for place in sorted(short, key=lambda place: (-sizes[place], -rows[place].length, rows[place].first)):
        wider = max(most, rows[place].length)
        number = len(groups[-1]) + 1 if groups else 0
        if not groups or number * wider * seen - area - areas[place] > alone or number * seen > MOST_COPIED:
            groups.append([])
            area, wider, seen = 0, rows[place].length, sizes[place]
        groups[-1].append(rows[place])
        most, area = wider, area + areas[place]
    return [*groups, *([row] for row, area in zip(rows, areas, strict=True) if area >= alone)]


def numbers(runs: Sequence[tuple[int, int]]) -> np.ndarray:
    """The numbers of tokens, in order."""
    begins, ends = np.array(runs, dtype=np.int64).reshape(-1, 2).T
    return counted(begins, ends - begins)


def counted(begins: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Whole numbers from each beginning, as many as its length says, one run behind the other."""
    ends = lengths.cumsum()
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins - ends + lengths, lengths)


def num_tokens(runs: TokenRuns) -> int:
    """How many there are."""
    if len(runs) == 1:  # by far most often
        return runs[0][1] - runs[0][0]
    return sum(end - begin for begin, end in runs)


def union(several: Iterable[TokenRuns]) -> TokenRuns:
    """The tokens of several runs, each once, in order."""
    return joined(sorted(run for runs in several for run in runs))


def joined(runs: Iterable[tuple[int, int]]) -> TokenRuns:
    """The same tokens in as few runs as can be; where runs have tokens in common they are sorted."""
    found: list[tuple[int, int]] = []
    for begin, end in runs:
        if found and found[-1][0] <= begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif end > begin:
            found.append((begin, end))
    return tuple(found)
