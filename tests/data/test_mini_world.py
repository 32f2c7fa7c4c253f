"""The miniature world: its forms, orders and splits, what its control destroys, and that it is the same everywhere."""

import hashlib
import json
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
import yaml

from harness.api.errors import UserError
from harness.data.languages import languages, xtreme_languages
from harness.data.worlds.mini import fingerprint, rows
from harness.data.worlds.miniature.data_sets import DATA_SETS
from harness.data.worlds.miniature.items import SIZES, ClausePair, items, split_of
from harness.data.worlds.miniature.language import Clause, bare, lexicon, words, world

CHECKOUT = Path(__file__).resolve().parents[2]
LANGUAGES = list(world().languages)
CONFIGS = list(SIZES)
GOLDEN_DATA_SETS = "016f1d6b8bf2e94680b1b9b8449a2da4407db4e30d10893476a167bdf8115649"
GOLDEN = "5418ffc522bf1a8a57609c1ab7540d42ae69525ac386ed14076e62df19fbfab6"
SCRIPTS = {
    "ARABIC": ("ar", "fa", "ur"),
    "BENGALI": ("bn",),
    "CJK": ("zh",),
    "CYRILLIC": ("bg", "kk", "ru"),
    "DEVANAGARI": ("hi", "mr"),
    "GEORGIAN": ("ka",),
    "GREEK": ("el",),
    "HANGUL": ("ko",),
    "HEBREW": ("he",),
    "HIRAGANA": ("ja",),
    "LATIN": (
        "af",
        "de",
        "en",
        "es",
        "et",
        "eu",
        "fi",
        "fr",
        "hu",
        "id",
        "it",
        "jv",
        "ms",
        "nl",
        "pt",
        "sw",
        "tl",
        "tr",
        "vi",
        "yo",
    ),
    "MALAYALAM": ("ml",),
    "MYANMAR": ("my",),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
    "THAI": ("th",),
}
"Beginning of the Unicode names of the letters."


def digest() -> str:
    """Hash of the first test rows of every config in some languages."""
    some = [rows(config=config, split="test", lang=lang)[:3] for lang in ("en", "ar", "th", "zh") for config in CONFIGS]
    return hashlib.sha256(json.dumps(some, ensure_ascii=False).encode()).hexdigest()


def digest_of_data_sets() -> str:
    """Hash of the first rows of the last split of every data set in some languages."""
    last = {config: list(data_set.splits)[-1] for config, data_set in DATA_SETS.items()}
    langs = {config: data_set.languages or ("en", "ar", "th") for config, data_set in DATA_SETS.items()}
    some = [rows(config=config, split=split, lang=lang)[:3] for config, split in last.items() for lang in langs[config]]
    return hashlib.sha256(json.dumps(some, ensure_ascii=False).encode()).hexdigest()


def flat(row: dict) -> str:
    """All text of a row."""
    return " ".join(str(value) for key, value in row.items() if key != "id")


def test_the_forty_languages_of_xtreme_write_in_their_scripts() -> None:
    assert set(LANGUAGES) == set(xtreme_languages())
    assert sorted(LANGUAGES) == sorted(lang for members in SCRIPTS.values() for lang in members)
    for script, members in SCRIPTS.items():
        for lang in members:
            assert {unicodedata.name(c).split()[0] for form in lexicon(lang).values() for c in form} == {script}, lang


def test_word_orders_are_those_of_the_language_table() -> None:
    table = {lang: row.word_order for lang in xtreme_languages() if (row := languages()[lang]).word_order}
    assert {lang: world().languages[lang].order.upper() for lang in table} == table


def test_no_two_entries_of_all_lexicons_are_spelled_alike() -> None:
    forms = [bare(form) for lang in LANGUAGES for form in lexicon(lang).values()]
    assert len(set(forms)) == len(forms) == 40 * len(lexicon("en"))
    assert not any(set(form) & set(" \t\n.,'\"-") for form in forms)


def test_forms_are_no_articles_that_the_answer_metric_takes_away() -> None:
    assert not {form for lang in LANGUAGES for form in lexicon(lang).values()} & {"a", "an", "the"}


def test_clauses_follow_the_order_of_each_language() -> None:
    clause = Clause(subject=("anna",), verb=("finds",), object=("dog",), adjective=("big",), place=("avalon",))
    orders = {lang: " ".join(word.concept for word in words(clause, lang=lang)) for lang in ("en", "fr", "ar", "tr", "zh")}
    assert orders == {
        "en": "anna finds big dog in avalon",
        "fr": "anna finds dog big in avalon",
        "ar": "finds anna dog big in avalon",
        "tr": "anna avalon in big dog finds",
        "zh": "anna in avalon finds big dog",
    }
    asked = {lang: " ".join(word.concept for word in words(clause, lang=lang, asked="object")) for lang in ("en", "tr")}
    assert asked == {"en": "what anna finds in avalon", "tr": "anna avalon in what finds"}


def test_rows_are_the_same_in_every_process() -> None:
    code = "import sys; sys.path.insert(0, 'tests/data'); import test_mini_world as t; print(t.digest(), t.digest_of_data_sets())"
    other = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, env={"PYTHONHASHSEED": "1", "PYTHONPATH": "."}, capture_output=True, text=True
    )
    assert other.stdout.split() == [GOLDEN, GOLDEN_DATA_SETS], other.stderr
    assert (digest(), digest_of_data_sets()) == (GOLDEN, GOLDEN_DATA_SETS)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_language_has_the_same_number_of_test_rows_and_no_row_twice(config: str) -> None:
    for lang in LANGUAGES:
        made = rows(config=config, split="test", lang=lang)
        assert len(made) == SIZES[config]["test"] <= 300
        if config not in ("text", "parallel"):  # a translator's synonyms may make two texts alike
            assert len(set(map(flat, made))) == len(made)


def test_retrieval_has_one_answer_on_either_side() -> None:
    for lang in LANGUAGES:
        made = rows(config="parallel", split="test", lang=lang)
        assert len({row["text"] for row in made}) == len({row["text_pair"] for row in made}) == len(made)


@pytest.mark.slow
def test_no_clause_of_a_test_set_is_training_data_of_any_config() -> None:
    def clauses(item: object) -> list[Clause]:
        if isinstance(item, Clause):
            return [item]
        return [item.first, item.second] if isinstance(item, ClausePair) else list(item.clauses)  # type: ignore[attr-defined]

    for config in CONFIGS:
        for split in SIZES[config]:
            assert {split_of(clause) for item in items(name=config, split=split) for clause in clauses(item)} == {split}
    train = {
        text
        for c in ("nli", "paraphrase")
        for row in rows(config=c, split="train", lang="en")
        for text in list(row.values())[1:3]
    }
    train |= {row["text_pair"] for lang in ("de", "ja") for row in rows(config="parallel", split="train", lang=lang)}
    test = {row["text_pair"] for row in rows(config="parallel", split="test", lang="de")}
    test |= {text for row in rows(config="nli", split="test", lang="en") for text in (row["premise"], row["hypothesis"])}
    assert not train & test


def test_pairs_differ_in_one_word_whatever_their_label() -> None:
    for config, labels in (("nli", {"entailment", "neutral", "contradiction"}), ("paraphrase", {"same", "different"})):
        for lang in ("en", "hi"):
            made = rows(config=config, split="test", lang=lang)
            shares = Counter(row["label"] for row in made)
            assert set(shares) == labels
            assert max(shares.values()) - min(shares.values()) <= 1
            for row in made:
                first, second = (text.split(" ") for text in list(row.values())[1:3])
                assert len(first) == len(second)
                assert sum(a != b for a, b in zip(first, second, strict=True)) == 1


def test_labels_say_how_words_are_related() -> None:
    concepts = world().concepts
    for row in rows(config="nli", split="train", lang="en")[:600]:
        ((old, new),) = {(a, b) for a, b in zip(row["premise"].split(), row["hypothesis"].split(), strict=True) if a != b}
        if world().kind_of.get(old) == new:
            assert row["label"] == "entailment"
        elif world().kind_of.get(new) == old:
            assert row["label"] == "neutral"
        elif old in world().kind_of:
            assert (row["label"], world().kind_of[new]) == ("contradiction", world().kind_of[old])
        elif old in concepts["certainty"]:
            pairs = {concepts["certainty"].index(old) // 2, concepts["certainty"].index(new) // 2}
            assert row["label"] == ("entailment" if len(pairs) == 1 else "neutral" if 2 in pairs else "contradiction")


@pytest.mark.parametrize("lang", ["en", "ja", "sw", "ar"])
def test_answers_stand_where_they_are_said_to(lang: str) -> None:
    for row in rows(config="qa", split="test", lang=lang):
        (answer,), (start,) = row["answers"]["text"], row["answers"]["answer_start"]
        assert row["context"][start : start + len(answer)] == answer
        assert answer in row["context"].split(" ")
        assert answer not in row["question"].split(" ")


def test_tags_name_the_same_entities_in_every_language() -> None:
    labels = set(yaml.safe_load((CHECKOUT / "tasks/mini/tagging.yaml").read_text(encoding="utf-8"))["labels"])
    english = rows(config="tagging", split="test", lang="en")
    for lang in LANGUAGES:
        for row, same in zip(rows(config="tagging", split="test", lang=lang), english, strict=True):
            assert len(row["tokens"]) == len(row["tags"])
            assert Counter(row["tags"]) == Counter(same["tags"])
            assert set(row["tags"]) <= labels


def test_the_position_of_a_noun_does_not_tell_its_type() -> None:
    starts = [tag for row in rows(config="tagging", split="train", lang="en") for tag in row["tags"][:1]]
    shares = Counter(starts)
    assert all(shares[tag] == pytest.approx(len(starts) / 4, rel=0.15) for tag in ("O", "B-PER", "B-LOC", "B-ORG"))


def test_the_control_moves_every_form_to_another_concept() -> None:
    for lang in LANGUAGES:
        plain, moved = lexicon(lang), lexicon(lang, shuffled=True)
        assert sorted(plain.values()) == sorted(moved.values())
        assert sum(plain[concept] == moved[concept] for concept in plain) == (len(plain) if lang == "en" else 0)
    made, plain_rows = rows(config="nli_shuffled", split="test", lang="sw"), rows(config="nli", split="test", lang="sw")
    assert [row["label"] for row in made] == [row["label"] for row in plain_rows]
    assert all(row["premise"] != other["premise"] for row, other in zip(made, plain_rows, strict=True))


def test_any_two_languages_can_be_paired() -> None:
    german = rows(config="parallel-de", split="train", lang="ja")
    assert [row["text"] for row in german] == [row["text"] for row in rows(config="parallel", split="train", lang="ja")]
    assert [row["text_pair"] for row in german] == [row["text"] for row in rows(config="parallel", split="train", lang="de")]


def test_fingerprints_differ_by_what_they_name() -> None:
    named = [(c, s, lang) for c in ("nli", "nli_shuffled", "qa") for s in ("train", "test") for lang in ("en", "sw")]
    prints = {fingerprint(config=c, split=s, lang=lang) for c, s, lang in named}
    assert len(prints) == len(named)


def test_fingerprints_stay_what_they_are() -> None:
    """They are in the keys of stages, those of the demo among them: a change makes everybody run everything again."""
    assert fingerprint(config="nli", split="train", lang="en")[:16] == "59f545a5fe61f9f2"
    assert fingerprint(config="parallel", split="train", lang="sw")[:16] == "3a907400a160a832"
    assert fingerprint(config="hellaswag", split="train", lang="en")[:16] == "1dfdf0a652238c90"


@pytest.mark.parametrize(
    ("config", "split", "lang", "says"),
    [
        ("nlii", "test", "en", "did you mean 'nli'"),
        ("nli", "tset", "en", "did you mean 'test'"),
        ("nli", "test", "xx", "no language 'xx'"),
        ("parallel-xx", "test", "de", "no language 'xx'"),
        ("nli-de", "test", "de", "only the config 'parallel'"),
        ("helaswag", "test", "de", "did you mean 'hellaswag'"),
        ("squad", "test", "de", "no split 'test'"),
        ("ccg", "test", "de", "no 'ccg' in 'de'"),
        ("xnli_shuffled", "test", "de", "no config 'xnli'"),
    ],
)
def test_what_the_world_does_not_have_is_said(config: str, split: str, lang: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        rows(config=config, split=split, lang=lang)
