"""Meanings of the miniature world put into words of one of its languages.

say = speaker("sw", shuffled=False)
text(say(clause)), text(told(telling, say))
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Protocol

from harness.data.worlds.miniature.items import Utterance, reworded
from harness.data.worlds.miniature.language import Clause, MiniWord, seeded, word, words, world

ENTITIES = {"PER": ("given_name", "surname"), "LOC": ("place", "place_kind"), "ORG": ("company", "company_kind")}
"Entity types and the classes of concepts that name them."


class Say(Protocol):
    """Puts a clause, or a single concept, into words of one language."""

    def __call__(self, meaning: Clause | str, *, asked: str = "") -> list[MiniWord]:
        """The words, with a question word in place of the role `asked`."""


def speaker(lang: str, *, shuffled: bool = False) -> Say:
    """What puts meanings into words of a language, or into those of its shuffled control."""

    def say(meaning: Clause | str, *, asked: str = "") -> list[MiniWord]:
        if isinstance(meaning, str):
            return [word(meaning, lang=lang, shuffled=shuffled)]
        return words(meaning, lang=lang, shuffled=shuffled, asked=asked)

    return say


def retold(told: Sequence[Utterance], *, split: str, lang: str) -> list[Utterance]:
    """The texts with a translator's choice of synonyms: every language has its own."""
    rng = seeded("synonyms", split, lang)
    return [replace(item, clauses=tuple(reworded(clause, rng=rng) for clause in item.clauses)) for item in told]


def told(item: Utterance, say: Say) -> list[MiniWord]:
    """The clauses with the word for `and` between them; the first one as a question if a role is asked for."""
    said: list[MiniWord] = []
    for number, clause in enumerate(item.clauses):
        said += [*(say("and") if number else []), *say(clause, asked="" if number else item.asked)]
    return said


def text(said: Sequence[MiniWord]) -> str:
    """Words with spaces between them, in every script."""
    return " ".join(word.form for word in said)


def entity_tags(said: Sequence[MiniWord]) -> list[str]:
    """A tag in BIO for each word: B- on the first word of a name, I- on the second."""
    tags, before = [], ""
    for spoken in said:
        label = _entities().get(spoken.concept, "")
        tags.append(("I-" if spoken.role == before else "B-") + label if label else "O")
        before = spoken.role if label else ""
    return tags


@cache
def _entities() -> dict[str, str]:
    """Concept -> type of the entities that it names."""
    return {concept: label for label, classes in ENTITIES.items() for name in classes for concept in world().concepts[name]}
