"""Forward passes over sequences that share beginnings: those first, then what follows them; and texts begun, to be gone on with.

for one in passes(tree, split_model, max_tokens=4096): one.nodes, one.hidden_BTH, one.first
begun = begin([(5, 6, 7, 8), (5, 6, 9)], split_model, max_tokens=4096)       # begun.hidden_BTH[:, -1], begun.cache, begun.mask
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.inference.language_model import SplitModel, chosen_rows, copied
from models.inference.prefix_tree import Place, PrefixTree, Tokens, batches, share


class Pass(NamedTuple):
    """What one forward pass gave."""

    nodes: list[int]
    "Of the tree, one a row."
    hidden_BTH: Tensor
    first: list[int]
    "Column of the first token of each row in the hidden states."
    cache: Any
    "None where nothing is kept."
    begins: list[int]
    "Column of the first token of each row's sequence, with all that stands before the node, in the cache."


class Before(NamedTuple):
    """Rows of a cache that are gone on with."""

    nodes: Sequence[int | None]
    "What each of them ends with; None for nothing at all."
    begins: list[int]
    "Column of the first token of each."
    mask: Tensor | None
    cache: Any


class Begun(NamedTuple):
    """Texts whose tokens are computed and kept, side by side in one cache, padded on the left."""

    hidden_BTH: Tensor
    "Of the last token of each at least."
    cache: Any
    mask: Tensor


def passes(tree: PrefixTree, split_model: SplitModel, *, max_tokens: int, keep: bool = False) -> Iterator[Pass]:
    """Compute a tree batch by batch; the caches stay readable with `keep`."""
    nothing = Before([None], [0], None, None)
    yield from _behind(nothing, tree, split_model, followers=tree.followers(), max_tokens=max_tokens, keep=keep)


def _behind(
    before: Before,
    tree: PrefixTree,
    split_model: SplitModel,
    *,
    followers: Mapping[int | None, list[int]],
    max_tokens: int,
    keep: bool,
) -> Iterator[Pass]:
    """Compute all that follows some rows: nodes that nothing follows, then the others, each batch with what follows it."""
    owners = [(row, number) for row, node in enumerate(before.nodes) for number in followers.get(node, ())]
    kept = 0 if before.mask is None else before.mask.shape[1]
    for goes_on in (False, True):
        own = [(row, number) for row, number in owners if (number in followers) == goes_on]
        sizes = [(size, size + kept) for size in (len(tree.nodes[number].tokens) for _, number in own)]
        # Layers that keep a window of tokens would keep padding in their place, were there any before what is gone on with.
        padded = split_model.keeps_all or before.mask is None or not goes_on
        for part in batches(sizes, max_tokens=max_tokens, spare=split_model.spare if padded else 0):
            at, nodes = [own[n][0] for n in part], [own[n][1] for n in part]
            tokens = [tree.nodes[number].tokens for number in nodes]
            cache, mask = None, None
            if before.mask is not None:
                chosen = torch.tensor(at, device=split_model.device)
                cache, mask = chosen_rows(before.cache, chosen), before.mask[chosen]
            # Tokens stand next to each other, as windows and distances of attention need it.
            rows = split_model.pad(tokens, left=goes_on and mask is None, before=mask)
            hidden_BTH, grown = split_model.hidden(rows, cache=cache, keep=goes_on or keep)
            begins = rows.first if mask is None else [before.begins[row] for row in at]
            yield Pass(nodes, hidden_BTH, rows.first, grown, begins)
            if goes_on:
                here = Before(nodes, begins, rows.mask, grown)
                here = here if mask is None or not padded else _moved_right(here)
                yield from _behind(here, tree, split_model, followers=followers, max_tokens=max_tokens, keep=keep)


def _moved_right(rows: Before) -> Before:
    """The same rows with their padding, which may stand behind them, before them: the next tokens stand next to the last."""
    assert rows.mask is not None
    width = int(rows.mask.sum(dim=1).max())
    order = rows.mask.argsort(dim=1, stable=True)[:, -width:]
    cache = copied(rows.cache)
    for layer in cache.layers:
        layer.keys, layer.values = (
            states.gather(2, order[:, None, :, None].expand(-1, states.shape[1], -1, states.shape[3]))
            for states in (layer.keys, layer.values)
        )
    mask = rows.mask.gather(1, order)
    return Before(rows.nodes, (width - mask.sum(dim=1)).tolist(), mask, cache)


def begin(texts: Sequence[Tokens], split_model: SplitModel, *, max_tokens: int) -> Begun:
    """Compute some texts, beginnings that they share once, in passes of at most max_tokens; one pass where that cannot be."""
    if not split_model.keeps_all or len(texts) == 1:
        rows = split_model.pad(texts, left=True)
        hidden_BTH, cache = split_model.hidden(rows, keep=True)
        return Begun(hidden_BTH, cache, rows.mask)
    tree = share(texts)
    wanted: dict[int, list[tuple[int, Place]]] = {}
    for number, text in enumerate(texts):
        place = tree.place_of(number, len(text) - 1)
        wanted.setdefault(place.node, []).append((number, place))
    rows = split_model.pad(texts, left=True)
    hidden: dict[int, Tensor] = {}
    joined: Any = None
    for one in passes(tree, split_model, max_tokens=max_tokens, keep=True):
        if joined is None:
            joined = _room(one.cache, len(texts), width=rows.mask.shape[1])
        for at, node in enumerate(one.nodes):
            for number, place in wanted.get(node, ()):
                hidden[number] = one.hidden_BTH[at, one.first[at] + place.position]
                _put(
                    joined, number, rows.first[number], one.cache, at, slice(one.begins[at], one.begins[at] + len(texts[number]))
                )
    return Begun(torch.stack([hidden[number] for number in range(len(texts))])[:, None], joined, rows.mask)


def _room(cache: Any, num_rows: int, *, width: int) -> Any:
    """A cache like another one, empty, for so many rows of tokens."""
    found = copied(cache)
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
