"""What a user can mend (UserError: message only, exit code 2), a disk that fails (OutputFailed, 1), and our own bugs (traceback).

raise UserError("unknown language 'xx'", where="tasks/xnli.yaml:7 languages[3]",
                expected="one of the 15 languages of xnli", todo="did you mean 'zh'?")

Exception
├── UserError            wrong input; the message says where, what was expected, what was found, what to do
│   ├── UserErrors       several of them, found in one pass and reported together
│   ├── MissingData      a dataset or language is not there: its cells fail, all others run, exit code 1
│   └── WrongData        what describes data cannot be read: its cells fail, all others run, exit code 1
└── OutputFailed         what is computed cannot be written any more: the run ends, what is done is kept, exit code 1
"""

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Sequence


class UserError(Exception):
    """Wrong input.  `str()` of it is everything the user needs; no traceback is shown for it."""

    def __init__(
        self,
        message: str,
        *,
        where: str = "",
        expected: str = "",
        found: str = "",
        todo: str = "",
    ) -> None:
        """Arguments: message says what is wrong; where = file:line and key path; the rest is printed line by line."""
        self.message, self.where, self.expected, self.found, self.todo = message, where, expected, found, todo
        super().__init__(_lines(message, where=where, expected=expected, found=found, todo=todo))

    def at(self, where: str) -> "UserError":
        """The same mistake, said to be somewhere else."""
        return UserError(self.message, where=where, expected=self.expected, found=self.found, todo=self.todo)

    def within(self, place: str) -> "UserError":
        """The same mistake, with the place that holds it before its own."""
        return self.at(f"{place}: {self.where}" if self.where else place)


class UserErrors(UserError):
    """Several user errors that one pass found; printed one after the other with their number."""

    def __init__(self, errors: Sequence[UserError]) -> None:
        """Takes the errors in the order in which they are to be read."""
        self.errors = tuple(errors)
        super().__init__("\n".join([*map(str, errors), f"{len(errors)} errors"]))

    def at(self, where: str) -> "UserErrors":
        """Each of them, said to be somewhere else."""
        return UserErrors([error.at(where) for error in self.errors])

    def within(self, place: str) -> "UserErrors":
        """Each of them, with the place that holds them before its own."""
        return UserErrors([error.within(place) for error in self.errors])


class MissingData(UserError):
    """Data that a cell needs is not on this machine; only the cells that need it fail."""

    def __init__(self, message: str, *, found: str = "", todo: str = "", fetchable: bool = False) -> None:
        """`fetchable`: the command `fetch` brings it, on a machine that reaches the hub."""
        super().__init__(message, found=found, todo=todo)
        self.fetchable = fetchable

    def advising(self, todo: str) -> "MissingData":
        """The same error with other advice than `fetch`; unchanged where there is none."""
        return MissingData(self.message, found=self.found, todo=todo) if todo else self


class WrongData(UserError):
    """What describes data on this machine (a mirror's README, the labels of training rows) cannot be read; its cells fail."""

    @staticmethod
    def of(error: UserError) -> "WrongData":
        """The same mistake, as one of the data."""
        if isinstance(error, UserErrors):
            more = f" (and {len(error.errors) - 1} more mistakes)" if len(error.errors) > 1 else ""
            first = error.errors[0]
            return WrongData(first.message + more, where=first.where, expected=first.expected, found=first.found, todo=first.todo)
        return WrongData(error.message, where=error.where, expected=error.expected, found=error.found, todo=error.todo)


class OutputFailed(Exception):
    """What is computed cannot be written any more (a full disk): no fault of a stage, so that none goes on."""

    def __init__(self, message: str, *, where: str = "", found: str = "", todo: str = "") -> None:
        """Arguments as those of UserError."""
        super().__init__(_lines(message, where=where, found=found, todo=todo))


def _lines(message: str, *, where: str = "", **more: str) -> str:
    """The text of an error."""
    lines = [f"{where}: {message}" if where else message]
    return "\n".join(lines + [f"  {'to do' if name == 'todo' else name}: {text}" for name, text in more.items() if text])


def distinct(errors: Iterable[UserError]) -> list[UserError]:
    """Each message once: a mistake in what several share is found by each of them."""
    return list({str(error): error for error in errors}.values())


def raise_all(errors: Sequence[UserError]) -> None:
    """Raise nothing, the one error, or all of them together."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise UserErrors(errors)


@contextlib.contextmanager
def collecting(errors: list[UserError]) -> Iterator[None]:
    """Put the user errors of a block, one or several at once, into a list and go on behind it."""
    try:
        yield
    except UserErrors as several:
        errors.extend(several.errors)
    except UserError as error:
        errors.append(error)


@contextlib.contextmanager
def located(place: str) -> Iterator[None]:
    """Say of the user errors of a block what holds them, e.g. the file and line that named what is wrong."""
    try:
        yield
    except UserError as error:
        raise error.within(place) from error


def did_you_mean(name: str, options: Iterable[str], *, listed: int = 12) -> str:
    """Say the nearest of the valid names, or list them where none is near (at most `listed`)."""
    names = sorted(set(options))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    if not names:
        return "there are none"
    more = "" if len(names) <= listed else f", ... ({len(names)} in all)"
    return "known: " + ", ".join(names[:listed]) + more
