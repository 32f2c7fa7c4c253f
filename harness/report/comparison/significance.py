"""The two tests of a comparison: the paired bootstrap and approximate randomisation, for all rows at once.

    found = findings(rows, units, samples=2000, seed=0)      # a Finding for each row

A row is the weighted mean of some units (contrast, task, language).  Items are drawn with replacement (bootstrap) or swapped
between the sides (randomisation) for all languages and seeds at once.  Memory does not grow with the number of samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from harness.api.randomness import generator
from harness.report.comparison.paired_scores import PairedScores, SeedPairs
from harness.scoring.bootstrap import LEVEL, Interval, draw_counts, num_extreme, p_value

EXACT_ITEMS = 12
"Up to this many items in which the sides differ, all swaps are enumerated."
_KEPT = 5000  # replicates behind an interval, whatever the number of samples
_STEP = 500  # samples at a time
_WEIGHTS = 5_000_000  # entries of one array of weights (20 MB): fewer samples at a time for very many items


class Gain(NamedTuple):
    """The share of the points that A left to win that B wins, (B - A) / (100 - A), in percent."""

    value: float
    low: float | None
    "Ends of its interval; None if A left no points in some resampled set of items."
    high: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The test results of one row."""

    a: float
    b: float
    difference: Interval
    "B minus A, in points."
    gain: Gain | None
    "None if A left no points to win."
    num_items: int
    "Items that are drawn and swapped."
    num_differing: int
    "Those in which the sides differ: swapping the others changes nothing."
    p_bootstrap: float
    p_randomisation: float
    num_swaps: int
    "Swaps behind p_randomisation."
    exact: bool
    "Whether these are all swaps that there are."


Contents = Sequence[tuple[int, float]]
"The units of a row: (number, weight)."


def findings(rows: Sequence[Contents], units: Sequence[SeedPairs], *, samples: int, seed: int) -> list[Finding]:
    """Test each row; the draws depend on the seed and the items alone.  Raises ValueError if a metric gives no finite score."""
    if not rows:
        return []
    table = _Table(rows, units)
    counts = _Counts(num_rows=len(rows))
    generators = [
        [generator(purpose, part.items.name, seed=seed) for part in table.parts] for purpose in ("paired bootstrap", "swaps")
    ]
    for start in range(0, samples, _STEP):
        _resample(table, counts, generators, size=min(_STEP, samples - start))
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    ends = np.quantile(np.concatenate(counts.differences, axis=1), tails, axis=1).T
    gain_ends = np.quantile(np.concatenate(counts.gains, axis=1), tails, axis=1).T
    found = []
    for row in range(len(rows)):
        num_differing = table.num_items(row, differing=True)
        exact = num_differing <= EXACT_ITEMS
        p = _enumerated(rows[row], units, observed=table.difference[row]) if exact else None
        found.append(
            Finding(
                a=float(table.a[row]),
                b=float(table.b[row]),
                difference=Interval(float(table.difference[row]), *map(float, ends[row])),
                gain=_gain(table.gain[row], gain_ends[row]),
                num_items=table.num_items(row, differing=False),
                num_differing=num_differing,
                p_bootstrap=p_value(int(counts.far_drawn[row]), samples),
                p_randomisation=p_value(int(counts.far_swapped[row]), samples) if p is None else p,
                num_swaps=2**num_differing if exact else samples,
                exact=exact,
            )
        )
    return found


class _Table:
    """Rows, the parts that their units lie in, and the observed numbers."""

    def __init__(self, rows: Sequence[Contents], units: Sequence[SeedPairs]) -> None:
        sets: dict[int, list[int]] = {}
        for number, unit in enumerate(units):
            sets.setdefault(id(unit.items), []).append(number)
        self.parts = [PairedScores([units[number] for number in members]) for members in sets.values()]
        place = {number: (part, k) for part, members in enumerate(sets.values()) for k, number in enumerate(members)}
        self._links = [(row, *place[unit], weight) for row, contents in enumerate(rows) for unit, weight in contents]
        self._members = [[place[unit] for unit, _ in contents] for contents in rows]
        self._num_rows = len(rows)
        ends = [part.bootstrap(np.ones((1, part.items.size), dtype=np.float32)) for part in self.parts]
        self.a, self.b = (self.summed([end[side] for end in ends])[:, 0] for side in (0, 1))
        self.difference = self.b - self.a
        self.gain = _gains(self.a, self.b)

    def summed(self, values: Sequence[np.ndarray]) -> np.ndarray:
        """Rows [R, S] of values [U, S] of the units of each part."""
        total = np.zeros((self._num_rows, values[0].shape[1]))
        for row, part, unit, weight in self._links:
            total[row] += weight * values[part][unit]
        return total

    def num_items(self, row: int, *, differing: bool) -> int:
        """How many items a row has, or in how many of them its sides differ."""
        found: dict[int, np.ndarray] = {}
        for part, unit in self._members[row]:
            mask = (self.parts[part].differing if differing else self.parts[part].present)[unit]
            found[part] = found[part] | mask if part in found else mask
        return sum(int(mask.sum()) for mask in found.values())


@dataclass(kw_only=True)
class _Counts:
    """The running counts and kept replicates of all samples so far."""

    num_rows: int
    differences: list[np.ndarray] = field(default_factory=list)
    "Of the bootstrap, [R, S] in blocks."
    gains: list[np.ndarray] = field(default_factory=list)
    num_kept: int = 0

    def __post_init__(self) -> None:
        self.far_drawn = np.zeros(self.num_rows, dtype=int)
        self.far_swapped = np.zeros(self.num_rows, dtype=int)


def _resample(table: _Table, counts: _Counts, generators: Sequence[Sequence[np.random.Generator]], *, size: int) -> None:
    """Draw and swap `size` times more."""
    drawn = [_drawn(part, rng, size=size) for part, rng in zip(table.parts, generators[0], strict=True)]
    a, b = (table.summed([scores[side] for scores in drawn]) for side in (0, 1))
    differences = b - a
    # The bootstrap distribution, moved so that its centre is 0, stands for the null hypothesis.
    counts.far_drawn += num_extreme(table.difference, differences - table.difference[:, None])
    more = min(size, _KEPT - counts.num_kept)
    if more > 0:
        counts.differences.append(differences[:, :more])
        counts.gains.append(_gains(a, b)[:, :more])
        counts.num_kept += more
    swapped = [_swapped(part, rng, size=size) for part, rng in zip(table.parts, generators[1], strict=True)]
    counts.far_swapped += num_extreme(table.difference, table.summed(swapped))


def _drawn(part: PairedScores, rng: np.random.Generator, *, size: int) -> np.ndarray:
    """Scores [2, U, S] of A and B with items drawn with replacement, S times."""
    n = part.items.size
    return np.concatenate([part.bootstrap(draw_counts(rng, samples=s, n=n)) for s in _few(size, n)], axis=2)


def _swapped(part: PairedScores, rng: np.random.Generator, *, size: int) -> np.ndarray:
    """B minus A [U, S] with items swapped at random, S times."""
    items = np.flatnonzero(part.differing.any(axis=0))
    found = []
    for samples in _few(size, part.items.size):
        # All items are drawn for, whichever differ: the draws of a row do not depend on the other rows.
        bits = rng.integers(256, size=(samples, -(-part.items.size // 8)), dtype=np.uint8)
        found.append(part.swapped(np.unpackbits(bits, axis=1)[:, items].astype(np.float32), items))
    return np.concatenate(found, axis=1)


def _few(size: int, num_items: int) -> list[int]:
    """Numbers of samples at a time that add up to `size`."""
    step = max(1, _WEIGHTS // num_items)
    return [min(step, size - start) for start in range(0, size, step)]


def _enumerated(contents: Contents, units: Sequence[SeedPairs], *, observed: float) -> float:
    """The exact p-value of a row: the share of all swaps of the items in which its sides differ."""
    table = _Table([[(place, weight) for place, (_, weight) in enumerate(contents)]], [units[number] for number, _ in contents])
    items = [np.flatnonzero(part.differing.any(axis=0)) for part in table.parts]
    num_items = sum(map(len, items))
    patterns = (np.arange(2**num_items)[:, None] >> np.arange(num_items)) & 1
    shares = np.split(patterns.astype(np.float32), np.cumsum([len(own) for own in items])[:-1], axis=1)
    swapped = table.summed([part.swapped(s, own) for part, s, own in zip(table.parts, shares, items, strict=True)])
    return float(num_extreme(np.array([observed]), swapped)[0]) / len(patterns)


def _gain(value: float, ends: np.ndarray) -> Gain | None:
    if np.isnan(value):
        return None
    low, high = (None, None) if np.isnan(ends).any() else map(float, ends)
    return Gain(float(value), low, high)


def _gains(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Share of the points left by `a` that `b` wins, in percent; not a number where there are none."""
    room = 100 - a
    return np.divide(100 * (b - a), room, out=np.full_like(room, np.nan), where=room > 1e-9)
