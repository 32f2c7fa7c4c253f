"""The meanings of the miniature world's rows, before any language: clauses, pairs of clauses and questions on them.

    items(name="nli", split="test")            # (ClausePair(first=Clause(...), second=Clause(...), label='neutral'), ...)

Every clause belongs to one split by a hash of its meaning, so that no sentence of a test set occurs in training data of any
config.  Two clauses of a pair differ in exactly one word: neither their length nor the words they share tell the label.
"""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from harness.data.worlds.miniature.language import Clause, seeded, world

SIZES: dict[str, dict[str, int]] = {
    "text": {"train": 300, "validation": 50, "test": 200},
    "parallel": {"train": 600, "validation": 50, "test": 200},
    "nli": {"train": 8000, "validation": 400, "test": 200},
    "paraphrase": {"train": 16000, "validation": 400, "test": 200},
    "tagging": {"train": 2000, "validation": 200, "test": 150},
    "qa": {"train": 3000, "validation": 200, "test": 150},
}
"Rows per language."
THINGS = ("animal", "food", "tool", "garment")
SYNONYMS = ("verb", "adjective", "certainty")
"Roles whose words come in pairs of synonyms, next to each other in mini_lexicon.yaml."
ROLES = ("subject", "object", "place")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClausePair:
    """Two clauses, labelled with how the second follows from the first."""

    first: Clause
    second: Clause
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Utterance:
    """One clause, two clauses, or a question for one role of a clause."""

    clauses: tuple[Clause, ...]
    asked: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PassageQuestion:
    """A passage and a question for one role of a clause, which the passage may lack."""

    clauses: tuple[Clause, ...]
    about: Clause
    asked: str


@cache
def items(*, name: str, split: str) -> tuple[Any, ...]:
    """The meanings of a config's rows, no meaning twice."""
    return distinct(_MAKERS[name], seeded("items", name, split), split=split, count=SIZES[name][split])


def distinct(
    make: Callable[[random.Random, str, int], Any],
    rng: random.Random,
    *,
    split: str,
    count: int,
    key: Callable[[Any], object] | None = None,
) -> tuple[Any, ...]:
    """Items that `make` draws for a split, no two equal, or with the same key if there is one."""
    kept: dict[object, Any] = {}
    while len(kept) < count:
        item = make(rng, split, len(kept))
        kept.setdefault(key(item) if key else item, item)
    return tuple(kept.values())


def split_of(clause: Clause) -> str:
    """The split of a clause and its rewordings in every config: of ten parts one is validation, three test, the rest training."""
    share = hashlib.sha256(shared_meaning(clause).encode()).digest()[0] % 10
    return "validation" if share == 0 else "test" if share <= 3 else "train"


def shared_meaning(clause: Clause) -> str:
    """A text for the meaning of a clause, the same for all its rewordings."""
    first = _first_of_synonyms()
    roles = (clause.subject, clause.verb, clause.object, clause.adjective, clause.place, clause.certainty)
    return "/".join([" ".join([first.get(word, word) for word in role_words]) for role_words in roles])


@cache
def _first_of_synonyms() -> dict[str, str]:
    """Each word of a pair of synonyms -> the first of the pair."""
    return {
        word: pool[number // 2 * 2] for pool in map(world().concepts.get, SYNONYMS) if pool for number, word in enumerate(pool)
    }


def reworded(clause: Clause, *, rng: random.Random) -> Clause:
    """The clause with synonyms chosen by `rng`."""
    changes: dict[str, tuple[str, ...]] = {}
    for role in SYNONYMS:
        pool = world().concepts[role]
        changes[role] = tuple(pool[pool.index(word) // 2 * 2 + rng.randrange(2)] for word in getattr(clause, role))
    return replace(clause, **changes)


def without(clause: Clause, role: str) -> Clause:
    """The clause without one role: the part that a question for that role repeats."""
    nothing: dict[str, tuple[str, ...]] = {role: ()}
    return replace(clause, **nothing)


def event(rng: random.Random, split: str) -> Clause:
    """An event of a split."""
    while True:
        clause = any_event(rng)
        if split_of(clause) == split:
            return clause


def any_event(rng: random.Random) -> Clause:
    """Somebody does something with a thing, or with some kind of thing, somewhere."""
    concepts, kinds = world().concepts, world().kinds
    kind = rng.choice(THINGS)
    return Clause(
        subject=(rng.choice(concepts["given_name"]),),
        certainty=tuple(rng.choices(concepts["certainty"], weights=(4, 4, 1, 1, 1, 1))),
        verb=(rng.choice(concepts["verb"]),),
        adjective=(rng.choice(concepts["adjective"]),),
        object=(rng.choice(concepts[kind]) if rng.random() < 0.85 else kinds[kind],),
        place=(rng.choice(concepts["place"]),) if rng.random() < 0.5 else (),
    )


def proper_name(rng: random.Random, kind: str) -> tuple[str, ...]:
    """A name of one or two words, or a thing."""
    concepts = world().concepts
    if kind == "thing":
        return (rng.choice(concepts[rng.choice(THINGS)]),)
    first, second = {
        "person": ("given_name", "surname"),
        "place": ("place", "place_kind"),
        "company": ("company", "company_kind"),
    }[kind]
    name = (rng.choice(concepts[first]),)
    return (*name, rng.choice(concepts[second])) if rng.random() < 0.4 else name


def encounter(rng: random.Random, split: str, number: int = 0) -> Clause:
    """Names and things of all kinds in all roles, no kind twice: the role does not tell the kind."""
    concepts = world().concepts
    while True:
        kinds = rng.sample(("person", "place", "company", "thing"), 3)
        clause = Clause(
            subject=proper_name(rng, kinds[0]),
            verb=(rng.choice(concepts["verb"]),),
            object=proper_name(rng, kinds[1]),
            adjective=(rng.choice(concepts["adjective"]),) if rng.random() < 0.3 else (),
            place=proper_name(rng, kinds[2]) if rng.random() < 0.6 else (),
        )
        if split_of(clause) == split:
            return clause


def utterance(rng: random.Random, split: str, number: int) -> Utterance:
    """Of eight texts one is a question, one has two clauses, and six have one; events and encounters by turns."""
    make = event if number % 2 else encounter
    if number % 8 == 0:
        return Utterance(clauses=(make(rng, split), make(rng, split)))
    asked = rng.choice(ROLES) if number % 8 == 1 else ""
    while True:
        clause = make(rng, split)
        if not asked or (clause.place and split_of(without(clause, asked)) == split):
            return Utterance(clauses=(clause,), asked=asked)


def _meaning(word: str, *, among: str) -> tuple[int, int]:
    """(group, side) of a verb, adjective or certainty: synonyms share both, opposites share the group."""
    pair = world().concepts[among].index(word) // 2
    return (0, pair) if among == "certainty" else (pair // 2, pair % 2)


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


@cache
def replacements(old: str, *, among: str, label: str) -> tuple[str, ...]:
    """The words that may replace `old` in the role `among` such that the label holds."""
    pool = [*world().kind_of, *world().kinds.values()] if among == "object" else world().concepts[among]
    return tuple(new for new in pool if new != old and _follows(old, new, among=among) == label)


def changed(clause: Clause, role: str, word: str) -> Clause:
    """The clause with another word in a role."""
    changes: dict[str, tuple[str, ...]] = {role: (word,)}
    return replace(clause, **changes)


def clause_pair(rng: random.Random, split: str, *, label: str, among: str) -> ClausePair:
    """A pair that differs in the role `among`, such that the label holds."""
    while True:
        first = event(rng, split)
        (old,) = getattr(first, among)
        if choices := replacements(old, among=among, label=label):
            second = changed(first, among, rng.choice(choices))
            if split_of(second) == split:
                return ClausePair(first=first, second=second, label=label)


def _role(rng: random.Random) -> str:
    """The role in which a pair differs."""
    return rng.choices(("object", "certainty", "verb", "adjective"), weights=(2, 2, 1, 1))[0]


def nli(rng: random.Random, split: str, number: int) -> ClausePair:
    """Entailment, neutral and contradiction by turns."""
    label = ("entailment", "neutral", "contradiction")[number % 3]
    return clause_pair(rng, split, label=label, among=_role(rng))


def _paraphrase(rng: random.Random, split: str, number: int) -> ClausePair:
    """Other words for the same - a synonym, a kind for a thing - and pairs that say something else, by turns."""
    if number % 2:
        return replace(clause_pair(rng, split, label="entailment", among=_role(rng)), label="same")
    label = rng.choice(("neutral", "contradiction"))
    return replace(clause_pair(rng, split, label=label, among=_role(rng)), label="different")


def _reading(rng: random.Random, split: str, number: int) -> PassageQuestion:
    """Three clauses that share no word, and a question for the subject, the object or the place of one."""
    concepts = world().concepts
    asked, about = ROLES[number % 3], rng.randrange(3)
    pools = {
        "subject": concepts["given_name"][:],
        "verb": concepts["verb"][:],
        "object": [thing for kind in THINGS for thing in concepts[kind]],
        "place": concepts["place"][:],
    }
    clauses: list[Clause] = []
    while len(clauses) < 3:
        drawn = {role: (rng.choice(pool),) for role, pool in pools.items()}
        clause = Clause(subject=drawn["subject"], verb=drawn["verb"], object=drawn["object"], place=drawn["place"])
        shown = (clause, without(clause, asked)) if len(clauses) == about else (clause,)
        if all(split_of(each) == split for each in shown):
            clauses.append(clause)
            for role, (word,) in drawn.items():
                pools[role].remove(word)
    return PassageQuestion(clauses=tuple(clauses), about=clauses[about], asked=asked)


_MAKERS: dict[str, Callable[[random.Random, str, int], Any]] = {
    "text": utterance,
    "parallel": utterance,
    "nli": nli,
    "paraphrase": _paraphrase,
    "tagging": encounter,
    "qa": _reading,
}
