"""Which token sequences are computed together, so that no beginning that several of them share is computed twice.

    plan = share(inputs)                 # inputs: tuples of token ids, any order, repeats allowed
    plan.groups                          # [Group(trunk, branches)]: a trunk is computed once, then its branches behind it
    plan.place_of(number, position)      # where the hidden state of a token of inputs[number] is found

Sequences that are the beginning of another one are not computed at all.  The others are put in order, neighbours that share a
beginning form groups such that as many tokens as possible are computed once only.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

Tokens = tuple[int, ...]
LEAST_SHARED = 1 / 4
"Of the longest sequence of a group: shorter beginnings are not worth a pass of their own."
MOST_BRANCHES = 64
"Sequences of a group at most: what they share is kept once for each of them while they are computed."


class Place(NamedTuple):
    """Where a hidden state comes about."""

    group: int
    branch: int | None
    "None for the trunk."
    position: int
    "Within the trunk, or within the branch."


class Group(NamedTuple):
    """Sequences with the same beginning."""

    trunk: Tokens
    branches: tuple[Tokens, ...]
    "What follows the trunk in each of at least two sequences; empty for a sequence that stands alone."


class Plan(NamedTuple):
    """What to compute for some sequences."""

    groups: list[Group]
    hosts: list[tuple[int, int | None]]
    "Group and branch in which each sequence is found."

    def place_of(self, number: int, position: int) -> Place:
        """The place of one token of a sequence."""
        group, branch = self.hosts[number]
        length = len(self.groups[group].trunk)
        return Place(group, None, position) if position < length else Place(group, branch, position - length)

    @property
    def num_tokens(self) -> int:
        """Tokens that are computed."""
        return sum(len(group.trunk) + sum(map(len, group.branches)) for group in self.groups)


def share(inputs: Sequence[Tokens]) -> Plan:
    """Group sequences (none of them empty) by what they share."""
    kept: list[Tokens] = []
    host_of: dict[Tokens, int] = {}
    for sequence in sorted(set(inputs), reverse=True):  # a beginning of other sequences stands right behind the last of them
        if not kept or kept[-1][: len(sequence)] != sequence:
            kept.append(sequence)
        host_of[sequence] = len(kept) - 1
    groups: list[Group] = []
    found: list[tuple[int, int | None]] = []
    for begin, end, shared in _cut(kept):
        alone = end - begin == 1
        trunk = kept[begin] if alone else kept[begin][:shared]
        found += [(len(groups), None if alone else branch) for branch in range(end - begin)]
        groups.append(Group(trunk, () if alone else tuple(kept[number][shared:] for number in range(begin, end))))
    return Plan(groups, [found[host_of[sequence]] for sequence in inputs])


def _cut(ordered: Sequence[Tokens]) -> list[tuple[int, int, int]]:
    """Cut ordered sequences into groups (begin, end, shared tokens) that save the most; among equals the smallest groups."""
    shared = [0, *(_num_shared(a, b) for a, b in pairwise(ordered))]
    best = [0]  # tokens saved in the first n sequences
    last = [(0, 0)]  # where the last group of the first n sequences begins, and what it shares
    for end in range(1, len(ordered) + 1):
        saved, choice = best[end - 1], (end - 1, len(ordered[end - 1]))
        common = longest = len(ordered[end - 1])
        for begin in range(end - 2, max(-1, end - 1 - MOST_BRANCHES), -1):
            common = min(common, shared[begin + 1])
            longest = max(longest, len(ordered[begin]))
            if common < LEAST_SHARED * longest:
                break
            if best[begin] + (end - begin - 1) * common > saved:
                saved, choice = best[begin] + (end - begin - 1) * common, (begin, common)
        best.append(saved)
        last.append(choice)
    cuts, end = [], len(ordered)
    while end:
        begin, common = last[end]
        cuts.append((begin, end, common))
        end = begin
    return cuts[::-1]


def _num_shared(first: Tokens, second: Tokens) -> int:
    """Length of the longest common beginning."""
    return next((n for n, (a, b) in enumerate(zip(first, second)) if a != b), min(len(first), len(second)))


def batches(sizes: Sequence[tuple[int, int]], *, max_tokens: int, spare: int | None = None) -> list[list[int]]:
    """Indices per batch, longest first; sizes are (tokens computed, tokens kept) of each row, kept ones costing a quarter.

    A batch costs its number of rows times its longest row, at most max_tokens; a row longer than that is alone.  A row that
    would bring the padding of its batch above `spare` tokens begins the next one.
    """
    costs = [max(computed, -(-kept // 4), 1) for computed, kept in sizes]
    found: list[list[int]] = []
    most = longest = padding = 0
    for number in sorted(range(len(sizes)), key=lambda number: (-costs[number], -sizes[number][0], number)):
        padding += max(0, longest - sizes[number][0])
        if not found or len(found[-1]) >= most or (spare is not None and padding > spare):
            found.append([])
            most = max(1, max_tokens // costs[number])
            longest, padding = sizes[number][0], 0
        found[-1].append(number)
    return found
