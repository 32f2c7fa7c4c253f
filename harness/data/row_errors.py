"""The mistakes in the rows of a split, told together: the first few of each file, and how many more there are.

errors = RowErrors()
errors.add(error, place=rows.place_of(number), where="task 'xnli', language de")
errors.raise_any()
"""

from collections import Counter
from collections.abc import Iterable

from harness.api.errors import UserError, raise_all

SHOWN = 5
"Mistakes of a file that are told one by one."


class MoreWrongRows(UserError):
    """Rows of a file that are wrong and not told one by one."""

    def __init__(self, number: int, *, where: str) -> None:
        """Takes their number and what is read."""
        super().__init__(f"and {number} more wrong rows", where=where)
        self.number = number


class RowErrors:
    """Collects what is wrong with single rows."""

    def __init__(self) -> None:
        self._told: dict[str, list[UserError]] = {}
        self._counts: Counter[str] = Counter()

    @property
    def number(self) -> int:
        """Rows that are wrong."""
        return self._counts.total()

    def add(self, error: UserError, *, place: str, where: str) -> None:
        """Keep a mistake of a row; `place` is its file and number, `where` what is read, before it."""
        file = f"{where}, {place.rpartition(', row ')[0]}"
        self._counts[file] += 1
        if self._counts[file] <= SHOWN:
            self._told.setdefault(file, []).append(error.at(f"{where}, {place}"))

    def raise_any(self) -> None:
        """Raise nothing, the one mistake, or the first ones of each file with the number of the others."""
        raise_all(self.errors())

    def errors(self) -> list[UserError]:
        """The first mistakes of each file; the very first says how many there are, for who reads no more than that."""
        found: list[UserError] = []
        for file, own in self._told.items():
            more = self._counts[file] - len(own)
            found += own
            found += [MoreWrongRows(more, where=file)] if more else []
        if self.number > 1:
            first = found[0]
            message = f"{first.message} (the first of {self.number} wrong rows)"
            found[0] = UserError(message, where=first.where, expected=first.expected, found=first.found, todo=first.todo)
        return found


def num_wrong(errors: Iterable[UserError]) -> int:
    """How many rows are wrong, where some are only counted."""
    return sum(error.number if isinstance(error, MoreWrongRows) else 1 for error in errors)
