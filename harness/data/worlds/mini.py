"""The miniature world: parallel text, sentence pairs, tagging and questions in 40 languages, all synthetic, made from a seed.

    rows(config="nli", split="test", lang="sw")       # [{"premise": ..., "hypothesis": ..., "label": "neutral"}, ...]
    rows(config="parallel", split="train", lang="ja")     # text, text_pair: Japanese and English; parallel-de: and German
    rows(config="nli_shuffled", split="test", lang="sw")       # the control: each form stands for another concept
    rows(config="hellaswag", split="train", lang="en")       # in the columns of that data set: see miniature/data_sets.py

A test set holds the same items in all languages.  Rows of every split can be had in every language; the tasks train on English.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from harness.api.errors import UserError, did_you_mean
from harness.data.worlds.miniature.columns import squad
from harness.data.worlds.miniature.data_sets import DATA_SETS, data_set_rows
from harness.data.worlds.miniature.items import SIZES, ClausePair, PassageQuestion, items
from harness.data.worlds.miniature.language import LEXICON, SEED, VERSION, Clause, world
from harness.data.worlds.miniature.rendering import Renderer, entity_tags, render_utterance, renderer, text, with_own_synonyms

Row = dict[str, Any]


def rows(*, config: str, split: str, lang: str) -> list[Row]:
    """All rows of a config, split and language.

    Raises UserError for a config, split or language that the world does not have.
    """
    plain = config.removesuffix("_shuffled")
    name, _, other = plain.partition("-")
    if other and name != "parallel":
        raise UserError(f"only the config 'parallel' of the miniature world takes a second language, not '{name}'")
    other = other or "en"
    splits = DATA_SETS[config].splits if config in DATA_SETS else SIZES.get(name, {})
    for kind, value, known in (
        ("config", name, [*SIZES, *(DATA_SETS if plain == config else ())]),
        ("split", split, list(splits)),
        ("language", lang, list(world().languages)),
        ("language", other, list(world().languages)),
    ):
        if value not in known:
            raise UserError(f"the miniature world has no {kind} '{value}'", todo=did_you_mean(value, known))
    if config in DATA_SETS:
        return data_set_rows(config, split=split, lang=lang)

    render = renderer(lang, shuffled=plain != config)
    meanings = items(name=name, split=split)
    if name in ("text", "parallel"):
        made = [{"text": text(render_utterance(item, render))} for item in with_own_synonyms(meanings, split=split, lang=lang)]
    else:
        made = [_ROW[name](item, render) for item in meanings]
    if name == "parallel":
        for row, item in zip(made, with_own_synonyms(meanings, split=split, lang=other), strict=True):
            row["text_pair"] = text(render_utterance(item, renderer(other, shuffled=False)))
    return [{"id": f"{split}-{number}", **row} for number, row in enumerate(made)]


def fingerprint(*, config: str, split: str, lang: str) -> str:
    """Hash of all that the rows depend on: the generator's version and seed, the lexicon file, and the arguments."""
    lexicon = LEXICON.read_bytes()
    sizes: Any = DATA_SETS[config].fingerprint_parts if config in DATA_SETS else SIZES
    parts = json.dumps([VERSION, SEED, sizes, hashlib.sha256(lexicon).hexdigest(), config, split, lang])
    return hashlib.sha256(parts.encode()).hexdigest()


def _nli_row(item: ClausePair, render: Renderer) -> Row:
    return {"premise": text(render(item.first)), "hypothesis": text(render(item.second)), "label": item.label}


def _paraphrase_row(item: ClausePair, render: Renderer) -> Row:
    return {"sentence1": text(render(item.first)), "sentence2": text(render(item.second)), "label": item.label}


def _tagging_row(item: Clause, render: Renderer) -> Row:
    rendered = render(item)
    return {"tokens": [word.form for word in rendered], "tags": entity_tags(rendered)}


def _qa_row(item: PassageQuestion, render: Renderer) -> Row:
    """A context, a question on one of its clauses, and the one word that answers with the character it begins at."""
    row = squad(item, render, 0)
    return {name: row[name] for name in ("question", "context", "answers")}


_ROW: dict[str, Callable[[Any, Renderer], Row]] = {
    "nli": _nli_row,
    "paraphrase": _paraphrase_row,
    "tagging": _tagging_row,
    "qa": _qa_row,
}
