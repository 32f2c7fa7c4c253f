"""Translations found in two collections of sentences by the ratio margin, and the score from which a pair is accepted (BUCC).

    found = mine(foreign_vectors, english_vectors)           # one-to-one, best first
    threshold = best_threshold(found.scores, is_gold, num_gold=len(gold))
    found.scores >= threshold

The rules are those of XTREME's third_party/utils_retrieve.py (mine_bitext with `max` retrieval, bucc_optimize, bucc_extract).
"""

from typing import NamedTuple

import numpy as np

from harness.task_types.vectors.nearest_neighbours import MutualTopK, mutual_top_k, search_memory, top_k

NEIGHBOURS = 4
"Neighbours over which the margin is taken."
BLOCK_BYTES = 1 << 30
"Memory of the search, besides what it gives: large blocks read the vectors less often."
_BYTES_PER_VECTOR = 8 * 6 * NEIGHBOURS + 200  # margins of its neighbours, its candidate, and that one's order as Python numbers


class Mined(NamedTuple):
    """Candidate pairs, each vector in one of them at most, best first."""

    sources: np.ndarray
    "int64 [n]"
    targets: np.ndarray
    "int64 [n]"
    scores: np.ndarray
    "float64 [n], all above 0"


def mine(sources: np.ndarray, targets: np.ndarray) -> Mined:
    """Pair rows of [N, D] with rows of [M, D], at least one each, by the ratio of their cosine to those of their neighbours.

    The candidates are the best target of each source and the best source of each target; the better one wins a vector that
    two want.  Of equal scores the first wins: best targets by source, then best sources by target.
    """
    forward, backward = _neighbours(sources, targets)
    means = [found.scores.astype(np.float64).mean(axis=1) for found in (forward, backward)]
    best_target = _best(forward.indices, forward.scores, means[0], means[1])
    best_source = _best(backward.indices, backward.scores, means[1], means[0])
    rows, columns = np.arange(len(sources)), np.arange(len(targets))
    left = np.concatenate([rows, best_source.partner])
    right = np.concatenate([best_target.partner, columns])
    scores = np.concatenate([best_target.score, best_source.score])
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] > 0]
    free = bytearray(b"\1") * len(sources), bytearray(b"\1") * len(targets)
    kept = []
    for place, i, j in zip(order.tolist(), left[order].tolist(), right[order].tolist()):
        if free[0][i] and free[1][j]:
            free[0][i] = free[1][j] = 0
            kept.append(place)
    chosen = np.array(kept, dtype=np.int64)
    return Mined(left[chosen], right[chosen], scores[chosen])


def best_threshold(scores: np.ndarray, correct: np.ndarray, *, num_gold: int) -> float:
    """The score from which pairs [n], best first, are taken for the best F1: halfway between the last one taken and the next.

    After the last candidate comes 0, which no candidate reaches (XTREME's code fails there).  Without a correct one it is 0.
    """
    if not correct.any():
        return 0.0
    found = np.cumsum(correct)
    precision, recall = found / np.arange(1, len(found) + 1), found / num_gold
    f1 = np.divide(2 * precision * recall, precision + recall, out=np.zeros(len(found)), where=found > 0)
    cut = int(np.argmax(f1))
    return float((scores[cut] + (scores[cut + 1] if cut + 1 < len(scores) else 0.0)) / 2)


def mining_memory(num_sources: int, num_targets: int, *, dimension: int) -> dict[str, int]:
    """Bytes that `mine` takes by what takes them, and their `total`; the vectors stay on disk."""
    parts = search_memory(num_sources, num_targets, dimension=dimension, k=NEIGHBOURS, mutual=True, block_bytes=BLOCK_BYTES)
    parts["margins"] = (num_sources + num_targets) * _BYTES_PER_VECTOR
    total = parts.pop("total") + parts["margins"]
    return {**parts, "total": total}


class _Partner(NamedTuple):
    """The best neighbour of each vector."""

    partner: np.ndarray
    "int64 [N]"
    score: np.ndarray
    "float64 [N]"


def _neighbours(sources: np.ndarray, targets: np.ndarray) -> MutualTopK:
    """The nearest four in both directions, or all where there are fewer."""
    if min(len(sources), len(targets)) >= NEIGHBOURS:
        return mutual_top_k(sources, targets, k=NEIGHBOURS, block_bytes=BLOCK_BYTES)
    return MutualTopK(
        top_k(sources, targets, k=min(NEIGHBOURS, len(targets)), block_bytes=BLOCK_BYTES),
        top_k(targets, sources, k=min(NEIGHBOURS, len(sources)), block_bytes=BLOCK_BYTES),
    )


def _best(indices: np.ndarray, cosines: np.ndarray, own_mean: np.ndarray, neighbour_mean: np.ndarray) -> _Partner:
    """The neighbour [N, k] with the largest margin; vectors whose neighbours' cosines are all 0 have the margin 0."""
    means = (own_mean[:, None] + neighbour_mean[indices]) / 2
    margins = np.divide(cosines, means, out=np.zeros(cosines.shape), where=means != 0)
    place = margins.argmax(axis=1)
    rows = np.arange(len(indices))
    return _Partner(indices[rows, place], margins[rows, place])
