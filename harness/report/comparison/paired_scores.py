"""Scores of many cells over the same items at once, with items weighted (bootstrap) or swapped between the sides (randomisation).

    part = PairedScores([SeedPairs(items=items, pairs=[(folder_a, folder_b)]), ...])
    low, high = part.bootstrap(weights)              # scores of A and B [2, U, S] for weights [S, items]
    part.swapped(swaps, np.arange(items.size))       # B minus A [U, S]

Scores are computed of summed statistics, never averaged over examples.  Arrays are made in chunks of bounded size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.report.comparison.items import Items
from harness.scoring.bootstrap import combined, exact_sums

_STATS = 2_000_000  # entries of one array of statistics (16 MB)
_TOTALS = 2_000_000  # entries of one array of totals given to a metric


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedPairs:
    """What is averaged over seeds: the pairs of cells (one a seed) of a contrast in one language of one task."""

    items: Items
    pairs: Sequence[tuple[Path, Path]]
    "Score folders of A and B, cells of `items`."


class PairedScores:
    """The scores of all pairs of cells whose test examples are one set of items."""

    def __init__(self, units: Sequence[SeedPairs]) -> None:
        self.items = units[0].items
        folders = list(dict.fromkeys(folder for unit in units for pair in unit.pairs for folder in pair))
        place = {folder: number for number, folder in enumerate(folders)}
        used, cells = np.unique([self.items.cells[folder] for folder in folders], return_inverse=True)
        self.columns = [self.items.columns[number] for number in used]
        self.cells = cells.reshape(len(folders), -1)  # [C, K] columns
        self.a = np.array([place[a] for unit in units for a, _ in unit.pairs])  # [P] cells
        self.b = np.array([place[b] for unit in units for _, b in unit.pairs])
        self.counts = np.array([len(unit.pairs) for unit in units])  # [U] pairs
        self.starts = np.cumsum(self.counts) - self.counts
        self.totals = self._sums(np.ones((1, self.items.size), dtype=np.float32))[0]  # [columns]
        both = list(zip(self.cells[self.a].ravel().tolist(), self.cells[self.b].ravel().tolist(), strict=True))
        self.changes = sorted({(a, b) for a, b in both if a != b})  # (column of A, column of B)
        known = {change: number for number, change in enumerate(self.changes)}
        self.change = np.array([known.get(change, len(known)) for change in both]).reshape(len(self.a), -1)  # [P, K]
        self.differing = np.array([self._differing(unit) for unit in range(len(units))])  # [U, items]
        self.present = np.zeros_like(self.differing)
        for number, unit in enumerate(units):
            for folder, _ in unit.pairs:
                self.present[number, self.items.places[folder]] = True

    def _differing(self, unit: int) -> np.ndarray:
        """The items of which a unit's sides have other statistics: bool [items]."""
        found = np.zeros(self.items.size, dtype=bool)
        pairs = slice(self.starts[unit], self.starts[unit] + self.counts[unit])
        for number in np.unique(self.change[pairs]):
            if number < len(self.changes):
                a, b = self.changes[number]
                found |= self.columns[a] != self.columns[b]
        return found

    def _sums(self, weights: np.ndarray) -> np.ndarray:
        """Totals [S, columns] of items weighted [S, items]."""
        columns = self.columns
        totals = np.empty((len(weights), len(columns)))
        for start, stop in _chunks(len(columns), self.items.size, _STATS):
            stats = np.stack(columns[start:stop], axis=1).astype(np.float64)
            totals[:, start:stop] = exact_sums(weights, stats, num_drawn=self.items.size)
        return totals

    def _scores(self, totals: np.ndarray) -> np.ndarray:
        """Scores [S, X] of totals [S, X, K]."""
        assert self.items.combine is not None
        return combined(self.items.combine, totals)["score"]

    def _means(self, scores: np.ndarray) -> np.ndarray:
        """Means [U, S] over the seeds of each unit, of scores [S, P]."""
        return np.add.reduceat(scores, self.starts, axis=1).T / self.counts[:, None]

    def bootstrap(self, weights: np.ndarray) -> np.ndarray:
        """Scores [2, U, S] of A and B with items weighted [S, items]."""
        totals = self._sums(weights)
        scores = np.empty((len(weights), len(self.cells)))
        for start, stop in _chunks(len(self.cells), len(weights) * self.cells.shape[1], _TOTALS):
            scores[:, start:stop] = self._scores(totals[:, self.cells[start:stop]])
        return np.stack([self._means(scores[:, self.a]), self._means(scores[:, self.b])])

    def swapped(self, swaps: np.ndarray, items: np.ndarray) -> np.ndarray:
        """B minus A [U, S] after swapping between the sides those of `items` [M] that swaps [S, M] marks with 1."""
        columns = self.columns
        moved = np.zeros((len(swaps), len(self.changes) + 1))
        for start, stop in _chunks(len(self.changes), len(items), _STATS):
            some = self.changes[start:stop]
            steps = np.stack([columns[b][items].astype(np.float64) - columns[a][items] for a, b in some], axis=1)
            moved[:, start:stop] = exact_sums(swaps, steps, num_drawn=max(len(items), 1))
        differences = np.empty((len(swaps), len(self.a)))
        for start, stop in _chunks(len(self.a), len(swaps) * self.cells.shape[1], _TOTALS):
            move = moved[:, self.change[start:stop]]
            a = self._scores(self.totals[self.cells[self.a[start:stop]]] + move)
            b = self._scores(self.totals[self.cells[self.b[start:stop]]] - move)
            differences[:, start:stop] = b - a
        return self._means(differences)


def _chunks(number: int, width: int, most: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of chunks of things of a width, so that a chunk holds `most` entries."""
    step = max(1, most // max(width, 1))
    for start in range(0, number, step):
        yield start, min(start + step, number)
