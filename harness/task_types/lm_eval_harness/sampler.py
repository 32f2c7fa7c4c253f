"""Solved examples as the sampler of lm-evaluation-harness draws them: one stream of random numbers for all rows of a task.

    draws = SequentialDraws(pool, documents, k=3, seed=1234, without_own=False)
    draws.of(17)          # the rows shown before row 17, in their order

Row 17 gets what the eighteenth draw gives, whatever rows are asked, in whatever order: rows left out by a limit are drawn for as
well.  With `without_own` one row more is drawn and the question's own left out, and where it stood there twice, drawn again.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from harness.api.errors import UserError

Row = Mapping[str, Any]
SEED = 1234
"lm-eval's, where a run names no other."


class SequentialDraws:
    """The draws of one task, made once from the first row on, as far as they are asked for."""

    def __init__(self, pool: Sequence[Row], documents: Sequence[Row], *, k: int, seed: int, without_own: bool) -> None:
        """`documents` are all rows that the task asks, in order; raises UserError for a pool that is too small."""
        least = k + 1 if without_own else k
        if len(pool) < least:
            more = f"{k} solved examples and one to spare" if without_own else f"{k} solved examples"
            raise UserError(f"not enough rows for {more}", found=f"{len(pool)} rows")
        self._pool, self._documents = pool, documents
        self._k, self._without_own = k, without_own
        self._random = Random(seed)
        self._found: list[tuple[int, ...]] = []
        "Positions in the pool, of the rows so far."

    def of(self, number: int) -> list[Row]:
        """The solved examples of a row."""
        while len(self._found) <= number:
            self._found.append(self._next(self._documents[len(self._found)]))
        return [self._pool[position] for position in self._found[number]]

    def _next(self, document: Row) -> tuple[int, ...]:
        positions = range(len(self._pool))
        if not self._without_own or not document:
            return tuple(self._random.sample(positions, self._k))
        drawn = self._random.sample(positions, self._k + 1)
        left = [position for position in drawn if self._pool[position] != document][: self._k]
        if len(left) < self._k:
            others = [position for position in positions if self._pool[position] != document]
            if len(others) < self._k:
                raise UserError(f"not enough rows for {self._k} solved examples", found=f"{len(others)} other rows")
            left = self._random.sample(others, self._k)
        return tuple(left)
