"""Seconds and memory of a comparison: made-up statistics of many cells, one after the other through both tests.

    OMP_NUM_THREADS=1 python benchmarks/compare_speed.py --cells 432 --examples 10000 --samples 2000

A cell is a (task, language) of both sides, scored by F1; 40 languages of a task share their items.  Prints the processor seconds
of the tests, without reading files, and the peak memory of the process.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from harness.report.comparison.items import Items
from harness.report.comparison.paired_scores import SeedPairs
from harness.report.comparison.significance import findings
from harness.scoring.score import score_table

LANGUAGES = 40


def made_up(num_cells: int, num_examples: int, *, metric: str) -> list[SeedPairs]:
    """Units of one seed each; B finds 2 % more than A."""
    rng = np.random.default_rng(0)
    _, combine = score_table({metric: np.zeros((1, 3))}, [f"{metric}.f1"])
    units: list[SeedPairs] = []
    while len(units) < num_cells:
        items = Items(name=f"task {len(units)}", size=num_examples, combine=combine)
        for lang in range(min(LANGUAGES, num_cells - len(units))):
            gold = rng.poisson(2, size=num_examples)
            folders = (Path(f"a{lang}"), Path(f"b{lang}"))
            for folder, rate in zip(folders, (0.70, 0.72), strict=True):
                stats = [rng.binomial(gold, rate), gold + rng.integers(0, 2, num_examples), gold]
                items.places[folder] = np.arange(num_examples)
                if metric != "chunk_f1":
                    stats = [rng.random(num_examples) < rate, rng.random(num_examples) * rate, np.ones(num_examples)]
                items.add(folder, np.stack(stats, axis=1).astype(np.float64))
            units.append(SeedPairs(items=items, pairs=[folders]))
    return units


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=80)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--metric", choices=("chunk_f1", "squad"), default="chunk_f1", help="whole counts, or fractions")
    args = parser.parse_args()
    units = made_up(args.cells, args.examples, metric=args.metric)
    begin = time.process_time()
    found = findings([[(number, 1.0)] for number in range(len(units))], units, samples=args.samples, seed=0)
    seconds = time.process_time() - begin
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    sys.stdout.write(
        f"{args.cells} cells of {args.examples:,} examples, {args.samples:,} samples of each test, {args.metric}: "
        f"{seconds:.1f} s, peak {memory:.2f} GB; mean difference {np.mean([f.difference.value for f in found]):.2f}\n"
    )


if __name__ == "__main__":
    main()
