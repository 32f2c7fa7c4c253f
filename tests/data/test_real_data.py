"""The shipped tasks on real rows of the hub's datasets (a partial local mirror)."""

import re

import pytest

from harness.api.errors import MissingData
from harness.api.registry import READERS
from harness.data.examples import data_fingerprint, load_examples
from harness.data.languages import languages
from harness.data.locations import DataPlace
from harness.data.overlap import example_hashes
from harness.data.rows import load_rows
from harness.planning.catalog.catalog import Catalog
from harness.specs.task import Source

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def place(shared):
    return DataPlace.resolve(shared / "hub")


@pytest.fixture(scope="module")
def catalog():
    return Catalog()


@pytest.fixture
def load(place, catalog):
    def examples(name, split="test", langs=("en",), **options):
        return load_examples(catalog.task(name).spec, split=split, langs=langs, place=place, **options)

    return examples


def counts(load, catalog, name):
    return {lang: len(load(name, langs=[lang]).examples) for lang in catalog.task(name).spec.languages}


def test_xnli_counts_and_label_order(load, catalog):
    assert set(counts(load, catalog, "xnli").values()) == {5010}
    texts = {(e.text, e.text_pair): e.gold for e in load("xnli").examples}
    premise = "Well, I wasn't even thinking about that, but I was so frustrated, and, I ended up talking to him again."
    assert texts[premise, "I havent spoken to him again."] == "contradiction"
    assert texts[premise, "I was so upset that I just started talking to him again."] == "entailment"
    assert texts[premise, "We had a great talk."] == "neutral"


def test_two_copies_of_xnli_agree_in_every_language_and_label(load, place, catalog):
    for lang in catalog.task("xnli").spec.languages:
        one = Source(hub="google/xtreme", config="XNLI", split="test", where=[{"column": "language", "equals": "{lang}"}])
        words = [row["gold_label"] for row in load_rows(one, lang=lang, place=place).rows]
        assert words == [e.gold for e in load("xnli", langs=[lang]).examples], lang


def test_mnli_train_of_the_mirror_is_found_in_xnlis_validation(load):
    train, validation, test = load("mnli", "train"), load("xnli", "validation"), load("xnli")
    assert len(train.examples) == len(validation.examples) == 2490
    hashes = [set(example_hashes(found.examples, "classification")) for found in (train, validation, test)]
    assert hashes[0] == hashes[1]
    golds = {(e.text, e.text_pair): e.gold for e in validation.examples}
    assert all(golds[e.text.strip(), (e.text_pair or "").strip()] == e.gold for e in train.examples[:200])
    assert len(hashes[0] & hashes[2]) < 5


def test_udpos_hub_counts_are_those_of_the_mirrors_readme(load, catalog, shared):
    readme = (shared / "hub" / "README.md").read_text(encoding="utf-8")
    wanted = {
        name: int(number.replace(",", ""))
        for name, number in re.findall(r"\| `udpos\.(\w+)` \|[^|]*\|[^|]*\| ([\d,]+) \|", readme)
    }
    found = {languages()[lang].name: number for lang, number in counts(load, catalog, "udpos_hub").items()}
    assert found == wanted
    assert len(load("udpos_hub", "train").examples) == 21253
    assert load("udpos_hub", langs=["de"]).examples[0].gold[:4] == ["DET", "NOUN", "AUX", "ADP"]


def test_panx_counts_and_the_missing_language(load, catalog):
    spec = catalog.task("panx").spec
    there = [lang for lang in spec.languages if lang != "th"]
    found = {lang: len(load("panx", langs=[lang]).examples) for lang in there}
    small, tiny = {"af", "bn", "hi", "kk", "ml", "mr", "ms", "sw", "ta", "te", "tl", "ur"}, {"jv", "my", "yo"}
    assert found == {lang: 50 if lang in tiny else 500 if lang in small else 5000 for lang in there}
    tags = {tag for e in load("panx", "train").examples for tag in e.gold}
    assert tags == set(spec.labels)
    with pytest.raises(MissingData, match="fetch --tasks panx --languages th"):
        load("panx", langs=["th"])


@pytest.mark.parametrize("name", ["xquad", "tydiqa"])
def test_offsets_hold_because_contexts_are_raw(load, catalog, name):
    expected = {"ar": 921, "bn": 113, "en": 440, "fi": 782, "id": 565, "ko": 276, "ru": 812, "sw": 499, "te": 669}
    spec = catalog.task(name).spec
    led_by_space = 0
    for lang in spec.languages:
        examples = load(name, langs=[lang]).examples
        assert len(examples) == (1190 if name == "xquad" else expected[lang])
        led_by_space += sum(e.context != e.context.lstrip() for e in examples)
        for e in examples:
            for text, start in zip(e.gold, e.answer_starts, strict=True):
                assert e.context[start : start + len(text)] == text
    assert led_by_space == {"xquad": 169, "tydiqa": 1283}[name]


def test_tydiqa_trains_on_english_rows_only(load):
    train = load("tydiqa", "train")
    assert len(train.examples) == 3696
    assert {e.id.split("-")[0] for e in train.examples} == {"english"}


def test_squad_and_qqp(load):
    assert len(load("squad_v1", "train").examples) == 1857
    assert len(load("squad_v1").examples) == 803
    train, validation = load("qqp", "train"), load("qqp", "validation")
    assert (len(train.examples), len(validation.examples)) == (15845, 4000)
    assert train.examples[0].gold == "duplicate"


def test_tatoeba_sentences_have_no_newline_and_keep_their_order(load, catalog):
    small = {"jv": 205, "te": 234, "ta": 307, "sw": 390, "th": 548, "kk": 575, "ml": 687, "ka": 746}
    spec = catalog.task("tatoeba").spec
    for lang in spec.languages:
        found = load("tatoeba", langs=[lang], limit=50)
        assert len(found.examples) == small.get(lang, 1000)
        assert sum(example.query for example in found.examples) == 50
        assert not any(text != text.strip() or not text for e in found.examples for text in (e.source, e.target))
    first = load("tatoeba", langs=["de"]).examples[0]
    assert (first.source, first.target) == (
        "Maria sagte, sie wisse nicht, wo Tom sei.",
        "Mary said she didn't know where Tom was.",
    )


def test_a_config_called_default_lies_where_the_readme_says(place):
    rows = load_rows(Source(hub="Rowan/hellaswag", split="validation"), lang="en", place=place).rows
    assert len(rows) == 2042
    assert len(rows[0]["endings"]) == 4


def test_every_language_of_panx_loads_and_its_fingerprint_does_not_read_rows(load, catalog, place, monkeypatch):
    spec = catalog.task("panx").spec
    langs = [lang for lang in spec.languages if lang != "th"]
    found = load("panx", langs=langs)
    assert found.num_rows == 126150
    monkeypatch.setattr("pyarrow.parquet.ParquetFile", None)
    assert data_fingerprint(spec, split="test", langs=langs, place=place) == found.fingerprint


def test_readers_on_raw_files(shared):
    raw = shared / "raw"

    def read(name, path, **options):
        files = path if isinstance(path, dict) else {"rows": path}
        return list(READERS.load(name).read(files, lang="en", options=options))

    train = read("token_tsv", raw / "udpos" / "train-en.tsv.gz")
    words = read("token_tsv", raw / "udpos" / "test-en.words.tsv", tags=False)
    assert (len(train), len(words)) == (21253, 5440)
    ewt = read("conllu", raw / "conllu" / "UD_English-EWT" / "en_ewt-ud-dev.conllu")
    assert len(ewt) == 2001
    assert all("-" not in tag and tag != "_" for row in ewt for tag in row["tags"])
    assert len(read("conllu", raw / "conllu" / "UD_Marathi-UFAL" / "mr_ufal-ud-test.conllu")) == 47
    sides = {"source": raw / "tatoeba" / "tatoeba.swh-eng.swh", "target": raw / "tatoeba" / "tatoeba.swh-eng.eng"}
    assert len(read("parallel_text", sides)) == 390
