"""The features of a cell, held as numbers: each is made when it is asked for, so that a million rows take megabytes.

features = PackedFeatures()
features.extend(module.encode(chunk, ...), first=1000)     # `first`: number of the chunk's first example
features[17], features.lengths(), features.most_tokens, features.largest_id
features.bare(begin, end, first=1000)                      # for `decode`: without token ids
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, overload

import numpy as np

from harness.api.packed import Packed
from harness.api.protocols import Feature
from harness.prediction.batching import num_tokens

Numbers: TypeAlias = "array[int] | np.ndarray"
"Whole numbers that were gathered, or that lie in a file."
REST = ("type_ids", "labels", "info", "num_truncated", "continuations", "generate")
"What a feature has beside its tokens and its place."
NUMBERS = {"ids": "", "ends": "i8", "examples": "i4", "parts": "i4", "codes": "i4", "costs": "i4"}
"What is held as whole numbers, and their types; ids in the smallest that holds them all."
ID_KINDS = ("B", "H", "i")
"Types of array that ids are tried in."
ALL_ZERO = "0"
"Stands for token types that are all 0."
MOST_COMMON = 4096
"Different contents of REST that are held once for all the features that have them."


class PackedFeatures(Sequence[Feature]):
    """Features in the order in which they were made."""

    def __init__(self) -> None:
        self.ids: Numbers = array("B")
        "Token ids of all features, one behind the other."
        self.ends: Numbers = array("q", [0])
        self.examples: Numbers = array("i")
        self.parts: Numbers = array("i")
        self.codes: Numbers = array("i")
        "Of each feature the place of its rest in `common`, or, below 0, that in `own` counted from -1 down."
        self.common: list[tuple[Any, ...]] = []
        self.own: Packed[tuple[Any, ...]] = Packed()
        self.costs: Numbers = array("i")
        "Tokens that each feature costs: see num_tokens."
        self.largest_id = -1
        "Among all ids that a model looks up."
        self.has_continuations = False
        self._code_of: dict[tuple[Any, ...], int] = {}

    def extend(self, features: Sequence[Feature], *, first: int = 0) -> None:
        """Add the features of some examples, of which `first` is the number of the first."""
        ids, ends, examples, parts, codes, costs = self.ids, self.ends, self.examples, self.parts, self.codes, self.costs
        assert isinstance(ids, array), "these features lie in a file"
        for feature in features:
            ids = _extended(ids, feature.input_ids)
            ends.append(len(ids))  # type: ignore[union-attr]
            examples.append(feature.example + first)  # type: ignore[union-attr]
            parts.append(feature.part)  # type: ignore[union-attr]
            costs.append(num_tokens(feature))  # type: ignore[union-attr]
            codes.append(self._code(feature))  # type: ignore[union-attr]
            self.largest_id = max(self.largest_id, largest_id(feature))
            self.has_continuations |= bool(feature.continuations)
        self.ids = ids

    @classmethod
    def of(cls, numbers: Mapping[str, np.ndarray], rest: Mapping[str, Any]) -> PackedFeatures:
        """Features of what `numbers` and `rest_as_json` gave.

        Raises ValueError, KeyError, TypeError or IndexError for what these never gave.
        """
        found = cls()
        for name, kind in NUMBERS.items():
            kinds = [kind] if kind else [np.dtype(one) for one in ID_KINDS]
            if numbers[name].dtype not in kinds or numbers[name].ndim != 1:
                raise ValueError(f"{name} of another type")
            setattr(found, name, numbers[name])
        if {len(numbers[name]) for name in ("examples", "parts", "codes", "costs")} != {len(found.ends) - 1}:
            raise ValueError("numbers of another length")
        if found.ends[-1] != len(found.ids):
            raise ValueError("tokens of another number")
        found.common = [_from_json(one) for one in rest["common"]]
        found.own = Packed(_from_json(one) for one in rest["own"])
        found.largest_id, found.has_continuations = int(rest["largest_id"]), bool(rest["has_continuations"])
        return found

    def numbers(self) -> dict[str, Numbers]:
        """All that is held as whole numbers."""
        return {name: getattr(self, name) for name in NUMBERS}

    def rest_as_json(self) -> dict[str, Any] | None:
        """All that is not; None where JSON does not hold it."""
        found = {name: [_to_json(one) for one in values] for name, values in (("common", self.common), ("own", self.own))}
        try:
            again = json.loads(json.dumps(found))
        except (TypeError, ValueError):
            return None
        is_held = all(
            repr(_from_json(text)) == repr(one)  # types included
            for name, values in (("common", self.common), ("own", self.own))
            for text, one in zip(again[name], values, strict=True)
        )
        return {**found, "largest_id": self.largest_id, "has_continuations": self.has_continuations} if is_held else None

    def _code(self, feature: Feature) -> int:
        """Where the rest of a feature is held."""
        types = feature.type_ids
        rest = (
            ALL_ZERO if types is not None and not any(types) else types,
            feature.labels,
            feature.info,
            feature.num_truncated,
            feature.continuations,
            feature.generate,
        )
        try:
            code = self._code_of.get(rest)
        except TypeError:  # lists: its own
            code = None
        else:
            if code is None and len(self.common) < MOST_COMMON and all(_is_simple(part) for part in rest):
                code = self._code_of[rest] = len(self.common)
                self.common.append(rest)
        if code is not None and _same_types(self.common[code], rest):
            return code
        self.own.append(rest)
        return -len(self.own)

    def _made(self, number: int, *, input_ids: list[int] | None = None, first: int = 0) -> Feature:
        code = int(self.codes[number])
        rest = self.common[code] if code >= 0 else self.own[-code - 1]
        types, labels, info, num_truncated, continuations, generate = rest
        begin, end = int(self.ends[number]), int(self.ends[number + 1])
        return Feature(
            example=int(self.examples[number]) - first,
            part=int(self.parts[number]),
            input_ids=self.ids[begin:end].tolist() if input_ids is None else input_ids,
            type_ids=[0] * (end - begin) if types == ALL_ZERO else types,
            labels=labels,
            info=info,
            num_truncated=num_truncated,
            continuations=continuations,
            generate=generate,
        )

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Feature]:
        for number in range(len(self)):
            yield self._made(number)

    @overload
    def __getitem__(self, place: int) -> Feature: ...

    @overload
    def __getitem__(self, place: slice) -> list[Feature]: ...

    def __getitem__(self, place: int | slice) -> Feature | list[Feature]:
        if isinstance(place, slice):
            return [self._made(number) for number in range(*place.indices(len(self)))]
        number = place + len(self) if place < 0 else place
        if not 0 <= number < len(self):
            raise IndexError(f"feature {place} of {len(self)}")
        return self._made(number)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(own == its for own, its in zip(self, other))

    __hash__ = None  # type: ignore[assignment]  # as a list

    def bare(self, begin: int, end: int, *, first: int = 0) -> list[Feature]:
        """Some features as `decode` gets them: without token ids, their examples counted from `first`."""
        return [self._made(number, input_ids=[], first=first) for number in range(begin, end)]

    def lengths(self) -> list[int]:
        """Tokens that each feature costs."""
        return [int(cost) for cost in self.costs]

    @property
    def most_tokens(self) -> int:
        """The longest input; 0 where there is none."""
        return int(np.diff(np.asarray(self.ends)).max(initial=0))

    def of_examples(self, begin: int, end: int) -> tuple[int, int]:
        """The range of the features of some examples."""
        examples = np.asarray(self.examples)
        return int(np.searchsorted(examples, begin, "left")), int(np.searchsorted(examples, end, "left"))


def _extended(ids: array[int], more: Sequence[int]) -> array[int]:
    """The ids with some more, in a larger type where they do not fit."""
    before = len(ids)
    try:
        ids.extend(more)
    except OverflowError:
        del ids[before:]
        return _extended(array(ID_KINDS[ID_KINDS.index(ids.typecode) + 1], ids), more)
    return ids


def largest_id(feature: Feature) -> int:
    """The largest id of a feature that a model looks up; -1 where it has none."""
    found = max(feature.input_ids, default=-1)
    for ids in feature.continuations or ():
        found = max(found, max(ids, default=-1))
    return max(found, max(feature.labels, default=-1)) if isinstance(feature.labels, list) else found


def _to_json(rest: tuple[Any, ...]) -> list[Any]:
    """A rest, in which labels alone may be a tuple."""
    types, labels, *others = rest
    return [types, {"span": list(labels)} if isinstance(labels, tuple) else labels, *others]


def _from_json(rest: list[Any]) -> tuple[Any, ...]:
    types, labels, *others = rest
    if len(others) != len(REST) - 2:
        raise ValueError("a rest of another length")
    return (types, tuple(labels["span"]) if isinstance(labels, dict) else labels, *others)


def _is_simple(part: Any) -> bool:
    return part is None or type(part) in (int, str) or (type(part) is tuple and all(type(one) is int for one in part))


def _same_types(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether equal contents are of the same types: True is 1, and 1.0 as well."""
    return all(type(a) is type(b) and (type(a) is not tuple or all(map(_alike, a, b))) for a, b in zip(one, other))


def _alike(one: Any, other: Any) -> bool:
    return type(one) is type(other)
