"""What a row, a language and a cell cost in runs of three sizes each: the cost must not grow with the size.

    python benchmarks/growth.py                                     # all three: ten minutes of one processor
    python benchmarks/growth.py --of cells --cells 100,200,400      # one of them; a cell is a task in one of 20 languages

Runs are those of many_rows.py: `run_eval.py --model random` on made-up pairs, from reading the files to the board, each in a
process of its own.  The start, the same run over 10 rows, is taken off.  `grows as` is the power of the size that fits the costs:
1.00 is a straight line.  Exit code 1 if a unit of the largest size costs more than 1.3 times one of the smallest.

Processor seconds are counted, of which others on the machine take none, the least of some turns each: what else happens on a
machine makes a turn slower, never faster.
"""

import argparse
import math
import os
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.many_rows import Cost, Made, own_cache, run, say, start
from harness.data.languages import xtreme_languages

MOST = 1.3
"Times that a unit of the largest size may cost of one of the smallest."
LANGUAGES_OF_CELLS = 20
HEAD = f"{'of':9} {'size':>9}  {'CPU s':>7} {'a unit':>10} {'memory':>8} {'a unit':>9} {'load':>8}"


class Measured(NamedTuple):
    """One size of one kind, the start taken off."""

    size: int
    cpu: float
    memory: int

    @property
    def each(self) -> float:
        """Processor seconds a unit."""
        return self.cpu / self.size


def made(kind: str, size: int, args: argparse.Namespace) -> Made:
    """What is made up for a size of a kind."""
    languages = xtreme_languages()
    if kind == "rows":
        return Made(size)
    if kind == "languages":
        if size > len(languages):
            raise SystemExit(f"--languages: there are {len(languages)}")
        return Made(args.rows_a_language, languages[:size])
    if size % LANGUAGES_OF_CELLS:
        raise SystemExit(f"--cells: multiples of {LANGUAGES_OF_CELLS}, the languages of each task")
    return Made(args.rows_a_cell, languages[:LANGUAGES_OF_CELLS], size // LANGUAGES_OF_CELLS)


def least(what: Made, turns: int) -> Cost:
    """The turn that took the fewest processor seconds, with the most memory of all."""
    costs = [run(what) for _ in range(turns)]
    return min(costs, key=lambda cost: cost.cpu)._replace(peak=max(cost.peak for cost in costs))


def growth(found: list[Measured]) -> float:
    """The slope of the line that fits the logarithms of costs to those of sizes."""
    xs, ys = [math.log(one.size) for one in found], [math.log(one.cpu) for one in found]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


def measure(kind: str, begun: Cost, args: argparse.Namespace) -> bool:
    """Measure and print the sizes of a kind; whether a unit costs the same at all sizes."""
    found = []
    for size in sorted(map(int, getattr(args, kind).split(","))):
        cost = least(made(kind, size, args), args.turns)
        one = Measured(size, cost.cpu - begun.cpu, cost.peak - begun.peak)
        found.append(one)
        units = f"{one.cpu:7.1f} {1e3 * one.each:7.3f} ms {one.memory / 1e6:5.0f} MB {one.memory / size / 1e3:6.2f} kB"
        say(f"{kind:9} {size:9,}  {units}  {os.getloadavg()[0]:6.1f}")
    ratio = found[-1].each / found[0].each
    verdict = "linear" if ratio <= MOST else f"more than {MOST}: not linear"
    power = f"grows as size ^ {growth(found):.2f}"
    say(f"{kind:9} {power}; a unit of the largest costs {ratio:.2f} of one of the smallest: {verdict}\n")
    return ratio <= MOST


def main() -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", default="rows,languages,cells", help="of rows, languages, cells")
    parser.add_argument("--rows", default="100000,300000,1000000")
    parser.add_argument("--languages", default="10,20,40")
    parser.add_argument("--rows_a_language", type=int, default=2500)
    parser.add_argument("--cells", default="100,200,400")
    parser.add_argument("--rows_a_cell", type=int, default=25)
    parser.add_argument("--turns", type=int, default=1, help="of each size, of which the least counts")
    args = parser.parse_args()
    with own_cache():
        begun = start()
        say(f"start: {begun.cpu:.1f} CPU seconds, {begun.peak / 1e6:.0f} MB\n\n{HEAD}")
        verdicts = [measure(kind, begun, args) for kind in args.of.split(",")]
    return int(not all(verdicts))


if __name__ == "__main__":
    raise SystemExit(main())
