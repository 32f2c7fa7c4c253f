"""Texts to which tokens are added at their ends: keys and values stay where they are, each in one place for all that see it.

    texts = GrowingTexts()
    texts.add(kept, [((0, 40),), ((0, 30), (40, 52))], most_new=[64, 64])     # two that begin with the same 30 tokens
    hidden_NH = split_model.packed_hidden(ids_N, texts.next_tokens([1, 4]))   # one token of the first, four of the second
    texts.keep([True, True], taken_back=[0, 2])                               # two of which it does not go on with

For a CPU, where each pass reads all keys and values from memory: there is no padding among them, and they are copied only to make
room.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from models.packing.attention import KeptTokens, LayerAttention
from models.packing.layout import added_to_scores
from models.packing.rows import TokenRuns, num_tokens, numbers, union

ROOM = 64
"Tokens of each text for which there is room at a time: once in so many all is copied."
READ = 10
"""Time that one token's keys and values take to be read, in those of one score: 9 heads of queries and 3 of keys took 0.19
microseconds a token for one text, 0.22 for four and 0.52 for twenty in one call (bfloat16, 900 to 5,000 tokens)."""
CALL = 1000
"The same of a call of attention: 20 microseconds."
MOST_TOGETHER = 256
"Texts of a call, whose mask has a place for each token that one of them sees."


class TextGroup:
    """Texts whose next tokens are computed in one call of attention, with all tokens that one of them sees: T columns."""

    def __init__(self, paths: Sequence[TokenRuns], *, num_kept: int, most_new: Sequence[int]) -> None:
        """`paths`: the tokens of each text among those kept; `most_new`: how many are added to each at most."""
        self.left = np.array(most_new, dtype=np.int64)
        "[R] tokens that are still to come, at most."
        self.lengths = np.array([num_tokens(path) for path in paths], dtype=np.int64)
        "[R] tokens of each text."
        self._sees = np.zeros((len(paths), num_kept), dtype=bool)
        for sees, path in zip(self._sees, paths, strict=True):
            sees[numbers(path)] = True
        self._ends = np.zeros(len(paths), dtype=np.int64)
        "[R] the column behind those that came to each text in the last step."
        self._is_seen = np.zeros((0, 0), dtype=bool)
        "[Q, T] which tokens those of the last step see."
        self._mask: Tensor | None = None
        self._states: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        self._columns = self._make_room()

    def __len__(self) -> int:
        return len(self._sees)

    @property
    def num_tokens(self) -> int:
        """Tokens that it has room for or may come to hold."""
        return max(self._room, int(self._sees.any(axis=0).sum() + self.left.sum()))

    @property
    def _soon(self) -> int:
        """Tokens for which there is to be room at a time."""
        return int(np.minimum(self.left, ROOM).sum())

    def _make_room(self, least: int = 0) -> Tensor:
        """Keep the columns that a text sees, in memory that has room for more; gives which they are."""
        seen = np.flatnonzero(self._sees.any(axis=0))
        self._sees = self._sees[:, seen]
        self._room = len(seen) + max(least, self._soon)
        columns = torch.from_numpy(seen)
        for module, states in self._states.items():
            self._states[module] = self._moved(states, columns)
        return columns

    def take(self, module: nn.Module, states: tuple[Tensor, Tensor]) -> None:
        """Take over a layer's keys and values of the kept tokens, [1, heads, K, size] each."""
        self._states[module] = self._moved(states, self._columns)

    def _moved(self, states: tuple[Tensor, Tensor], columns: Tensor) -> tuple[Tensor, Tensor]:
        """Some columns of states at the beginning of tensors that have room for more."""
        keys, values = (one.new_empty((*one.shape[:2], self._room, one.shape[3])) for one in states)
        for room, one in zip((keys, values), states, strict=True):
            room[:, :, : len(columns)] = one.index_select(2, columns)
        return keys, values

    def begin_step(self, counts: np.ndarray) -> np.ndarray:
        """So many tokens [R] come to each text; gives their positions [Q], text by text."""
        begin, total = self._sees.shape[1], int(counts.sum())
        if begin + total > self._room:
            self._make_room(total)
            begin = self._sees.shape[1]
        text_Q = np.repeat(np.arange(len(self)), counts)
        self._sees = np.concatenate([self._sees, text_Q == np.arange(len(self))[:, None]], axis=1)
        self._is_seen = self._sees[text_Q]
        self._is_seen[:, begin:] &= np.tri(total, dtype=bool)
        self._mask = None
        self._ends = begin + counts.cumsum()
        self.lengths, self.left = self.lengths + counts, self.left - counts
        return np.arange(total) - (self._ends - begin - self.lengths)[text_Q]

    def keep(self, goes_on: np.ndarray, *, taken_back: np.ndarray) -> None:
        """Go on with some texts alone, without so many of the last tokens of each that came in the last step."""
        for sees, end, number in zip(self._sees, self._ends, taken_back, strict=True):
            sees[end - number : end] = False
        lengths, left = self.lengths - taken_back, self.left + taken_back
        self.lengths, self.left, self._sees = lengths[goes_on], left[goes_on], self._sees[goes_on]
        if not len(self):
            return
        seen = np.flatnonzero(self._sees.any(axis=0))
        self._sees = self._sees[:, : seen[-1] + 1]
        unseen, is_large = self._sees.shape[1] - len(seen), 2 * (len(seen) + self._soon) <= self._room
        if is_large or 2 * unseen >= self._sees.shape[1] or (unseen and len(self) == 1):
            self._make_room()

    def attended(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *, how: LayerAttention) -> Tensor:
        """Outputs [Q, heads, size] of the tokens that came to the texts, of states [1, heads, Q, size]."""
        assert how.window is None, "only for models whose every layer keeps every token"
        _, num_heads, num_rows, size = query.shape
        end = self._sees.shape[1]
        states = self._states[module]
        for room, new in zip(states, (key, value), strict=True):
            room[:, :, end - num_rows : end] = new
        keys, values = (room[:, :, :end] for room in states)
        if num_rows == 1 and self._is_seen.all():
            found = how.attended(query, keys, values)
        else:
            # Heads that share keys are rows of one product.
            num_shared = keys.shape[1]
            together = query.reshape(1, num_shared, num_heads // num_shared * num_rows, size)
            found = how.attended(together, keys, values, mask=self._mask_of(together))
        return found.reshape(num_heads, num_rows, -1).transpose(0, 1)

    def _mask_of(self, query: Tensor) -> Tensor:
        """What the rows of queries [1, heads, n * Q, size] see, added to their scores: [1, 1, n * Q, T]."""
        num_rows = query.shape[2]
        if self._mask is None or self._mask.shape[2] != num_rows or self._mask.dtype != query.dtype:
            is_seen = np.tile(self._is_seen, (1, num_rows // len(self._is_seen), 1))
            self._mask = added_to_scores(torch.from_numpy(is_seen), dtype=query.dtype)
        return self._mask


class NextTokens:
    """A pass with the next tokens of the texts of some groups."""

    def __init__(self, groups: Sequence[TextGroup], counts: Sequence[np.ndarray]) -> None:
        """So many of each text."""
        self._groups = groups
        self._sizes = [int(own.sum()) for own in counts]
        self.positions = np.concatenate([group.begin_step(own) for group, own in zip(groups, counts, strict=True)])
        every = np.concatenate(counts)
        self.firsts = np.repeat(every.cumsum() - every, every)

    def attended(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *, how: LayerAttention) -> Tensor:
        """Outputs [N, heads, size], group by group."""
        parts = zip(self._groups, *(states.split(self._sizes, dim=2) for states in (query, key, value)), strict=True)
        return torch.cat([group.attended(module, *states, how=how) for group, *states in parts])


class GrowingTexts:
    """All texts that are being written."""

    def __init__(self) -> None:
        """There is none yet."""
        self._groups: list[TextGroup] = []

    @property
    def left(self) -> list[int]:
        """Tokens that may still come to each text."""
        return [int(number) for group in self._groups for number in group.left]

    @property
    def num_tokens(self) -> int:
        """Tokens that there is room for or may come to be held."""
        return sum(group.num_tokens for group in self._groups)

    def add(self, kept: KeptTokens, paths: Sequence[TokenRuns], *, most_new: Sequence[int]) -> None:
        """Take on texts behind those that are there: their tokens among those kept, and how many are added at most."""
        new = [
            TextGroup(paths[begin:end], num_kept=kept.num_tokens, most_new=most_new[begin:end])
            for begin, end in text_groups(paths, most_new=most_new)
        ]
        for module in [*kept.layers]:  # let go layer by layer
            states = kept.layers.pop(module)
            for group in new:
                group.take(module, states)
        self._groups += new

    def next_tokens(self, counts: Sequence[int]) -> NextTokens:
        """The pass that adds so many tokens to each text, in order."""
        return NextTokens(self._groups, self._by_group(np.array(counts, dtype=np.int64)))

    def keep(self, goes_on: Sequence[bool], *, taken_back: Sequence[int]) -> None:
        """Go on with some of the texts alone, without so many of the tokens that came last to each."""
        every = zip(
            self._groups, self._by_group(np.array(goes_on, dtype=bool)), self._by_group(np.array(taken_back)), strict=True
        )
        for group, own, number in every:
            if number.any() or not own.all():
                group.keep(own, taken_back=number)
        self._groups = [group for group in self._groups if len(group)]

    def _by_group(self, values: np.ndarray) -> list[np.ndarray]:
        """Values [N] of all texts, group by group."""
        return np.split(values, np.cumsum([len(group) for group in self._groups])[:-1]) if self._groups else []


def text_groups(paths: Sequence[TokenRuns], *, most_new: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Which neighbours are computed together, from a to b: those that save more reading of shared tokens than they add scores."""
    begin, cost = 0, 0.0
    columns: TokenRuns = ()
    for number, (path, new) in enumerate(zip(paths, most_new, strict=True)):
        own = _cost(1, num_tokens(path) + new / 2)
        both = union([columns, path])
        together = _cost(number - begin + 1, num_tokens(both) + sum(most_new[begin : number + 1]) / 2)
        if number > begin and (together > cost + own or number - begin == MOST_TOGETHER):
            yield begin, number
            begin, columns, cost = number, path, own
        else:
            columns, cost = both, together
    if paths:
        yield begin, len(paths)


def _cost(num_rows: int, size: float) -> float:
    return CALL + size * (READ + num_rows)
