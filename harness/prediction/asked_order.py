"""The features of some cells in the order in which a model is asked.

index = asked_in_order(cells)             # [(cell, number of its feature), ...]: what begins alike stands together
index[17], index.lengths()
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, overload

import numpy as np

from harness.prediction.cell import Cell


class AskedOrder(Sequence[tuple[Cell, int]]):
    """Features of some cells in an order, each with its number in its cell."""

    def __init__(self, cells: Sequence[Cell], *, which: np.ndarray, numbers: np.ndarray) -> None:
        """Takes for each place the place of its cell among the cells, and the feature's number."""
        self._cells, self._which, self._numbers = cells, which, numbers

    def __len__(self) -> int:
        return len(self._which)

    @overload
    def __getitem__(self, place: int) -> tuple[Cell, int]: ...

    @overload
    def __getitem__(self, place: slice) -> list[tuple[Cell, int]]: ...

    def __getitem__(self, place: int | slice) -> tuple[Cell, int] | list[tuple[Cell, int]]:
        if isinstance(place, slice):
            return self.at(range(*place.indices(len(self))))
        return self._cells[self._which[place]], int(self._numbers[place])

    def at(self, places: Sequence[int]) -> list[tuple[Cell, int]]:
        """The features at some places."""
        which, numbers = self._which[list(places)].tolist(), self._numbers[list(places)].tolist()
        return [(self._cells[cell], number) for cell, number in zip(which, numbers, strict=True)]

    def lengths(self) -> list[int]:
        """Tokens that each feature costs."""
        found: list[int] = self.in_order([np.asarray(cell.lengths, dtype=np.int64) for cell in self._cells]).tolist()
        return found

    def in_order(self, values: Sequence[np.ndarray]) -> np.ndarray:
        """A value of each feature: of each cell an array goes in that has one for each of its features, of one type."""
        begins = np.cumsum([0, *map(len, values)])[:-1]
        return np.concatenate(values)[begins[self._which] + self._numbers] if len(self) else np.zeros(0, dtype=np.int64)


def prompts_of(cell: Cell) -> tuple[Any, Any]:
    """What prompts of a cell are made of: its task, and the solved examples before each question (None without any)."""
    return cell.args.task, cell.args.shots


def asked_in_order(cells: Sequence[Cell]) -> AskedOrder:
    """All features of some cells, each with its number, in the order in which the model is asked.

    One language after the other, where neighbouring rows are questions on one text.  With solved examples before each question
    one row after the other in all languages of a task: parallel data have the same examples there, which are most of a prompt.
    """
    which, numbers = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.int32)]
    for (_, shots), same in groupby(enumerate(cells), key=lambda place: prompts_of(place[1])):
        own = [(place, len(cell.lengths)) for place, cell in same]
        places = np.concatenate([np.full(number, place, dtype=np.int32) for place, number in own])
        rows = np.concatenate([np.arange(number, dtype=np.int32) for _, number in own])
        order = np.argsort(rows, kind="stable") if shots else slice(None)
        which.append(places[order])
        numbers.append(rows[order])
    return AskedOrder(cells, which=np.concatenate(which), numbers=np.concatenate(numbers))
