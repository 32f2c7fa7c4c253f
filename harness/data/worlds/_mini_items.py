"""What the rows of the miniature world mean, before any language: clauses, pairs of clauses and questions on them.

    items(name="nli", split="test")            # (Exchange(first=Clause(...), second=Clause(...), label='neutral'), ...)

Every clause belongs to one split by a hash of its meaning, so that no sentence of a test set occurs in training data of any
config.  Two clauses of a pair differ in exactly one word and say the same roles: neither length nor repeated words tell the label.
"""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from harness.data.worlds._mini_language import Clause, seeded, world

SIZES: dict[str, dict[str, int]] = {
    "text": {"train": 300, "validation": 50, "test": 200},
    "parallel": {"train": 300, "validation": 50, "test": 200},
    "nli": {"train": 4000, "validation": 400, "test": 200},
    "paraphrase": {"train": 8000, "validation": 400, "test": 200},
    "tagging": {"train": 2000, "validation": 200, "test": 150},
    "qa": {"train": 3000, "validation": 200, "test": 150},
}
"Rows per language."
THINGS = ("animal", "food", "tool", "garment")
ROLES = ("subject", "object", "place")


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """Two clauses and how the second follows from the first."""

    first: Clause
    second: Clause
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """One clause, two clauses, or a question for one role of a clause."""

    clauses: tuple[Clause, ...]
    asked: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Some clauses, and a question for one role of one of them."""

    clauses: tuple[Clause, ...]
    number: int
    asked: str


@cache
def items(*, name: str, split: str) -> tuple[Any, ...]:
    """The meanings of a config's rows, no meaning twice."""
    rng = seeded("items", name, split)
    kept: dict[str, Any] = {}
    while len(kept) < SIZES[name][split]:
        item = _MAKERS[name](rng, split, len(kept))
        kept.setdefault(repr(item), item)
    return tuple(kept.values())


def split_of(clause: Clause) -> str:
    """The split a clause belongs to in every config: of ten parts one is validation, three are test, the rest is training."""
    share = hashlib.sha256(repr(clause).encode()).digest()[0] % 10
    return "validation" if share == 0 else "test" if share <= 3 else "train"


def _event(rng: random.Random, split: str) -> Clause:
    """Somebody does something with a thing, or with some kind of thing, somewhere."""
    concepts, kinds = world().concepts, world().kinds
    while True:
        kind = rng.choice(THINGS)
        clause = Clause(
            subject=(rng.choice(concepts["given_name"]),),
            certainty=rng.choice(concepts["certainty"]),
            verb=rng.choice(concepts["verb"]),
            adjective=rng.choice(concepts["adjective"]),
            object=(rng.choice(concepts[kind]) if rng.random() < 0.6 else kinds[kind],),
            place=(rng.choice(concepts["place"]),) if rng.random() < 0.5 else (),
        )
        if split_of(clause) == split:
            return clause


def _name(rng: random.Random, kind: str) -> tuple[str, ...]:
    """A name of one or two words, or a thing."""
    concepts = world().concepts
    if kind == "thing":
        return (rng.choice(concepts[rng.choice(THINGS)]),)
    first, second = {"person": ("given_name", "surname"), "place": ("place", "place_kind"), "company": ("company", "company_kind")}[kind]
    name = (rng.choice(concepts[first]),)
    return (*name, rng.choice(concepts[second])) if rng.random() < 0.4 else name


def _encounter(rng: random.Random, split: str, number: int = 0) -> Clause:
    """Names and things of all kinds in all roles, no kind twice: the role does not tell the kind."""
    concepts = world().concepts
    while True:
        kinds = rng.sample(("person", "place", "company", "thing"), 3)
        clause = Clause(
            subject=_name(rng, kinds[0]),
            verb=rng.choice(concepts["verb"]),
            object=_name(rng, kinds[1]),
            adjective=rng.choice(concepts["adjective"]) if rng.random() < 0.3 else "",
            place=_name(rng, kinds[2]) if rng.random() < 0.6 else (),
        )
        if split_of(clause) == split:
            return clause


def _telling(rng: random.Random, split: str, number: int) -> Telling:
    """Of eight texts one is a question, one has two clauses, and six have one; events and encounters by turns."""
    make = _event if number % 2 else _encounter
    if number % 8 == 0:
        return Telling(clauses=(make(rng, split), make(rng, split)))
    asked = rng.choice(ROLES) if number % 8 == 1 else ""
    while True:
        clause = make(rng, split)
        if not asked or (clause.place and split_of(replace(clause, **{asked: ()})) == split):
            return Telling(clauses=(clause,), asked=asked)


def _meaning(word: str, *, among: str) -> tuple[int, int]:
    """(group, side) of a verb, adjective or certainty: synonyms share both, opposites share the group."""
    place = world().concepts[among].index(word)
    return (place // 4, place % 4 // 2) if among != "certainty" else (0, place // 2)


def _follows(old: str, new: str, *, among: str) -> str:
    """How a clause with `new` follows from one with `old` in the role `among`."""
    if among == "object":
        kind_of = world().kind_of
        if kind_of.get(old) == new:
            return "entailment"
        if kind_of.get(new) == old:
            return "neutral"
        return "contradiction" if old in kind_of and kind_of.get(new) == kind_of[old] else ""
    (group, side), (new_group, new_side) = _meaning(old, among=among), _meaning(new, among=among)
    if (group, side) == (new_group, new_side):
        return "entailment"
    if among == "certainty":  # sides: yes, no, open
        return "neutral" if 2 in (side, new_side) else "contradiction"
    return "contradiction" if group == new_group else "neutral"


def _exchange(rng: random.Random, split: str, *, label: str, among: str) -> Exchange:
    """A pair that differs in the role `among`, such that the label holds."""
    concepts = world().concepts
    pool = [*world().kind_of, *world().kinds.values()] if among == "object" else concepts[among]
    while True:
        first = _event(rng, split)
        old = first.object[0] if among == "object" else getattr(first, among)
        fitting = [new for new in pool if new != old and _follows(old, new, among=among) == label]
        if fitting:
            new = rng.choice(fitting)
            second = replace(first, object=(new,)) if among == "object" else replace(first, **{among: new})
            if split_of(second) == split:
                return Exchange(first=first, second=second, label=label)


def _nli(rng: random.Random, split: str, number: int) -> Exchange:
    """Entailment, neutral and contradiction by turns."""
    label = ("entailment", "neutral", "contradiction")[number % 3]
    return _exchange(rng, split, label=label, among=rng.choice(("object", "verb", "adjective", "certainty")))


def _paraphrase(rng: random.Random, split: str, number: int) -> Exchange:
    """Synonyms make a pair the same; every other exchange makes it different."""
    among = rng.choice(("verb", "adjective", "certainty"))
    if number % 2:
        return replace(_exchange(rng, split, label="entailment", among=among), label="same")
    label = rng.choice(("neutral", "contradiction"))
    return replace(_exchange(rng, split, label=label, among=among), label="different")


def _reading(rng: random.Random, split: str, number: int) -> Reading:
    """Three clauses that share no content word, and a question for the subject, the object or the place of one."""
    concepts = world().concepts
    while True:
        clauses = tuple(
            Clause(subject=(name,), verb=verb, object=(thing,), place=(place,))
            for name, verb, thing, place in zip(
                rng.sample(concepts["given_name"], 3),
                rng.sample(concepts["verb"], 3),
                rng.sample([thing for kind in THINGS for thing in concepts[kind]], 3),
                rng.sample(concepts["place"], 3),
                strict=True,
            )
        )
        asked, about = ROLES[number % 3], rng.randrange(3)
        if all(split_of(clause) == split for clause in (*clauses, replace(clauses[about], **{asked: ()}))):
            return Reading(clauses=clauses, number=about, asked=asked)


_MAKERS: dict[str, Callable[[random.Random, str, int], Any]] = {
    "text": _telling,
    "parallel": _telling,
    "nli": _nli,
    "paraphrase": _paraphrase,
    "tagging": _encounter,
    "qa": _reading,
}
