"""Forward passes over a prefix tree whose nodes lie side by side in one row of tokens, without padding.

    for one in packed_passes(tree, split_model, max_tokens=4096): one.nodes, one.first, one.hidden_NH
    prefilled = packed_prefill([(5, 6, 7, 8), (5, 6, 9)], split_model, max_tokens=4096)

A node sees its parents where they are: in the same pass, or among the keys and values kept of earlier ones.  Where only hidden
states are wanted these are never more than those of one path of the tree.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from harness.api.placing import placed
from models.inference.language_model import SplitModel
from models.inference.prefix_passes import Prefilled
from models.inference.prefix_tree import Place, PrefixTree, Tokens, build_tree, by_node
from models.packing.attention import KeptTokens, Packing
from models.packing.last_layer import worth_choosing
from models.packing.layout import PackedLayout
from models.packing.rows import PackedSpan, TokenRuns, joined, numbers

CPU_PASS_TOKENS = 2048
"""Tokens of a pass on a CPU: SmolLM2-135M in bfloat16 took 12 % longer for 4,096, whose activations leave the caches, and as long
for 600."""


def in_full_passes(tree: PrefixTree, split_model: SplitModel, *, max_tokens: int) -> PrefixTree:
    """The tree to compute in place of another: on a CPU cut so that each pass but the last one is full.

    There kernels are made for each number of tokens when it is first met, and some numbers have slow ones.  SmolLM2-135M in
    bfloat16, with AMX, took 25 ms more for the first pass of each, of 0.8 s; a product of a feed-forward layer took 2.0
    microseconds a token for 1,162 to 1,535 tokens, and 1.5 for 1,536 to 2,048.
    """
    return tree.cut(_most(split_model, max_tokens)) if _is_on_cpu(split_model) else tree


def _is_on_cpu(split_model: SplitModel) -> bool:
    return split_model.device.type == "cpu" and not split_model.is_offloaded


def _most(split_model: SplitModel, max_tokens: int) -> int:
    """Tokens of a pass."""
    return min(max_tokens, CPU_PASS_TOKENS) if _is_on_cpu(split_model) else max_tokens


class PackedPass(NamedTuple):
    """What one forward pass gave."""

    nodes: list[int]
    "Of the tree."
    first: list[int]
    "Number of the first token of each."
    hidden_NH: Tensor
    "Of `packing.reads` alone where there are some."
    packing: Packing
    places: list[Place]
    "Those of the wanted ones that lie in its nodes."
    tokens: list[int]
    "Their numbers among its tokens."

    def wanted_hidden(self) -> Tensor:
        """Hidden states [P, H] of its places."""
        rows = np.array(self.tokens, dtype=np.int64)
        if self.packing.reads is not None:
            rows = np.searchsorted(self.packing.reads, rows)
        return self.hidden_NH.index_select(0, placed(rows, self.hidden_NH.device))


def packed_passes(
    tree: PrefixTree,
    split_model: SplitModel,
    *,
    max_tokens: int,
    keep_all: bool = False,
    wanted: Iterable[Place] | None = None,
) -> Iterator[PackedPass]:
    """Compute a tree in passes of at most max_tokens (a longer node alone); with `keep_all` the last one keeps all tokens.

    `wanted`: the places whose hidden states are read; None for all.
    """
    of_node = by_node(wanted or ())
    max_tokens = _most(split_model, max_tokens)
    sizes = [len(node.tokens) for node in tree.nodes]
    kept = KeptTokens()
    where: dict[int, tuple[int, int]] = {}  # the source tokens of a node: kept ones, and those of the pass behind them
    for nodes in _runs(sizes, max_tokens=max_tokens):
        first = [*accumulate((sizes[node] for node in nodes[:-1]), initial=0)]
        where |= {node: (kept.num_tokens + at, kept.num_tokens + at + sizes[node]) for node, at in zip(nodes, first, strict=True)}
        before = [tuple(where[one] for one in tree.path(tree.nodes[node].parent)) for node in nodes]
        spans = [PackedSpan(at, sizes[node], own) for node, at, own in zip(nodes, first, before, strict=True)]
        # What comes later goes on from the nodes before the next one, and from no others.
        following = nodes[-1] + 1
        needed = [*where] if keep_all else tree.path(tree.nodes[following].parent) if following < len(sizes) else []
        keeps = numbers([where[one] for one in needed]) if needed else None
        ids = [token for node in nodes for token in tree.nodes[node].tokens]
        places = [place for node in nodes for place in of_node.get(node, ())]
        tokens = [at + place.position for node, at in zip(nodes, first, strict=True) for place in of_node.get(node, ())]
        reads = None if wanted is None else worth_choosing(split_model.body, tokens, num_tokens=len(ids))
        packing = Packing(PackedLayout(spans, num_kept=kept.num_tokens), kept=kept, keeps=keeps, reads=reads)
        ids_N = placed(np.array(ids, dtype=np.int64), split_model.device)
        yield PackedPass(nodes, first, split_model.packed_hidden(ids_N, packing), packing, places, tokens)
        kept = packing.later
        ends = [*accumulate(sizes[node] for node in needed)]
        where = {node: (end - sizes[node], end) for node, end in zip(needed, ends, strict=True)}


def _runs(sizes: Sequence[int], *, max_tokens: int) -> Iterator[list[int]]:
    """Numbers of neighbours whose sizes add up to at most max_tokens; a larger one is alone."""
    own: list[int] = []
    total = 0
    for number, size in enumerate(sizes):
        if own and total + size > max_tokens:
            yield own
            own, total = [], 0
        own.append(number)
        total += size
    if own:
        yield own


class PackedBeginnings(NamedTuple):
    """Texts whose tokens are kept, what they share once."""

    kept: KeptTokens
    paths: list[TokenRuns]
    "The tokens of each text among them."
    hidden_BH: Tensor
    "Of each text's last token."


def packed_beginnings(texts: Sequence[Tokens], split_model: SplitModel, *, max_tokens: int) -> PackedBeginnings:
    """Compute texts and keep all of their tokens."""
    tree = in_full_passes(build_tree(texts), split_model, max_tokens=max_tokens)
    places = [tree.place_of(number, len(text) - 1) for number, text in enumerate(texts)]
    last: dict[Place, Tensor] = {}
    kept = KeptTokens()
    for one in packed_passes(tree, split_model, max_tokens=max_tokens, keep_all=True, wanted=dict.fromkeys(places)):
        last |= zip(one.places, one.wanted_hidden(), strict=True)
        kept = one.packing.later
    begins = [0, *accumulate(len(node.tokens) for node in tree.nodes)]  # all are kept, in order
    paths = []
    for place in places:
        *before, node = tree.path(place.node)
        runs = [*((begins[one], begins[one + 1]) for one in before), (begins[node], begins[node] + place.position + 1)]
        paths.append(joined(runs))
    return PackedBeginnings(kept, paths, torch.stack([last[place] for place in places]))


def packed_prefill(texts: Sequence[Tokens], split_model: SplitModel, *, max_tokens: int) -> Prefilled:
    """Compute texts into one cache, padded on the left, with what they share computed once."""
    kept, paths, hidden_BH = packed_beginnings(texts, split_model, max_tokens=max_tokens)
    padded = split_model.pad(texts, left=True)
    sources_BT = np.zeros(padded.mask.shape, dtype=np.int64)
    for sources, first, path in zip(sources_BT, padded.first, paths, strict=True):
        sources[first:] = numbers(path)
    cache = DynamicCache()
    for number, layer in enumerate([*kept.layers]):
        states = kept.layers.pop(layer)
        at = placed(sources_BT.reshape(-1), states[0].device)
        keys, values = (one[0].index_select(1, at).unflatten(1, sources_BT.shape).transpose(0, 1).contiguous() for one in states)
        cache.update(keys, values, number)
    return Prefilled(hidden_BH[:, None], cache, padded.mask)
