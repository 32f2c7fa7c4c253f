"""Renders meanings of the miniature world as words of one of its languages.

render = renderer("sw", shuffled=False)
text(render(clause)), text(render_utterance(utterance, render))
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Protocol

from harness.data.worlds.miniature.items import Utterance, reworded
from harness.data.worlds.miniature.language import Clause, MiniWord, seeded, word, words, world

ENTITIES = {"PER": ("given_name", "surname"), "LOC": ("place", "place_kind"), "ORG": ("company", "company_kind")}
"Entity types and the classes of concepts that name them."


class Renderer(Protocol):
    """Renders a clause, or a single concept, in one language."""

    def __call__(self, meaning: Clause | str, *, asked: str = "") -> list[MiniWord]:
        """The words, with a question word in place of the role `asked`."""


def renderer(lang: str, *, shuffled: bool = False) -> Renderer:
    """The function that renders meanings in a language, or in its shuffled control."""

    def render(meaning: Clause | str, *, asked: str = "") -> list[MiniWord]:
        if isinstance(meaning, str):
            return [word(meaning, lang=lang, shuffled=shuffled)]
        return words(meaning, lang=lang, shuffled=shuffled, asked=asked)

    return render


def with_own_synonyms(utterances: Sequence[Utterance], *, split: str, lang: str) -> list[Utterance]:
    """The utterances with synonyms chosen anew for each language, as translators choose differently."""
    rng = seeded("synonyms", split, lang)
    return [replace(item, clauses=tuple(reworded(clause, rng=rng) for clause in item.clauses)) for item in utterances]


def render_utterance(item: Utterance, render: Renderer) -> list[MiniWord]:
    """The clauses with the word for `and` between them; the first one as a question if a role is asked for."""
    rendered: list[MiniWord] = []
    for number, clause in enumerate(item.clauses):
        rendered += [*(render("and") if number else []), *render(clause, asked="" if number else item.asked)]
    return rendered


def text(rendered: Sequence[MiniWord]) -> str:
    """Words with spaces between them, in every script."""
    return " ".join(word.form for word in rendered)


def entity_tags(rendered: Sequence[MiniWord]) -> list[str]:
    """A tag in BIO for each word: B- on the first word of a name, I- on the second."""
    tags, before = [], ""
    for spoken in rendered:
        label = _entities().get(spoken.concept, "")
        tags.append(("I-" if spoken.role == before else "B-") + label if label else "O")
        before = spoken.role if label else ""
    return tags


@cache
def _entities() -> dict[str, str]:
    """Concept -> type of the entities that it names."""
    return {concept: label for label, classes in ENTITIES.items() for name in classes for concept in world().concepts[name]}
