"""Meanings of the miniature world for questions: on a pair of texts, on a passage, or with several options; no language yet.

    argument(rng, "train", 0, num_premises=2)      # Argument(premises=..., hypothesis=Clause(...), label='entailment')
    passage(rng, "train", 0)                       # PassageQuestion(clauses=..., about=Clause(...), asked='object')
    continuation_choice(rng, "train", 0)                      # Choice(clauses=..., options=(Clause(...), ...), right=0)

All clauses of an item belong to its split, and so does the part of a clause that a question repeats.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from harness.data.worlds.miniature.items import (
    ROLES,
    THINGS,
    ClausePair,
    PassageQuestion,
    any_event,
    changed,
    event,
    nli,
    proper_name,
    replacements,
    reworded,
    split_of,
    without,
)
from harness.data.worlds.miniature.language import Clause, world

CHANGING = ("object", "certainty", "verb", "adjective")
"Roles in which an option may differ from the first clause."


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """Some clauses and one that follows from one of them, contradicts it, or neither."""

    premises: tuple[Clause, ...]
    hypothesis: Clause
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Some clauses, a question on them or none, and options: clauses, or concepts one after the other."""

    clauses: tuple[Clause, ...]
    about: Clause | None = None
    asked: str = ""
    options: tuple[Clause | tuple[str, ...], ...]
    right: int


def argument(rng: random.Random, split: str, number: int, *, num_premises: int) -> Argument:
    """Entailment, neutral and contradiction by turns; one of the premises, any of them, decides."""
    pair = nli(rng, split, number)
    premises = [event(rng, split) for _ in range(num_premises - 1)]
    premises.insert(rng.randrange(num_premises), pair.first)
    return Argument(premises=tuple(premises), hypothesis=pair.second, label=pair.label)


def roles_swapped(rng: random.Random, split: str, number: int) -> ClausePair:
    """By turns a paraphrase (label 1), and the same clause with subject and object exchanged (label 0)."""
    concepts = world().concepts
    while True:
        one, other = (proper_name(rng, "person") for _ in range(2))
        place = proper_name(rng, "place") if rng.random() < 0.5 else ()
        first = Clause(subject=one, verb=(rng.choice(concepts["verb"]),), object=other, place=place)
        second = reworded(first if number % 2 else replace(first, subject=other, object=one), rng=rng)
        if one[0] != other[0] and second != first and split_of(first) == split_of(second) == split:
            return ClausePair(first=first, second=second, label=str(number % 2))


def duplicate_questions(rng: random.Random, split: str, number: int) -> ClausePair:
    """By turns two questions for the subject that mean the same (label 1), and two that do not (label 0)."""
    labels = ("entailment",) if number % 2 else ("neutral", "contradiction")
    while True:
        first = without(any_event(rng), "subject")
        others = _variations(first, rng, split, labels=labels, count=1) if split_of(first) == split else []
        if others:
            return ClausePair(first=first, second=others[0], label=str(number % 2))


def passage(rng: random.Random, split: str, number: int) -> PassageQuestion:
    """Three clauses that share no word, names of one or two words, and a question for the subject, object or place of one."""
    asked, about = ROLES[number % 3], rng.randrange(3)
    pools = {name: list(members) for name, members in world().concepts.items()}
    pools["thing"] = [thing for kind in THINGS for thing in pools[kind]]
    clauses: list[Clause] = []
    while len(clauses) < 3:
        words: dict[str, tuple[str, ...]] = {role: (rng.choice(pools[name]),) for role, name in _PASSAGE.items()}
        long = [role for role in ("subject", "place") if rng.random() < 0.3]
        for role in long:
            words[role] += (rng.choice(pools[_SECOND[role]]),)
        clause = Clause(subject=words["subject"], verb=words["verb"], object=words["object"], place=words["place"])
        shown = (clause, without(clause, asked)) if len(clauses) == about else (clause,)
        if all(split_of(each) == split for each in shown):
            clauses.append(clause)
            for role, drawn in words.items():
                for name, word in zip((_PASSAGE[role], _SECOND.get(role, "")), drawn, strict=False):
                    pools[name].remove(word)
    return PassageQuestion(clauses=tuple(clauses), about=clauses[about], asked=asked)


_PASSAGE = {"subject": "given_name", "verb": "verb", "object": "thing", "place": "place"}
_SECOND = {"subject": "surname", "place": "place_kind"}


def perhaps_answerable(rng: random.Random, split: str, number: int) -> PassageQuestion:
    """By turns a passage that answers its question, and one in which nobody does what the question says."""
    while True:
        question = passage(rng, split, number)
        if number % 2 == 0:
            return question
        used_verbs = {verb for clause in question.clauses for verb in clause.verb}
        used_verbs.update(other for verb in tuple(used_verbs) for other in replacements(verb, among="verb", label="entailment"))
        others = [verb for verb in world().concepts["verb"] if verb not in used_verbs]
        rng.shuffle(others)
        for about in (changed(question.about, "verb", verb) for verb in others):
            if split_of(about) == split_of(without(about, question.asked)) == split:
                return replace(question, about=about)


def continuation_choice(rng: random.Random, split: str, number: int) -> Choice:
    """A clause and four continuations: one follows from it, three do not."""
    while True:
        first = event(rng, split)
        true = _variations(first, rng, split, labels=("entailment",), count=1)
        false = _variations(first, rng, split, labels=("neutral", "contradiction"), count=3)
        if true and len(false) == 3:
            return _choice((first,), true[0], false, number=number)


def _variations(first: Clause, rng: random.Random, split: str, *, labels: Sequence[str], count: int) -> list[Clause]:
    """At most `count` clauses of the split that differ from a clause in one word, such that one of the labels holds."""
    words = [
        (role, word)
        for role in CHANGING
        for label in labels
        for word in replacements(getattr(first, role)[0], among=role, label=label)
    ]
    rng.shuffle(words)
    made = (changed(first, role, word) for role, word in words)
    return list(islice((clause for clause in made if split_of(clause) == split), count))


def inference_choice(rng: random.Random, split: str, number: int) -> Choice:
    """A passage, a question and four answers: for a thing its kind, which must be inferred, for a person or place the name."""
    question = passage(rng, split, number)
    role = question.asked
    if role == "object":
        right = (world().kind_of[question.about.object[0]],)
        wrong = [(kind,) for kind in world().kinds.values() if (kind,) != right]
    else:
        right = getattr(question.about, role)
        wrong = [getattr(clause, role) for clause in question.clauses if clause is not question.about]
        used_names = {name[0] for name in (right, *wrong)}
        wrong.append((rng.choice([name for name in world().concepts[_PASSAGE[role]] if name not in used_names]),))
    return _choice(question.clauses, right, rng.sample(wrong, 3), number=number, about=question.about, asked=role)


def category_choice(rng: random.Random, split: str, number: int) -> Choice:
    """A clause about a kind of thing, and five things, of which one is of that kind."""
    while True:
        kind = rng.choice(THINGS)
        clause = changed(event(rng, split), "object", world().kinds[kind])
        if split_of(clause) == split:
            break
    concepts = world().concepts
    others = [(thing,) for name in THINGS if name != kind for thing in concepts[name]]
    return _choice((clause,), (rng.choice(concepts[kind]),), rng.sample(others, 4), number=number)


def _choice(
    clauses: tuple[Clause, ...],
    right: Clause | tuple[str, ...],
    wrong: Sequence[Clause | tuple[str, ...]],
    *,
    number: int,
    about: Clause | None = None,
    asked: str = "",
) -> Choice:
    """The options with the right one at each place by turns."""
    options = list(wrong)
    place = number % (len(wrong) + 1)
    options.insert(place, right)
    return Choice(clauses=clauses, about=about, asked=asked, options=tuple(options), right=place)
