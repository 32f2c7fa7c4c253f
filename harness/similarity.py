"""Cosine similarity and exact nearest neighbours in bounded memory: retrieval takes the best one, mining the best four.

    best = top_k(english, foreign, k=1)    # float arrays or memmaps [N, D] and [M, D], of any length and not yet normalised
    best.indices[:, 0], best.scores[:, 0]  # int64 and float32 [N]

Equal scores go to the lowest index, and the result is the same to the bit for any block size, number of threads and BLAS.
Matrix products do not promise that, since the order in which they add depends on shapes and kernels.  So unit vectors are put
on a grid of 2^-26 (finer than fp32 resolves scores near 1) and multiplied in double precision: every product is a multiple of
2^-52 and every partial sum stays below 2, so there is nothing to round and the order does not matter.
"""

import math
from typing import NamedTuple

import numpy as np

from harness.errors import UserError

_GRID = 2.0**26
_LOW_32 = 0xFFFFFFFF
_BYTES_PER_PAIR = 40  # of a block of scores: fp64 products, fp32 scores, int64 keys, a partitioned copy, its temporaries
_BYTES_PER_ENTRY = 48  # of a block of queries and one of vectors: fp64 copies, squares and quotients of each


class TopK(NamedTuple):
    """The nearest vectors of each query, best first."""

    indices: np.ndarray
    "int64 [N, k]"
    scores: np.ndarray
    "float32 [N, k] cosines"


def normalise(vectors: np.ndarray) -> np.ndarray:
    """Scale the rows of [N, D] to length 1, float32; a zero row stays zero.  Raises UserError for NaN and infinity."""
    return _unit(vectors, first=0).astype(np.float32)


def top_k(queries: np.ndarray, index: np.ndarray, *, k: int, block_bytes: int = 1 << 28) -> TopK:
    """Find the k rows of index [M, D] with the largest cosine to each query [N, D], using about `block_bytes` of memory.

    Cosines with a zero vector are 0.  Raises UserError if k is not within 1..M, if the lengths D differ, or for NaN and infinity.
    """
    if queries.ndim != 2 or index.ndim != 2 or queries.shape[1] != index.shape[1]:
        raise UserError(
            "queries and index are not vectors of one length",
            expected="two arrays [N, D] and [M, D]",
            found=f"{list(queries.shape)} and {list(index.shape)}",
        )
    if not 1 <= k <= len(index):
        raise UserError("cannot find that many neighbours", expected=f"1 to {len(index)}, the vectors there are", found=f"k={k}")
    assert len(index) <= _LOW_32
    rows = _block_rows(queries.shape[1], block_bytes)
    keys = np.empty((len(queries), k), dtype=np.int64)
    for start in range(0, len(queries), rows):
        block = _on_grid(queries[start : start + rows], start)
        best = np.empty((len(block), 0), dtype=np.int64)
        for first in range(0, len(index), rows):
            found = _keys(block @ _on_grid(index[first : first + rows], first).T, first)
            best = _largest(np.concatenate([best, _largest(found, k)], axis=1), k)
        keys[start : start + rows] = np.sort(best, axis=1)[:, ::-1]
    return TopK(indices=_LOW_32 - (keys & _LOW_32), scores=_flip((keys >> 32).astype(np.int32)).view(np.float32))


def _block_rows(length: int, block_bytes: int) -> int:
    """Rows r of a block such that r*r scores and the vectors they come from take `block_bytes`."""
    per_row = _BYTES_PER_ENTRY * length
    rows = (math.sqrt(per_row**2 + 4 * _BYTES_PER_PAIR * block_bytes) - per_row) / (2 * _BYTES_PER_PAIR)
    return max(1, int(rows))


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


def _on_grid(vectors: np.ndarray, first: int) -> np.ndarray:
    """Unit rows [n, D], each entry a multiple of 2^-26, fp64."""
    unit = _unit(vectors, first)
    unit *= _GRID
    np.rint(unit, out=unit)
    unit /= _GRID
    return unit


def _keys(cosines: np.ndarray, first: int) -> np.ndarray:
    """Integers [n, m] that sort like (score, lower index first): score bits above, reversed column number below."""
    np.clip(cosines, -1.0, 1.0, out=cosines)
    scores = cosines.astype(np.float32)
    scores += 0.0  # makes -0.0 the same key as 0.0
    keys = _flip(scores.view(np.int32)).astype(np.int64)
    keys <<= 32
    keys += _LOW_32 - np.arange(first, first + scores.shape[1], dtype=np.int64)
    return keys


def _flip(bits: np.ndarray) -> np.ndarray:
    """Map int32 bit patterns of floats to integers of the same order, and back: it is its own inverse."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _largest(keys: np.ndarray, k: int) -> np.ndarray:
    """The k largest of each row [n, m], or all m if there are fewer; in no particular order."""
    if k >= keys.shape[1]:
        return keys
    if k == 1:
        return keys.max(axis=1, keepdims=True)
    return np.partition(keys, keys.shape[1] - k, axis=1)[:, -k:]
