"""Forward passes over sequences that share beginnings: trunks first, then what follows them; and texts begun, to be gone on with.

for one in passes(plan, halves, max_tokens=4096): one.rows, one.hidden_BTH, one.first
begun = begin([(5, 6, 7, 8), (5, 6, 9)], halves, max_tokens=4096)       # begun.hidden_BTH[:, -1], begun.cache, begun.mask
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from models._language_model import Halves, Rows, chosen_rows
from models._sharing import Place, Plan, Tokens, batches, share

Row: TypeAlias = tuple[int, int | None]
"Group and branch: a row of a forward pass."


class Pass(NamedTuple):
    """What one forward pass gave."""

    rows: list[Row]
    hidden_BTH: Tensor
    first: list[int]
    "Column of the first token of each row in the hidden states."
    cache: Any
    "None where nothing is kept."
    begins: list[int]
    "Column of the first token of each row's sequence, its trunk included, in the cache."


class Begun(NamedTuple):
    """Texts whose tokens are computed and kept, side by side in one cache, padded on the left."""

    hidden_BTH: Tensor
    "Of the last token of each at least."
    cache: Any
    mask: Tensor


def passes(plan: Plan, halves: Halves, *, max_tokens: int, keep: bool = False) -> Iterator[Pass]:
    """Compute a plan batch by batch; the caches stay readable with `keep`."""
    for left, numbers in (
        (False, [number for number, group in enumerate(plan.groups) if not group.branches]),
        # Left padding: trunk and branch stand next to each other, as windows and distances of attention need it.
        (True, [number for number, group in enumerate(plan.groups) if group.branches]),
    ):
        lengths = [len(plan.groups[number].trunk) for number in numbers]
        for batch in batches(list(zip(lengths, lengths)), max_tokens=max_tokens, spare=halves.spare):
            own = [numbers[n] for n in batch]
            rows = halves.pad([plan.groups[number].trunk for number in own], left=left)
            hidden_BTH, cache = halves.hidden(rows, keep=left or keep)
            yield Pass([(number, None) for number in own], hidden_BTH, rows.first, cache, rows.first)
            if left:
                yield from _branches(plan, halves, own, trunks=rows, cache=cache, max_tokens=max_tokens, keep=keep)


def _branches(
    plan: Plan, halves: Halves, numbers: Sequence[int], *, trunks: Rows, cache: Any, max_tokens: int, keep: bool
) -> Iterator[Pass]:
    """Compute what follows the trunks of some groups, which are in the cache in their order."""
    owners = [(row, number, branch) for row, number in enumerate(numbers) for branch in range(len(plan.groups[number].branches))]
    tokens = [plan.groups[number].branches[branch] for _, number, branch in owners]
    kept = trunks.input_ids.shape[1]
    sizes = [(len(own), len(own) + kept) for own in tokens]
    for part in batches(sizes, max_tokens=max_tokens, spare=halves.spare):
        at = [owners[n][0] for n in part]
        chosen = torch.tensor(at, device=halves.device)
        rows = halves.pad([tokens[n] for n in part], left=False, before=trunks.mask[chosen])
        hidden_BTH, grown = halves.hidden(rows, cache=chosen_rows(cache, chosen), keep=keep)
        yield Pass([owners[n][1:] for n in part], hidden_BTH, rows.first, grown, [trunks.first[row] for row in at])


def begin(texts: Sequence[Tokens], halves: Halves, *, max_tokens: int) -> Begun:
    """Compute some texts, beginnings that they share once, in passes of at most max_tokens; one pass where that cannot be."""
    if not halves.keeps_all or len(texts) == 1:
        rows = halves.pad(texts, left=True)
        hidden_BTH, cache = halves.hidden(rows, keep=True)
        return Begun(hidden_BTH, cache, rows.mask)
    plan = share(texts)
    wanted: dict[Row, list[tuple[int, Place]]] = {}
    for number, text in enumerate(texts):
        place = plan.place_of(number, len(text) - 1)
        wanted.setdefault((place.group, place.branch), []).append((number, place))
    rows = halves.pad(texts, left=True)
    hidden: dict[int, Tensor] = {}
    joined: Any = None
    for one in passes(plan, halves, max_tokens=max_tokens, keep=True):
        if joined is None:
            joined = _room(one.cache, len(texts), width=rows.mask.shape[1])
        for at, row in enumerate(one.rows):
            for number, place in wanted.get(row, ()):
                hidden[number] = one.hidden_BTH[at, one.first[at] + place.position]
                _put(
                    joined, number, rows.first[number], one.cache, at, slice(one.begins[at], one.begins[at] + len(texts[number]))
                )
    return Begun(torch.stack([hidden[number] for number in range(len(texts))])[:, None], joined, rows.mask)


def _room(cache: Any, num_rows: int, *, width: int) -> Any:
    """A cache like another one, empty, for so many rows of tokens."""
    found = copy.copy(cache)
    found.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in found.layers:
        _, heads, _, size = layer.keys.shape
        layer.keys = layer.keys.new_zeros((num_rows, heads, width, size))
        layer.values = layer.values.new_zeros((num_rows, heads, width, layer.values.shape[-1]))
    return found


def _put(target: Any, number: int, first: int, source: Any, row: int, columns: slice) -> None:
    """Copy the tokens of a row into the end of another cache's row."""
    for into, layer in zip(target.layers, source.layers, strict=True):
        into.keys[number, :, first:] = layer.keys[row, :, columns]
        into.values[number, :, first:] = layer.values[row, :, columns]
