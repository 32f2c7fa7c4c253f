"""The test examples of a comparison, with the statistics of every cell aligned to them.

    index = ExampleIndex({folder: "xnli", other: "xnli"})                   # reads the ids of the cells
    index.same_examples(folder, other)
    items = index.load(folders, {"xnli": ["accuracy.accuracy"]})     # reads their statistics: a list of Items

Examples of one task with the same id in several languages are one item: translations of each other in XNLI, XQuAD, PAWS-X and
MLQA.  Where they are no translations (rows that are merely numbered) this does no harm, as their scores do not vary together.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harness.scoring.bootstrap import Combine
from harness.scoring.score import score_table
from harness.scoring.score_files import read_ids, read_stats
from harness.scoring.sums import ordered_total


@dataclass(kw_only=True, slots=True)
class Items:
    """A set of items that are drawn and swapped together, apart from all others: of a task, or of a language with its own ids."""

    name: str
    "What draws depend on: the task and a digest of the ids."
    size: int
    combine: Combine | None = None
    "Scores of totals, under the key `score`."
    columns: list[np.ndarray] = field(default_factory=list)
    "Different columns of statistics, each [size] in the smallest type that holds it; 0 for items that a cell lacks."
    cells: dict[Path, np.ndarray] = field(default_factory=dict)
    "Score folder -> which columns are its statistics [K]."
    places: dict[Path, np.ndarray] = field(default_factory=dict)
    "Score folder -> its items, int [n], in the order of its file."
    _known: dict[bytes, int] = field(default_factory=dict)

    def add(self, folder: Path, stats: np.ndarray) -> None:
        """Lay out the statistics [n, K] of a cell."""
        numbers = []
        for column in stats.T:
            spread = np.zeros(self.size)
            spread[self.places[folder]] = column
            small = _small(spread)
            digest = hashlib.blake2b(small.tobytes(), digest_size=16).digest() + small.dtype.char.encode()
            if digest not in self._known:
                self._known[digest] = len(self.columns)
                self.columns.append(small)
            numbers.append(self._known[digest])
        self.cells[folder] = np.array(numbers)

    def score(self, folder: Path) -> float:
        """The score of a cell."""
        assert self.combine is not None
        rows = self.places[folder]
        stats = np.stack([self.columns[number][rows] for number in self.cells[folder]], axis=1)
        return float(self.combine(ordered_total(stats))["score"])


def _small(column: np.ndarray) -> np.ndarray:
    """The same numbers in the smallest of three types."""
    for kind in (np.uint8, np.int32):
        if (column.astype(kind) == column).all() if np.abs(column).max(initial=0) < 2**31 else False:
            return column.astype(kind)
    return column


class ExampleIndex:
    """The cells of a comparison by the ids of their examples."""

    def __init__(self, folders: Mapping[Path, str]) -> None:
        """Takes score folder -> task and reads the ids."""
        self._ids: dict[bytes, np.ndarray] = {}  # one array for all cells of the same ids in the same order
        self._order: dict[Path, bytes] = {}
        self._sets: dict[Path, bytes] = {}
        sets: dict[bytes, bytes] = {}
        self._tasks = dict(folders)
        for folder in folders:
            ids = read_ids(folder)
            order = hashlib.blake2b("\n".join(ids.tolist()).encode()).digest()
            if order not in self._ids:
                self._ids[order] = ids
                sets[order] = hashlib.blake2b("\n".join(sorted(ids.tolist())).encode()).digest()
            self._order[folder], self._sets[folder] = order, sets[order]

    def same_examples(self, one: Path, other: Path) -> bool:
        """Whether two cells are of the same examples."""
        return self._sets[one] == self._sets[other]

    def num_examples(self, folder: Path) -> int:
        """Examples of a cell."""
        return len(self._ids[self._order[folder]])

    def load(self, folders: Iterable[Path], keys: Mapping[str, Sequence[str]]) -> list[Items]:
        """The items of some cells, with their statistics; `keys`: task -> the `metric.key` names whose mean is its score."""
        found = []
        tasks: dict[str, list[Path]] = {}
        for folder in dict.fromkeys(folders):
            tasks.setdefault(self._tasks[folder], []).append(folder)
        for task, own in tasks.items():
            found += [self._items(task, members, keys[task]) for members in self._together(own)]
        return found

    def _together(self, folders: Sequence[Path]) -> list[list[Path]]:
        """The folders in sets that have no id in common with each other."""
        parent: dict[bytes, bytes] = {}

        def root(order: bytes) -> bytes:
            while parent[order] != order:
                order = parent[order]
            return order

        first: dict[str, bytes] = {}
        for order in dict.fromkeys(self._order[folder] for folder in folders):
            parent[order] = order
            for other in {first.setdefault(id_, order) for id_ in self._ids[order].tolist()}:
                parent[root(other)] = root(order)
        sets: dict[bytes, list[Path]] = {}
        for folder in folders:
            sets.setdefault(root(self._order[folder]), []).append(folder)
        return list(sets.values())

    def _items(self, task: str, folders: Sequence[Path], keys: Sequence[str]) -> Items:
        orders = dict.fromkeys(self._order[folder] for folder in folders)
        ids = np.unique(np.concatenate([self._ids[order] for order in orders]))
        digest = hashlib.sha256("\n".join(ids.tolist()).encode()).hexdigest()
        places = {order: np.searchsorted(ids, self._ids[order]) for order in orders}
        items = Items(name=f"{task}/{digest}", size=len(ids))
        items.places = {folder: places[self._order[folder]] for folder in folders}
        for folder in folders:
            stats = read_stats(folder)
            table, items.combine = score_table(stats, keys)
            items.add(folder, table)
        return items
