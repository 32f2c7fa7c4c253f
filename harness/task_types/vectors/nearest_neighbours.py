"""Cosine similarity and exact nearest neighbours in bounded memory: retrieval takes the best one, mining the best four both ways.

    best = top_k(english, foreign, k=1)    # float arrays or memmaps [N, D] and [M, D], of any length and not yet normalised
    best.indices[:, 0], best.scores[:, 0]  # int64 and float32 [N]
    both = mutual_top_k(foreign, english, k=4)     # both.forward [N, 4] and both.backward [M, 4], from the same products
    search_memory(460_000, 555_503, dimension=4096, k=4, mutual=True)["total"]     # bytes, said before any is used

Equal scores go to the lowest index, and the result is the same to the bit for any block size, number of threads and BLAS.
Matrix products do not promise that, since the order in which they add depends on shapes and kernels.  So unit vectors are put
on a grid of 2^-26 (finer than fp32 resolves scores near 1) and multiplied in double precision: every product is a multiple of
2^-52 and every partial sum stays below 2, so there is nothing to round and the order does not matter.

Only few pairs are multiplied so.  All are in single precision first, where a sum of n rounded products is off by at most
n u / (1 - n u) with u = 2^-24, in whatever order it was added; a pair that misses the k-th best by more than that is out.
"""

import math
import os
from typing import NamedTuple

import numpy as np

from harness.api.errors import UserError
from harness.data.memory_maps import forget

BLOCK_BYTES = 1 << 28
"Memory of a search, besides its result, unless the caller says otherwise."
_GRID = 2.0**26
_LOW_32 = 0xFFFFFFFF
_NOTHING = np.iinfo(np.int64).min  # below the key of any score
_GROUPS = 16  # groups of columns per neighbour sought, whose maxima bound the k-th best from below
_DENSE = 16  # one pair in so many is left: all of them are multiplied exactly, which is then less work
_BYTES_PER_ENTRY = 12  # of a block of vectors: fp64 on the grid and fp32
_BYTES_PER_PRODUCT = 4  # of a block of products
_BYTES_PER_LOADED = 40  # of a vector's entry while it is put on the grid: mapped, copied, squared
_BYTES_PER_COMPARED = 64  # of a slice of products at worst: fp64 products, fp32 scores, int64 keys, partitioned and transposed
_BYTES_PER_FOUND = 24  # of an entry of a pair scored exactly: both vectors, and room for their products
_BYTES_PER_BEST = 40  # of each neighbour: key, index and score, and what turning one into the others takes
_LIBRARY_BYTES = 24 << 20  # the work space of BLAS, for each processor


class TopK(NamedTuple):
    """The nearest vectors of each query, best first."""

    indices: np.ndarray
    "int64 [N, k]"
    scores: np.ndarray
    "float32 [N, k] cosines"


class MutualTopK(NamedTuple):
    """Neighbours in both directions."""

    forward: TopK
    "Of each query among the index [N, k]."
    backward: TopK
    "Of each vector of the index among the queries [M, k]."


class _Sizes(NamedTuple):
    """Sizes of the blocks and steps of a search."""

    block: int
    "Rows of a block of queries, and of one of the index."
    loaded: int
    "Rows normalised at once."
    compared: int
    "Products compared at once."
    found: int
    "Pairs scored exactly at once."


class _Block(NamedTuple):
    """Unit vectors in memory."""

    first: int
    exact: np.ndarray  # float64 [n, D], on the grid
    near: np.ndarray  # float32 [n, D], the same rounded


def top_k(queries: np.ndarray, index: np.ndarray, *, k: int, block_bytes: int = BLOCK_BYTES) -> TopK:
    """Find the k rows of index [M, D] with the largest cosine to each query [N, D], using about `block_bytes` of memory.

    Cosines with a zero vector are 0.  Raises UserError if k is not within 1..M, if the lengths D differ, or for NaN and infinity.
    """
    _check(queries, index, k, most=len(index))
    best = _Best(len(queries), k)
    _search(queries, index, best, None, _sizes(queries.shape[1], block_bytes))
    return best.result()


def mutual_top_k(queries: np.ndarray, index: np.ndarray, *, k: int, block_bytes: int = BLOCK_BYTES) -> MutualTopK:
    """Do `top_k(queries, index)` and `top_k(index, queries)` in one pass; k is at most the smaller of their numbers of rows."""
    _check(queries, index, k, most=min(len(queries), len(index)))
    forward, backward = _Best(len(queries), k), _Best(len(index), k)
    _search(queries, index, forward, backward, _sizes(queries.shape[1], block_bytes))
    return MutualTopK(forward.result(), backward.result())


def search_memory(
    num_queries: int, num_index: int, *, dimension: int, k: int, mutual: bool, block_bytes: int = BLOCK_BYTES
) -> dict[str, int]:
    """Bytes that a search takes by what takes them, and their `total`: an upper bound, whatever the vectors are."""
    sizes = _sizes(dimension, block_bytes)
    rows = min(sizes.block, num_queries), min(sizes.block, num_index)
    parts = {
        "vectors": _BYTES_PER_ENTRY * dimension * sum(rows),
        "products": _BYTES_PER_PRODUCT * math.prod(rows),
        "steps": max(
            _BYTES_PER_LOADED * dimension * min(sizes.loaded, max(rows)),
            _BYTES_PER_COMPARED * max(min(sizes.compared, math.prod(rows)), max(rows))
            + _BYTES_PER_FOUND * dimension * min(sizes.found, math.prod(rows)),
        ),
        "result": _BYTES_PER_BEST * k * (num_queries + (num_index if mutual else 0)),
        "library": _LIBRARY_BYTES * (os.cpu_count() or 1),
    }
    return {**parts, "total": sum(parts.values())}


def _sizes(dimension: int, block_bytes: int) -> _Sizes:
    """Five eighths of the memory for blocks, one for each kind of step."""
    share = block_bytes / 8
    per_row = 2 * _BYTES_PER_ENTRY * dimension
    rows = (math.sqrt(per_row**2 + 4 * _BYTES_PER_PRODUCT * 5 * share) - per_row) / (2 * _BYTES_PER_PRODUCT)
    return _Sizes(
        block=max(1, int(rows)),
        loaded=max(1, int(share / (_BYTES_PER_LOADED * max(1, dimension)))),
        compared=max(1, int(share / _BYTES_PER_COMPARED)),
        found=max(1, int(share / (_BYTES_PER_FOUND * max(1, dimension)))),
    )


def _check(queries: np.ndarray, index: np.ndarray, k: int, *, most: int) -> None:
    if queries.ndim != 2 or index.ndim != 2 or queries.shape[1] != index.shape[1]:
        raise UserError(
            "queries and index are not vectors of one length",
            expected="two arrays [N, D] and [M, D]",
            found=f"{list(queries.shape)} and {list(index.shape)}",
        )
    if not 1 <= k <= most:
        raise UserError("cannot find that many neighbours", expected=f"1 to {most}, the vectors there are", found=f"k={k}")
    assert max(len(queries), len(index)) <= _LOW_32


def _search(queries: np.ndarray, index: np.ndarray, forward: "_Best", backward: "_Best | None", sizes: _Sizes) -> None:
    """Offer every pair that may be among the best to `forward` (of queries) and `backward` (of the index)."""
    products = np.empty(min(sizes.block, len(queries)) * min(sizes.block, len(index)), dtype=np.float32)
    for start in range(0, len(queries), sizes.block):
        asking = _load(queries, start, sizes)
        for first in range(0, len(index), sizes.block):
            held = _load(index, first, sizes)
            shape = len(asking.near), len(held.near)
            near = np.matmul(asking.near, held.near.T, out=products[: math.prod(shape)].reshape(shape))
            _compare(near, asking, held, forward, backward, sizes)
            del held  # before the next one is made
        del asking


def _compare(near: np.ndarray, asking: _Block, held: _Block, forward: "_Best", backward: "_Best | None", sizes: _Sizes) -> None:
    """Score exactly, and offer, the pairs of two blocks whose product [n, m] in single precision is not out."""
    bound = _bound(asking.near.shape[1])
    rows, columns = np.arange(asking.first, asking.first + near.shape[0]), slice(held.first, held.first + near.shape[1])
    forward.expect(slice(rows[0], rows[-1] + 1), near, bound)
    if backward:
        backward.expect(columns, near.T, bound)
    step = max(1, sizes.compared // near.shape[1])
    for at in range(0, len(rows), step):
        part, own = near[at : at + step], rows[at : at + step]
        possible = part >= forward.floor[own, None]
        if backward:
            possible |= part >= backward.floor[columns]
        found = np.flatnonzero(possible)
        if len(found) * _DENSE > part.size:
            _offer_all(asking.exact[at : at + step], held, own, forward, backward, bound)
        elif len(found):
            i, j = np.divmod(found, part.shape[1])
            keys = _keys(_products(asking.exact[at : at + step], held.exact, i, j, sizes.found))
            forward.offer(own[i], keys + (_LOW_32 - (held.first + j)), bound)
            if backward:
                backward.offer(held.first + j, keys + (_LOW_32 - own[i]), bound)


def _offer_all(
    exact: np.ndarray, held: _Block, rows: np.ndarray, forward: "_Best", backward: "_Best | None", bound: float
) -> None:
    """Offer the best of all pairs of some rows with a block: what ties and near ties in great number take."""
    keys = _keys(exact @ held.exact.T)
    columns = np.arange(held.first, held.first + keys.shape[1])
    best = _largest(keys + (_LOW_32 - columns), forward.k)
    forward.offer(np.repeat(rows, best.shape[1]), best.ravel(), bound)
    if backward:
        best = _largest(keys.T + (_LOW_32 - rows), backward.k)
        backward.offer(np.repeat(columns, best.shape[1]), best.ravel(), bound)


class _Best:
    """The k best found so far of each of some vectors, as keys that sort like (score, lower index first)."""

    def __init__(self, num: int, k: int) -> None:
        """Nothing is found yet."""
        self.k = k
        self.keys = np.full((num, k), _NOTHING)
        self.floor = np.full(num, -np.inf, dtype=np.float32)  # a product in single precision below it is out

    def expect(self, rows: slice, near: np.ndarray, bound: float) -> None:
        """Give rows a floor at first: of groups of products [n, m], the k-th best maximum has k products at least as good."""
        if near.shape[1] < self.k or self.floor[rows].max() > -np.inf:
            return
        groups = min(near.shape[1], _GROUPS * self.k)
        width = near.shape[1] // groups
        maxima = np.stack([near[:, g * width : (g + 1) * width].max(axis=1) for g in range(groups)], axis=1)
        self.floor[rows] = _below(np.partition(maxima, groups - self.k, axis=1)[:, groups - self.k], 2 * bound)

    def offer(self, rows: np.ndarray, keys: np.ndarray, bound: float) -> None:
        """Take in the keys [c] of pairs not offered before, `rows` [c] being the vectors that they are neighbours of."""
        touched, counts = np.unique(rows, return_counts=True)
        rows = np.concatenate([rows, np.repeat(touched, self.k)])
        keys = np.concatenate([keys, self.keys[touched].ravel()])
        order = np.lexsort((keys, rows))
        last = np.cumsum(counts + self.k) - 1
        best = keys[order[last[:, None] - np.arange(self.k)]]
        self.keys[touched] = best
        full = best[:, -1] != _NOTHING
        touched, worst = touched[full], _scores(best[full, -1])
        self.floor[touched] = np.maximum(self.floor[touched], _below(worst, bound))

    def result(self) -> TopK:
        """The neighbours found so far."""
        return TopK(indices=_LOW_32 - (self.keys & _LOW_32), scores=_scores(self.keys))


def _bound(dimension: int) -> float:
    """How far a product in single precision of two unit vectors may be from their score.

    Rounding of both vectors' entries, of D products and of D - 1 sums; lengths off 1 by the grid, and the score's own rounding.
    """
    n = (dimension + 2) * 2.0**-24
    return n / (1 - n) * 1.001 + math.sqrt(dimension) * 2.0**-26 + 2.0**-23


def _below(scores: np.ndarray, by: float) -> np.ndarray:
    """Scores less `by`, rounded down to float32."""
    return np.nextafter((scores.astype(np.float64) - by).astype(np.float32), np.float32(-np.inf))


def _products(left: np.ndarray, right: np.ndarray, i: np.ndarray, j: np.ndarray, step: int) -> np.ndarray:
    """Products [c] of the rows left[i] and right[j], which lie on the grid: nothing is rounded."""
    starts = range(0, len(i), step)
    return np.concatenate([np.einsum("nd,nd->n", left[i[at : at + step]], right[j[at : at + step]]) for at in starts])


def _load(vectors: np.ndarray, first: int, sizes: _Sizes) -> _Block:
    """The block of unit vectors that begins at row `first`."""
    rows = min(sizes.block, len(vectors) - first)
    exact = np.empty((rows, vectors.shape[1]))
    for at in range(0, rows, sizes.loaded):
        raw = vectors[first + at : first + min(at + sizes.loaded, rows)]
        unit = _unit(raw, first + at)
        unit *= _GRID
        np.rint(unit, out=unit)
        np.divide(unit, _GRID, out=exact[at : at + len(unit)])
        forget(raw)
    return _Block(first, exact, exact.astype(np.float32))


def _unit(vectors: np.ndarray, first: int) -> np.ndarray:
    """Scale rows to length 1 in fp64; `first` is the number of the first row, for the message."""
    vectors = np.array(vectors, dtype=np.float64)
    norms = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    if not np.isfinite(norms).all():
        row = first + int(np.flatnonzero(~np.isfinite(norms[:, 0]))[0])
        raise UserError(
            f"vector {row} holds NaN or infinity",
            expected="finite numbers",
            todo="run the model in float32 or bfloat16; float16 overflows in some models",
        )
    return np.divide(vectors, norms, out=vectors, where=norms > 0)


def _keys(cosines: np.ndarray) -> np.ndarray:
    """Integers that sort like the scores, with 32 low bits free for the reversed index."""
    np.clip(cosines, -1.0, 1.0, out=cosines)
    scores = cosines.astype(np.float32)
    scores += 0.0  # makes -0.0 the same key as 0.0
    return _flip(scores.view(np.int32)).astype(np.int64) << 32


def _scores(keys: np.ndarray) -> np.ndarray:
    """The scores float32 of keys."""
    return _flip((keys >> 32).astype(np.int32)).view(np.float32)


def _flip(bits: np.ndarray) -> np.ndarray:
    """Map int32 bit patterns of floats to integers of the same order, and back: it is its own inverse."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _largest(keys: np.ndarray, k: int) -> np.ndarray:
    """The k largest of each row [n, m], or all m if there are fewer; in no particular order."""
    return keys if k >= keys.shape[1] else np.partition(keys, keys.shape[1] - k, axis=1)[:, -k:]
