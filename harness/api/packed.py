"""Many small values held as bytes: what a Python object takes several times over, an entry of a buffer takes once.

    rows = Packed({"text": "...", "label": n} for n in range(1_000_000))      # about 60 bytes a row instead of 400
    rows[17], rows[100:200], len(rows)                                      # made again, equal, whenever one is asked for

Items are plain values, or dataclasses of plain values.  What comes back is equal to what went in, types included, but never the
same object: nothing that is read may be changed in place.
"""

import pickle
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Any, TypeVar, cast, overload

T = TypeVar("T")

_MOST_CLASSES = 255


class Packed(Sequence[T]):
    """A sequence that grows at its end and is read from anywhere."""

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._bytes = bytearray()
        self._ends = array("q", [0])
        self._kinds = bytearray()
        self._classes: list[tuple[type, tuple[str, ...], Callable[[Any], Any]]] = []
        self._numbers: dict[type, int] = {}
        self.extend(items)

    def append(self, item: T) -> None:
        """Add an item at the end."""
        number = self._numbers.get(type(item))
        if number is None:
            number = self._number(type(item))
        self._bytes += pickle.dumps(self._classes[number][2](item), pickle.HIGHEST_PROTOCOL)
        self._ends.append(len(self._bytes))
        self._kinds.append(number)

    def extend(self, items: Iterable[T]) -> None:
        """Add items at the end."""
        for item in items:
            self.append(item)

    def _number(self, kind: type) -> int:
        """The number of a class, given to it when its first item comes."""
        number: int | None = None
        entry: tuple[type, tuple[str, ...], Callable[[Any], Any]] = (object, (), _itself)
        if is_dataclass(kind):
            names = tuple(each.name for each in fields(kind))
            entry = (kind, names, attrgetter(*names) if len(names) > 1 else _alone(names[0]))
        else:  # all values that are no dataclass are held alike
            number = self._numbers.get(object)
        if number is None:
            number = len(self._classes)
            if number > _MOST_CLASSES:
                raise ValueError(f"more than {_MOST_CLASSES} classes in one sequence")
            self._classes.append(entry)
            self._numbers[entry[0]] = number
        self._numbers[kind] = number
        return number

    def _made(self, number: int, begin: int, end: int) -> T:
        content = pickle.loads(memoryview(self._bytes)[begin:end])
        made, names, _ = self._classes[self._kinds[number]]
        return cast(T, made(**dict(zip(names, content))) if names else content)

    def __len__(self) -> int:
        return len(self._kinds)

    def __iter__(self) -> Iterator[T]:
        for number, (begin, end) in enumerate(pairwise(self._ends)):
            yield self._made(number, begin, end)

    @overload
    def __getitem__(self, place: int) -> T: ...

    @overload
    def __getitem__(self, place: slice) -> list[T]: ...

    def __getitem__(self, place: int | slice) -> T | list[T]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        number = place + len(self) if place < 0 else place
        if not 0 <= number < len(self):
            raise IndexError(f"item {place} of {len(self)}")
        return self._made(number, self._ends[number], self._ends[number + 1])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(own == its for own, its in zip(self, other))

    __hash__ = None  # type: ignore[assignment]  # as a list


def gathered(items: Iterable[T], *, most: int) -> Sequence[T]:
    """The items as a list where they are at most so many, else packed."""
    found: list[T] = []
    packed: Packed[T] | None = None
    for item in items:
        found.append(item)
        if len(found) > most:
            packed = Packed() if packed is None else packed
            packed.extend(found)
            found.clear()
    if packed is None:
        return found
    packed.extend(found)
    return packed


def _itself(value: Any) -> Any:
    return value


def _alone(name: str) -> Callable[[Any], Any]:
    return lambda item: (getattr(item, name),)
