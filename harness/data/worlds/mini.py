"""The miniature world: parallel text, sentence pairs, tagging and questions in 40 languages, all synthetic, made from a seed.

    rows(config="nli", split="test", lang="sw")       # [{"premise": ..., "hypothesis": ..., "label": "neutral"}, ...]
    rows(config="parallel", split="train", lang="ja")     # text, text_pair: Japanese and English; parallel-de: and German
    rows(config="nli_shuffled", split="test", lang="sw")       # the control: each form stands for another concept

A test set holds the same items in all languages.  Rows of every split can be had in every language; the tasks train on English.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from harness.data.worlds._mini_items import SIZES, Exchange, Reading, Telling, items, reworded
from harness.data.worlds._mini_language import SEED, VERSION, Clause, Word, seeded, word, words, world
from harness.errors import UserError, did_you_mean

ENTITIES = {"PER": ("given_name", "surname"), "LOC": ("place", "place_kind"), "ORG": ("company", "company_kind")}
"Entity types and the classes of concepts that name them."
Row = dict[str, Any]


class Say(Protocol):
    """Puts a clause, or a single concept, into words of one language."""

    def __call__(self, meaning: Clause | str, *, asked: str = "") -> list[Word]:
        """The words, with a question word in place of the role `asked`."""


def rows(*, config: str, split: str, lang: str) -> list[Row]:
    """All rows of a config, split and language.

    Raises UserError for a config, split or language that the world does not have.
    """
    plain = config.removesuffix("_shuffled")
    name, _, other = plain.partition("-")
    if other and name != "parallel":
        raise UserError(f"only the config 'parallel' of the miniature world takes a second language, not '{name}'")
    other = other or "en"
    for kind, value, known in (
        ("config", name, list(SIZES)),
        ("split", split, list(SIZES.get(name, {}))),
        ("language", lang, list(world().languages)),
        ("language", other, list(world().languages)),
    ):
        if value not in known:
            raise UserError(f"the miniature world has no {kind} '{value}'", todo=did_you_mean(value, known))

    say = _speaker(lang, shuffled=plain != config)
    meanings = items(name=name, split=split)
    if name in ("text", "parallel"):
        made = [{"text": _text(_told(item, say))} for item in _retold(meanings, split=split, lang=lang)]
    else:
        made = [_ROW[name](item, say) for item in meanings]
    if name == "parallel":
        for row, item in zip(made, _retold(meanings, split=split, lang=other), strict=True):
            row["text_pair"] = _text(_told(item, _speaker(other, shuffled=False)))
    return [{"id": f"{split}-{number}", **row} for number, row in enumerate(made)]


def fingerprint(*, config: str, split: str, lang: str) -> str:
    """Hash of all that the rows depend on: the generator's version and seed, the lexicon file, and the arguments."""
    lexicon = Path(__file__).with_name("mini_lexicon.yaml").read_bytes()
    parts = json.dumps([VERSION, SEED, SIZES, hashlib.sha256(lexicon).hexdigest(), config, split, lang])
    return hashlib.sha256(parts.encode()).hexdigest()


def _speaker(lang: str, *, shuffled: bool) -> Say:
    """What puts meanings into words of a language, or into those of its shuffled control."""

    def say(meaning: Clause | str, *, asked: str = "") -> list[Word]:
        if isinstance(meaning, str):
            return [word(meaning, lang=lang, shuffled=shuffled)]
        return words(meaning, lang=lang, shuffled=shuffled, asked=asked)

    return say


def _retold(told: tuple[Telling, ...], *, split: str, lang: str) -> list[Telling]:
    """The texts with a translator's choice of synonyms: every language has its own."""
    rng = seeded("synonyms", split, lang)
    return [replace(item, clauses=tuple(reworded(clause, rng=rng) for clause in item.clauses)) for item in told]


def _told(item: Telling, say: Say) -> list[Word]:
    """The clauses with the word for `and` between them; the first one as a question if a role is asked for."""
    told: list[Word] = []
    for number, clause in enumerate(item.clauses):
        told += [*(say("and") if number else []), *say(clause, asked="" if number else item.asked)]
    return told


def _text(said: list[Word]) -> str:
    """Words with spaces between them, in every script."""
    return " ".join(word.form for word in said)


def _nli_row(item: Exchange, say: Say) -> Row:
    return {"premise": _text(say(item.first)), "hypothesis": _text(say(item.second)), "label": item.label}


def _paraphrase_row(item: Exchange, say: Say) -> Row:
    return {"sentence1": _text(say(item.first)), "sentence2": _text(say(item.second)), "label": item.label}


def _tagging_row(item: Clause, say: Say) -> Row:
    """Tags names in BIO: B- on the first word of a name, I- on the second."""
    entity_of = {concept: label for label, classes in ENTITIES.items() for name in classes for concept in world().concepts[name]}
    told, tags, before = say(item), [], ""
    for spoken in told:
        label = entity_of.get(spoken.concept, "")
        tags.append(("I-" if spoken.role == before else "B-") + label if label else "O")
        before = spoken.role if label else ""
    return {"tokens": [spoken.form for spoken in told], "tags": tags}


def _qa_row(item: Reading, say: Say) -> Row:
    """A context, a question on one of its clauses, and the one word that answers with the character it begins at."""
    context, answer = "", {"text": [""], "answer_start": [-1]}
    for number, clause in enumerate(item.clauses):
        for spoken in [*(say("and") if number else []), *say(clause)]:
            context += " " if context else ""
            if number == item.number and spoken.role == item.asked:
                answer = {"text": [spoken.form], "answer_start": [len(context)]}
            context += spoken.form
    question = _text(say(item.clauses[item.number], asked=item.asked))
    return {"question": question, "context": context, "answers": answer}


_ROW: dict[str, Callable[[Any, Say], Row]] = {
    "nli": _nli_row,
    "paraphrase": _paraphrase_row,
    "tagging": _tagging_row,
    "qa": _qa_row,
}
