"""Bitext mining of large collections: what memory it says it takes, what it takes, and how long.

    python benchmarks/mining_memory.py --sentences 20000 --dimension 1024
    python benchmarks/mining_memory.py --sentences 460000 --targets 555503 --dimension 4096 --plan     # says it, and stops

Writes random vectors to two files, maps them and runs the search, the margins and the choice of pairs as a prediction does.
`peak` is the largest resident memory of the process less what it held before, mapped pages included.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from harness.task_types.vectors import margin
from harness.task_types.vectors.margin import mine, mining_memory

_ROWS = 256  # written at once: writing must not need more memory than searching


def write_vectors(path: Path, num: int, dimension: int, *, seed: int) -> np.ndarray:
    """Random vectors with a common direction, as pooled states have, in a file that is mapped read-only."""
    rng = np.random.default_rng(seed)
    common = np.random.default_rng(0).standard_normal(dimension, dtype=np.float32)
    with path.open("wb") as file:
        for start in range(0, num, _ROWS):
            rows = rng.standard_normal((min(_ROWS, num - start), dimension), dtype=np.float32)
            file.write((rows + common).tobytes())
    return np.asarray(np.memmap(path, dtype=np.float32, mode="r", shape=(num, dimension)))


def resident(field: str) -> int:
    """Bytes of memory of this process: VmRSS is what it holds now, VmHWM the most that it has held since it was started."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024


def measure(num_sources: int, num_targets: int, dimension: int) -> dict[str, float]:
    """Run the mining; bytes and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        sources = write_vectors(Path(folder) / "sources.f32", num_sources, dimension, seed=1)
        targets = write_vectors(Path(folder) / "targets.f32", num_targets, dimension, seed=2)
        before, begin = resident("VmRSS"), time.perf_counter()
        found = mine(sources, targets)
        seconds = time.perf_counter() - begin
        peak = resident("VmHWM") - before
    gigaflops = 2 * num_sources * num_targets * dimension / seconds / 1e9
    return {"pairs": len(found.scores), "peak": peak, "before": before, "seconds": seconds, "gigaflops": gigaflops}


def main() -> None:
    """Say, measure and print; with --json one line for programs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sentences", type=int, required=True, help="vectors of the foreign side, and of the English one by default"
    )
    parser.add_argument("--targets", type=int, help="vectors of the English side")
    parser.add_argument("--dimension", type=int, required=True)
    parser.add_argument("--block_mb", type=int, help="memory of the search; by default that of a prediction")
    parser.add_argument("--plan", action="store_true", help="say the memory and do not search")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.block_mb:
        margin.BLOCK_BYTES = args.block_mb << 20
    targets = args.targets or args.sentences
    stated = mining_memory(args.sentences, targets, dimension=args.dimension)
    found = {} if args.plan else measure(args.sentences, targets, args.dimension)
    if args.json:
        sys.stdout.write(json.dumps({"stated": stated, **found}) + "\n")
        return
    for name, size in stated.items():
        sys.stdout.write(f"stated {name:10} {size / 2**20:9.1f} MB\n")
    for name, value in found.items():
        text = f"{value / 2**20:9.1f} MB" if name in ("peak", "before") else f"{value:9.1f}"
        sys.stdout.write(f"found  {name:10} {text}\n")


if __name__ == "__main__":
    main()
