"""Languages of the miniature world: synthetic word forms from syllables of each script, and clauses in each word order.

lexicon("de")["dog"]                      # a form that no other language has
words(clause, lang="de")                  # [Word(form='...', concept='anna', role='subject'), ...]
"""

import hashlib
import random
import unicodedata
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from harness.specs.loader import load_yaml

LEXICON = Path(__file__).with_name("mini_lexicon.yaml")
"Syllables and word order of the languages; its bytes are part of every fingerprint."
VERSION = 2
"Raise it with any change of a word or a rule: it is part of every fingerprint."
SEED = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Clause:
    """What a sentence means: concepts by role, the same in every language."""

    subject: tuple[str, ...]
    verb: tuple[str, ...]
    object: tuple[str, ...]
    adjective: tuple[str, ...] = ()
    place: tuple[str, ...] = ()
    certainty: tuple[str, ...] = ()


class MiniWord(NamedTuple):
    """One written word, the concept behind it, and its role in the clause."""

    form: str
    concept: str
    role: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MiniLanguage:
    """Word order and syllables of a language; see the comments of mini_lexicon.yaml."""

    order: str
    adjective: str
    adposition: str
    place: str
    question: str
    onsets: str = ""
    vowels: str = ""
    codas: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """Concepts by class, the kind word of each class of things, and the languages."""

    concepts: dict[str, list[str]]
    kinds: dict[str, str]
    languages: dict[str, MiniLanguage]
    kind_of: dict[str, str] = field(default_factory=dict)
    "Thing -> its kind word: dog -> creature."


@cache
def world() -> World:
    """Read mini_lexicon.yaml."""
    raw: dict[str, Any] = load_yaml(LEXICON.read_text(encoding="utf-8"))
    languages = {lang: MiniLanguage(**rules) for lang, rules in raw["languages"].items()}
    kind_of = {thing: kind for name, kind in raw["kinds"].items() for thing in raw["concepts"][name]}
    return World(concepts=raw["concepts"], kinds=raw["kinds"], languages=languages, kind_of=kind_of)


def seeded(*parts: object) -> random.Random:
    """A generator of its own for these parts, the same in every process and on every platform."""
    text = "\x1f".join(map(str, (SEED, *parts)))
    return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"))


def bare(form: str) -> str:
    """The form without case and combining marks: forms that differ in less than this count as the same spelling."""
    return "".join(c for c in unicodedata.normalize("NFKD", form).casefold() if not unicodedata.combining(c))


@cache
def _lexicons() -> dict[str, dict[str, str]]:
    """Forms of every language; no two entries of all lexicons together have the same `bare` spelling."""
    concepts = [concept for members in world().concepts.values() for concept in members]
    lexicons = {"en": {concept: concept for concept in concepts}}
    taken = {bare(concept) for concept in concepts}
    for lang, language in world().languages.items():
        if lang == "en":
            continue
        rng = seeded("lexicon", lang)
        lexicons[lang] = {concept: _new_form(language, rng=rng, taken=taken) for concept in concepts}
    return lexicons


def _new_form(language: MiniLanguage, *, rng: random.Random, taken: set[str]) -> str:
    """A word of two or three syllables that no lexicon has yet; adds it to `taken`."""
    onsets, vowels, codas = (part.replace("_", "").split(" ") for part in (language.onsets, language.vowels, language.codas))
    while True:
        form = ""
        for _ in range(rng.choice((2, 2, 3))):
            onset, vowel, coda = rng.choice(onsets), rng.choice(vowels), rng.choice(codas)
            form += (vowel.replace("*", onset) if "*" in vowel else onset + vowel) + coda
        form = unicodedata.normalize("NFC", form)
        if bare(form) not in taken:
            taken.add(bare(form))
            return form


@cache
def lexicon(lang: str, *, shuffled: bool = False) -> dict[str, str]:
    """Concept -> form.  Shuffled: the same forms, each moved to another concept (English stays)."""
    forms = _lexicons()[lang]
    if not shuffled or lang == "en":
        return forms
    concepts = list(forms)
    seeded("shuffled", lang).shuffle(concepts)
    return {concept: forms[other] for concept, other in zip(concepts, [*concepts[1:], concepts[0]], strict=True)}


def words(clause: Clause, *, lang: str, shuffled: bool = False, asked: str = "") -> list[MiniWord]:
    """The clause in the order of a language; `asked` is a role to be replaced by its question word."""
    language, forms = world().languages[lang], lexicon(lang, shuffled=shuffled)

    def forms_of(role: str, *concepts: str) -> list[MiniWord]:
        return [MiniWord(forms[concept], concept, role) for concept in concepts]

    question = {"subject": "who", "object": "what", "place": "where"}
    fronted = forms_of("question", question[asked]) if asked and language.question == "first" else []
    parts: dict[str, list[MiniWord]] = {}
    for role, concepts in (("subject", clause.subject), ("object", clause.object), ("place", clause.place)):
        parts[role] = forms_of(role, *concepts)
        if role == asked:
            parts[role] = [] if fronted else forms_of("question", question[role])
    if clause.adjective and asked != "object":
        adjective = forms_of("adjective", *clause.adjective)
        parts["object"] = adjective + parts["object"] if language.adjective == "before" else parts["object"] + adjective
    if parts["place"] and asked != "place":
        adposition = forms_of("adposition", "in")
        parts["place"] = adposition + parts["place"] if language.adposition == "before" else parts["place"] + adposition
    verb = forms_of("certainty", *clause.certainty) + forms_of("verb", *clause.verb)
    parts["verb"] = parts["place"] + verb if language.place == "before_verb" and language.order == "svo" else verb
    ordered = [parts[{"s": "subject", "v": "verb", "o": "object"}[letter]] for letter in language.order]
    if language.place == "end":
        ordered.append(parts["place"])
    elif language.order == "sov":
        ordered.insert(1, parts["place"])
    return [*fronted, *(word for part in ordered for word in part)]


def word(concept: str, *, lang: str, shuffled: bool = False) -> MiniWord:
    """A single word, outside of any clause."""
    return MiniWord(form=lexicon(lang, shuffled=shuffled)[concept], concept=concept, role="")
