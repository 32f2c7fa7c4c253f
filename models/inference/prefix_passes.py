"""Forward passes over a prefix tree, each node behind its parents; and prefilled caches from which texts are generated.

for one in passes(tree, split_model, max_tokens=4096): one.nodes, one.hidden_BTH, one.first
prefilled = prefill([(5, 6, 7, 8), (5, 6, 9)], split_model, max_tokens=4096)       # .hidden_BTH[:, -1], .cache, .mask
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from harness.api.placing import placed
from models.inference.language_model import SplitModel, chosen_rows, copied
from models.inference.prefix_tree import Place, PrefixTree, Tokens, batches, build_tree


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


class CachedRows(NamedTuple):
    """Rows of a cache behind which more tokens are computed."""

    nodes: Sequence[int | None]
    "The last node of each row; None for an empty row."
    begins: list[int]
    "Column of the first token of each."
    mask: Tensor | None
    cache: Any


class Prefilled(NamedTuple):
    """Texts whose tokens are in one cache, a row each, padded on the left."""

    hidden_BTH: Tensor
    "The last position is that of each text's last token."
    cache: Any
    mask: Tensor


def passes(tree: PrefixTree, split_model: SplitModel, *, max_tokens: int, keep: bool = False) -> Iterator[Pass]:
    """Compute a tree batch by batch; the caches stay readable with `keep`."""
    nothing = CachedRows([None], [0], None, None)
    yield from _passes_after(nothing, tree, split_model, followers=tree.followers(), max_tokens=max_tokens, keep=keep)


def _passes_after(
    before: CachedRows,
    tree: PrefixTree,
    split_model: SplitModel,
    *,
    followers: Mapping[int | None, list[int]],
    max_tokens: int,
    keep: bool,
) -> Iterator[Pass]:
    """Compute all nodes behind some rows: first the leaves, then the inner nodes, each batch of these with its own followers."""
    owners = [(row, number) for row, node in enumerate(before.nodes) for number in followers.get(node, ())]
    kept = 0 if before.mask is None else before.mask.shape[1]
    for goes_on in (False, True):
        own = [(row, number) for row, number in owners if (number in followers) == goes_on]
        sizes = [(size, size + kept) for size in (len(tree.nodes[number].tokens) for _, number in own)]
        # Layers with a sliding window would keep padding in place of tokens if there were any before tokens to come.
        padded = split_model.keeps_all or before.mask is None or not goes_on
        for part in batches(sizes, max_tokens=max_tokens, spare=split_model.spare if padded else 0):
            at, nodes = [own[n][0] for n in part], [own[n][1] for n in part]
            tokens = [tree.nodes[number].tokens for number in nodes]
            cache, mask = None, None
            if before.mask is not None:
                chosen = placed(np.array(at, dtype=np.int64), split_model.device)
                cache, mask = chosen_rows(before.cache, chosen), before.mask[chosen]
            # Tokens must be neighbours without padding between them, for windows and distances of attention.
            rows = split_model.pad(tokens, left=goes_on and mask is None, before=mask)
            hidden_BTH, grown = split_model.hidden(rows, cache=cache, keep=goes_on or keep)
            begins = rows.first if mask is None else [before.begins[row] for row in at]
            yield Pass(nodes, hidden_BTH, rows.first, grown, begins)
            if goes_on:
                here = CachedRows(nodes, begins, rows.mask, grown)
                here = here if mask is None or not padded else _left_padded(here)
                yield from _passes_after(here, tree, split_model, followers=followers, max_tokens=max_tokens, keep=keep)


def _left_padded(rows: CachedRows) -> CachedRows:
    """The same rows with all padding moved to the left, so that the next tokens are neighbours of the last ones."""
    assert rows.mask is not None
    width = int(rows.mask.sum(dim=1).max())
    order = rows.mask.argsort(dim=1, stable=True)[:, -width:]
    cache = copied(rows.cache)
    for layer in cache.layers:
        own = order.to(layer.keys.device)[:, None, :, None]
        layer.keys, layer.values = (
            states.gather(2, own.expand(-1, states.shape[1], -1, states.shape[3])) for states in (layer.keys, layer.values)
        )
    mask = rows.mask.gather(1, order)
    return CachedRows(rows.nodes, (width - mask.sum(dim=1)).tolist(), mask, cache)


def prefill(texts: Sequence[Tokens], split_model: SplitModel, *, max_tokens: int) -> Prefilled:
    """Compute texts into one cache, shared beginnings once, in passes of at most max_tokens where sharing is possible."""
    if not split_model.keeps_all or len(texts) == 1:
        rows = split_model.pad(texts, left=True)
        hidden_BTH, cache = split_model.hidden(rows, keep=True)
        return Prefilled(hidden_BTH, cache, rows.mask)
    tree = build_tree(texts)
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
                _copy_row(
                    joined, number, rows.first[number], one.cache, at, slice(one.begins[at], one.begins[at] + len(texts[number]))
                )
    return Prefilled(torch.stack([hidden[number] for number in range(len(texts))])[:, None], joined, rows.mask)


def _room(cache: Any, num_rows: int, *, width: int) -> Any:
    """An empty cache with the layers of another one, for so many rows of tokens."""
    found = copied(cache)
    for layer in found.layers:
        _, heads, _, size = layer.keys.shape
        layer.keys = layer.keys.new_zeros((num_rows, heads, width, size))
        layer.values = layer.values.new_zeros((num_rows, heads, width, layer.values.shape[-1]))
    return found


def _copy_row(target: Any, number: int, first: int, source: Any, row: int, columns: slice) -> None:
    """Copy the tokens of a row into the end of another cache's row."""
    for into, layer in zip(target.layers, source.layers, strict=True):
        into.keys[number, :, first:] = layer.keys[row, :, columns]
        into.values[number, :, first:] = layer.values[row, :, columns]
