"""Which rows of a split a limit takes, by their ids: a seeded sample, or the first ones.

rows_taken(["a", "b", "c"], "first:2", key="xnli")       # range(0, 2)
sample_ids(["a", "b", "c"], 2, key="xnli")               # positions of a seeded sample, in order
"""

import hashlib
from collections.abc import Sequence

from harness.specs.limit import Limit, num_taken, takes_first

_SAMPLE_KEY = "xlift sample"


def rows_taken(ids: Sequence[str], limit: Limit | None, *, key: str) -> Sequence[int]:
    """Positions of the examples that a limit takes."""
    if limit is None:
        return range(len(ids))
    number = num_taken(limit, of=len(ids))
    return range(number) if takes_first(limit) else sample_ids(ids, number, key=key)


def sample_ids(ids: Sequence[str], k: int, *, seed: int = 0, key: str = "") -> list[int]:
    """Positions of k ids, in order: those with the smallest hash of (seed, key, id).

    The choice does not depend on the other ids or their order, a smaller sample is part of a larger one, and languages that
    share ids (parallel data) get the same examples.
    """
    start = f"{_SAMPLE_KEY}\0{seed}\0{key}\0"
    hashes = [hashlib.blake2b((start + id_).encode(), digest_size=8).digest() for id_ in ids]
    return sorted(sorted(range(len(ids)), key=lambda position: (hashes[position], position))[:k])
