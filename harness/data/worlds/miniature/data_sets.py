"""The miniature world as the data sets that the shipped tasks read: which splits each has, and how many rows.

    DATA_SETS["hellaswag"].splits                            # {'train': Split(of='train', rows=1500), ...}
    data_set_rows("hellaswag", split="train", lang="en")     # [{"ctx_a": ..., "ctx_b": ..., "endings": [...], "label": "2"}, ...]

tasks/mini/<task>.yaml reads them with the very fields of <task>.  Splits are called as in the originals; a split of another
name (XQuAD's and Tatoeba's `validation`, which are scored) is still made of the world's own train, validation or test clauses.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache, partial
from typing import Any

from harness.api.errors import UserError
from harness.data.languages import language
from harness.data.worlds.miniature import columns, questions
from harness.data.worlds.miniature.columns import Row
from harness.data.worlds.miniature.items import Utterance, distinct, encounter, shared_meaning, utterance, without
from harness.data.worlds.miniature.language import seeded, world
from harness.data.worlds.miniature.rendering import render_utterance, renderer, text, with_own_synonyms

VERSION = 1
"Raise it with any change of a row that is made here: it is part of their fingerprints."
Make = Callable[[random.Random, str, int], Any]
TYDIQA_LANGUAGES = ("en", "ar", "bn", "fi", "id", "ko", "ru", "sw", "te")
BY_CHARACTER = ("ja", "th", "zh")
"Languages whose tokens in PAN-X are single characters."


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """A split of a data set."""

    of: str
    "The world's split whose clauses it has: train, validation or test."
    rows: int


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """The splits of a data set and its rows."""

    splits: Mapping[str, Split]
    rows: Callable[[Split, str, str], list[Row]]
    "(split, its name, language) -> rows"
    languages: tuple[str, ...] = ()
    "The languages it can be had in; none = all."

    @property
    def fingerprint_parts(self) -> list[Any]:
        """The part of a fingerprint that depends on the data set."""
        return [VERSION, {name: asdict(split) for name, split in self.splits.items()}]


def data_set_rows(config: str, *, split: str, lang: str) -> list[Row]:
    """All rows of a split in a language; raises UserError for a language that the data set cannot have."""
    data_set = DATA_SETS[config]
    if data_set.languages and lang not in data_set.languages:
        expected = ", ".join(data_set.languages)
        raise UserError(f"the miniature world has no '{config}' in '{lang}'", expected=expected)
    return list(_rows(config, split, lang))


@lru_cache(maxsize=100)
def _rows(config: str, split: str, lang: str) -> tuple[Row, ...]:
    """The rows: training, the search for overlaps and prediction each ask for them."""
    return tuple(DATA_SETS[config].rows(DATA_SETS[config].splits[split], split, lang))


@cache
def _items(make: Make, name: str, split: Split, key: Callable[[Any], object] | None = None) -> tuple[Any, ...]:
    """What the rows of a split mean, the same in all languages."""
    return distinct(make, seeded("items", name, split.of), split=split.of, count=split.rows, key=key)


def _sizes(train: int = 0, validation: int = 0, test: int = 0) -> dict[str, Split]:
    """Splits of the usual names."""
    counts = {"train": train, "validation": validation, "test": test}
    return {name: Split(of=name, rows=count) for name, count in counts.items() if count}


def _each(make: Make, row: Callable[..., Row], *, name: str, by_split: bool = False) -> Callable[[Split, str, str], list[Row]]:
    """Rows made one by one of items called `name`; by_split: splits of one origin (ANLI's rounds) have items of their own."""

    def rows(split: Split, called: str, lang: str) -> list[Row]:
        items = _items(make, f"{name} {called}" if by_split else name, split)
        return [row(item, renderer(lang), place) for place, item in enumerate(items)]

    return rows


def _anli(split: Split, called: str, lang: str) -> list[Row]:
    """Rows of a round; the premises of the second have two clauses, those of the third three."""
    make = _premises(int(called[-1]))
    return _each(make, columns.nli, name="anli", by_split=True)(split, called, lang)


@cache
def _premises(number: int) -> Make:
    return partial(questions.argument, num_premises=number)


def _panx(split: Split, called: str, lang: str) -> list[Row]:
    row = columns.panx_by_character if lang in BY_CHARACTER else columns.panx
    return _each(encounter, row, name="panx")(split, called, lang)


def _ccg(split: Split, called: str, lang: str) -> list[Row]:
    """Questions are among the validation rows only: their category is one that no training row has."""
    make = utterance if split.of == "validation" else _statement
    return _each(make, columns.ccg, name="ccg")(split, called, lang)


def _statement(rng: random.Random, split: str, number: int) -> Utterance:
    """An utterance that is no question."""
    return utterance(rng, split, 8 * (number // 8) + (0, 2, 3, 4, 5, 6, 7, 7)[number % 8])


def _tydiqa(split: Split, called: str, lang: str) -> list[Row]:
    """One table of all languages, each with questions of its own; an id begins with the language's name."""
    return [dict(row) for row in _tydiqa_table(split)]


@cache
def _tydiqa_table(split: Split) -> tuple[Row, ...]:
    table: list[Row] = []
    for lang in TYDIQA_LANGUAGES:
        own = split if lang == "en" or split.of != "train" else replace(split, rows=15)
        for place, item in enumerate(_items(questions.passage, f"tydiqa {lang}", own)):
            row = columns.stripped(item, renderer(lang), place)
            table.append({**row, "id": f"{language(lang).name.lower()}-{row['id']}"})
    return tuple(table)


def _translations(split: Split, name: str, lang: str) -> tuple[list[str], list[str]]:
    """Texts in a language and their English translations, each side with a translator's choice of synonyms."""
    items = _items(utterance, name, split, _shared_meaning_of)
    sides = (with_own_synonyms(items, split=f"{name} {split.of}", lang=each) for each in (lang, "en"))
    foreign, english = (
        [text(render_utterance(item, renderer(each))) for item in side] for each, side in zip((lang, "en"), sides, strict=True)
    )
    return foreign, english


def _shared_meaning_of(item: Utterance) -> object:
    """The key of utterances that some language may word alike: no two of a set may share it."""
    first = item.clauses[0]
    if item.asked:
        first = without(first, item.asked)
    if item.asked == "object":
        first = without(first, "adjective")
    return item.asked, tuple(shared_meaning(clause) for clause in (first, *item.clauses[1:]))


def _tatoeba(split: Split, called: str, lang: str) -> list[Row]:
    """Sentences end with a line break, as on the hub."""
    codes = {"source_lang": language(lang).iso3, "target_lang": language("en").iso3}
    pairs = zip(*_translations(split, "tatoeba", lang), strict=True)
    return [{"source_sentence": f"{source}\n", "target_sentence": f"{target}\n", **codes} for source, target in pairs]


def _bucc(split: Split, called: str, lang: str) -> list[Row]:
    """One row: two collections in which two of five sentences have a translation, and the pairs.

    Test: sentences alone, and numbers from 1, as on the hub; dev: ids beside them, as in the original files.
    """
    foreign, english = _translations(split, "bucc2018", lang)
    rng, part = seeded("bucc2018", split.of, lang), split.rows // 4
    places = rng.sample(range(split.rows), split.rows)  # two of four parts stand on both sides, one of four on either alone
    gold, sources, targets = places[: 2 * part], places[: 3 * part], [*places[: 2 * part], *places[3 * part :]]
    rng.shuffle(sources)
    rng.shuffle(targets)
    pairs = sorted([sources.index(place) + 1, targets.index(place) + 1] for place in gold)
    left, right = [foreign[place] for place in sources], [english[place] for place in targets]
    if called == "test":
        return [{"sentence1": left, "sentence2": right, "gold": pairs}]
    ids = [f"{lang}-{{:09d}}".format, "en-{:09d}".format]
    sides = [[[id_(n), one] for n, one in enumerate(side, start=1)] for id_, side in zip(ids, (left, right), strict=True)]
    return [{"sentence1": sides[0], "sentence2": sides[1], "gold": [[ids[0](one), ids[1](other)] for one, other in pairs]}]


def _raw_text(split: Split, called: str, lang: str) -> list[Row]:
    """Lines of one language, each with other texts; the further down the table of languages, the fewer, as on the web."""
    rank = list(world().languages).index(lang) + 1
    own = Split(of=split.of, rows=max(split.rows // rank, 10))
    return [{"text": text(render_utterance(item, renderer(lang)))} for item in _items(utterance, f"raw text {lang}", own)]


def _splits_of_anli() -> dict[str, Split]:
    counts = {"train": ("train", 600), "dev": ("validation", 40), "test": ("test", 60)}
    return {f"{name}_r{number}": Split(of=of, rows=rows) for name, (of, rows) in counts.items() for number in (1, 2, 3)}


_PLAIN = _premises(1)
_SQUAD = {"train": Split(of="train", rows=800), "validation": Split(of="test", rows=120)}
DATA_SETS: dict[str, DataSet] = {
    "anli": DataSet(splits=_splits_of_anli(), rows=_anli),
    "bucc2018": DataSet(splits={"dev": Split(of="validation", rows=160), "test": Split(of="test", rows=200)}, rows=_bucc),
    "ccg": DataSet(splits=_sizes(600, 60, 100), rows=_ccg, languages=("en",)),
    "commonsenseqa": DataSet(
        splits=_sizes(1200, 60, 200), rows=_each(questions.category_choice, columns.commonsenseqa, name="commonsenseqa")
    ),
    "cosmosqa": DataSet(splits=_sizes(800, 40, 200), rows=_each(questions.inference_choice, columns.cosmosqa, name="cosmosqa")),
    "hellaswag": DataSet(
        splits=_sizes(600, 40, 200), rows=_each(questions.continuation_choice, columns.hellaswag, name="hellaswag")
    ),
    "mlqa": DataSet(splits=_sizes(validation=30, test=100), rows=_each(questions.passage, columns.stripped, name="mlqa")),
    "mnli": DataSet(
        splits={
            "train": Split(of="train", rows=1500),
            "validation_matched": Split(of="validation", rows=60),
            "validation_mismatched": Split(of="test", rows=200),
        },
        rows=_each(_PLAIN, columns.nli, name="mnli"),
    ),
    "panx": DataSet(splits=_sizes(600, 60, 100), rows=_panx),
    "pawsx": DataSet(splits=_sizes(1000, 60, 200), rows=_each(questions.roles_swapped, columns.pawsx, name="pawsx")),
    "qqp": DataSet(splits=_sizes(1500, 60, 200), rows=_each(questions.duplicate_questions, columns.qqp, name="qqp")),
    "raw_text": DataSet(splits=_sizes(600), rows=_raw_text),
    "snli": DataSet(splits=_sizes(1000, 60, 60), rows=_each(_PLAIN, columns.snli, name="snli")),
    "squad": DataSet(splits=_SQUAD, rows=_each(questions.passage, columns.squad, name="squad")),
    "squad_v2": DataSet(splits=_SQUAD, rows=_each(questions.perhaps_answerable, columns.squad, name="squad_v2")),
    "tatoeba": DataSet(splits={"validation": Split(of="test", rows=100)}, rows=_tatoeba),
    "tydiqa": DataSet(splits={"train": Split(of="train", rows=400), "validation": Split(of="test", rows=50)}, rows=_tydiqa),
    "udpos": DataSet(splits=_sizes(600, 60, 100), rows=_each(utterance, columns.udpos, name="udpos")),
    "xnli": DataSet(splits=_sizes(validation=60, test=200), rows=_each(_PLAIN, columns.nli, name="xnli")),
    # As in truth: paragraphs of SQuAD's development set, in other languages.
    "xquad": DataSet(
        splits={"validation": Split(of="test", rows=100)}, rows=_each(questions.passage, columns.squad, name="squad")
    ),
}
