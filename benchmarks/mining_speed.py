"""Mining 100,000 x 100,000 vectors of 384 dimensions, margins and matching included, beside faiss-cpu's exact search.

    python benchmarks/mining_speed.py                                # needs `make bench-peers`; an hour of processor time
    python benchmarks/mining_speed.py --sentences 20000

Random unit vectors in float32, half of the targets near a source.  The peer is what LASER's and XTREME's scripts do: IndexFlatIP
both ways with four neighbours, the ratio margin in numpy, and the greedy choice of pairs.  They agree if all but a few pairs
(ties of rounding) are the same.  The memory that ours takes beyond its vectors is printed, with what it says beforehand.
"""

import resource
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.pairs import Row, against, arguments, peer_python
from benchmarks.side import serve

DIMENSION, NEIGHBOURS = 384, 4
ALIKE = 0.999
"Of the pairs, those that must be the same."


def vectors(num: int) -> tuple[Any, Any]:
    """Sources and targets, the same in every process."""
    import numpy as np

    rng = np.random.default_rng(0)
    sources = rng.standard_normal((num, DIMENSION), dtype=np.float32)
    targets = rng.standard_normal((num, DIMENSION), dtype=np.float32)
    targets[: num // 2] = sources[: num // 2] + targets[: num // 2] / 2
    return tuple(side / np.linalg.norm(side, axis=1, keepdims=True) for side in (sources, targets))  # type: ignore[return-value]


def xlift(num: int) -> None:
    """Our side."""
    from harness.task_types.vectors.margin import mine, mining_memory

    sources, targets = vectors(num)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

    def shown(found: Any) -> dict[str, Any]:
        taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before
        stated = mining_memory(num, num, dimension=DIMENSION)["total"]
        return {"pairs": _checked(found.sources, found.targets), "taken": taken, "stated": stated}

    serve(lambda: mine(sources, targets), shown=shown)


def faiss_exact(num: int) -> None:
    """The peer's side."""
    import faiss
    import numpy as np

    sources, targets = vectors(num)

    def nearest(queries: Any, index: Any) -> tuple[Any, Any]:
        found = faiss.IndexFlatIP(DIMENSION)
        found.add(index)
        return found.search(queries, NEIGHBOURS)  # type: ignore[no-any-return]

    def best(scores: Any, indices: Any, own: Any, other: Any) -> tuple[Any, Any]:
        margins = scores / ((own[:, None] + other[indices]) / 2)
        place, rows = margins.argmax(axis=1), np.arange(len(indices))
        return indices[rows, place], margins[rows, place]

    def work() -> tuple[Any, Any]:
        (forward, to), (backward, back) = nearest(sources, targets), nearest(targets, sources)
        means = forward.mean(axis=1), backward.mean(axis=1)
        (partner, score), (origin, other) = best(forward, to, *means), best(backward, back, *means[::-1])
        left, right = np.concatenate([np.arange(num), origin]), np.concatenate([partner, np.arange(num)])
        used: tuple[set[int], set[int]] = (set(), set())
        pairs = []
        for at in np.argsort(-np.concatenate([score, other]), kind="stable"):
            i, j = int(left[at]), int(right[at])
            if i not in used[0] and j not in used[1]:
                used[0].add(i)
                used[1].add(j)
                pairs.append((i, j))
        return tuple(np.array(pairs).T)

    serve(work, shown=lambda found: {"pairs": _checked(*found)})


def _checked(sources: Any, targets: Any) -> dict[str, Any]:
    """Number of pairs, and for each source its target, as a short list of sums over blocks that can be compared."""
    import numpy as np

    partner = np.full(int(max(sources.max(), targets.max())) + 1, -1)
    partner[sources] = targets
    return {"number": len(sources), "partners": partner.tolist()}


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """Most sources have the same target; the memory stays below what is said of it."""
    mine, other = ours["pairs"]["partners"], theirs["pairs"]["partners"]
    equal = sum(a == b for a, b in zip(mine, other))
    if equal < ALIKE * len(mine):
        raise SystemExit(f"results differ: {equal} of {len(mine)} sources have the same target")
    if ours["taken"] > ours["stated"]:
        raise SystemExit(f"memory: {ours['taken']} bytes taken, {ours['stated']} stated")
    return (
        f"{equal} of {len(mine)} sources have the same target; {ours['taken'] >> 20} MB taken, {ours['stated'] >> 20} MB stated"
    )


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--sentences", type=int, default=100_000, help="of each side")
    args = parser.parse_args()
    if args.side:
        {"xlift": xlift, "faiss": faiss_exact}[args.side](args.sentences)
        return
    part = f"mining {args.sentences:,} x {args.sentences:,} at {DIMENSION} dimensions, margin and matching included"
    row = Row(name="mining", part=part, peer="faiss-cpu 1.15.1 IndexFlatIP", goal=1.0)
    words = ("--sentences", str(args.sentences))
    against(row, "faiss", *words, python=peer_python(), agree=same, args=args)


if __name__ == "__main__":
    main()
