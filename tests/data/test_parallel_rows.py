"""Parallel rows side by side: translation from any language of a parallel set into any other."""

import json

import pytest
import yaml

from harness.api.errors import MissingData, UserError
from harness.api.registry import ROOT
from harness.data.examples import data_fingerprint, load_examples
from harness.data.fetch import dataset_items
from harness.data.locations import DataPlace
from harness.data.parallel_rows import side_by_side
from harness.planning.catalog.catalog import Catalog
from harness.specs.portable import portable, revive
from harness.specs.task import ParallelLanguage, TaskSpec

ENGLISH = [{"id": "a", "text": "one"}, {"id": "b", "text": "two"}, {"id": "c", "text": "three"}]
GERMAN = [{"id": "b", "text": "zwei"}, {"id": "c", "text": "drei"}, {"id": "a", "text": "eins"}]


def task(beside, **more):
    source = {"files": {"rows": "{lang}.jsonl"}, "reader": "jsonl", "beside": beside}
    fields = {"source": "other.text", "references": "text", "source_lang": "other_lang", "id": "id"}
    spec = {"task": "t", "type": "generation", "description": "d", "languages": ["de"], "data": {"test": source}}
    return TaskSpec.model_validate({**spec, "fields": fields, "metrics": ["chrf"], **more})


def write(folder, **rows):
    for lang, own in rows.items():
        (folder / f"{lang}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own), encoding="utf-8")
    return DataPlace.resolve(str(folder))


def pairs(spec, place, lang="de"):
    found = load_examples(spec, split="test", langs=[lang], place=place)
    return [(example.id, example.source, example.gold, example.source_language) for example in found.examples]


def test_rows_meet_by_their_item_or_by_their_place(tmp_path):
    place = write(tmp_path, en=ENGLISH, de=GERMAN)
    assert pairs(task({"lang": "en", "match": "id"}), place) == [
        ("b", "two", ["zwei"], "English"),
        ("c", "three", ["drei"], "English"),
        ("a", "one", ["eins"], "English"),
    ]
    assert [source for _, source, _, _ in pairs(task({"lang": "en"}), place)] == ["one", "two", "three"]
    back = task({"lang": "de", "match": "id"}, languages=["en"])
    assert pairs(back, place, "en")[0] == ("a", "eins", ["one"], "German")


@pytest.mark.parametrize(
    ("rows", "beside", "message"),
    [
        (ENGLISH[:2], {"lang": "en"}, r"(?s)differ in their number of rows.*3 rows in 'en'.*2 rows"),
        (ENGLISH[:2], {"lang": "en", "match": "id"}, r"(?s)1 rows have none beside them in 'en'.*the id 'c'"),
        ([*ENGLISH, ENGLISH[0]], {"lang": "en", "match": "id"}, "two rows in 'en' have the id 'a'"),
        (ENGLISH, {"lang": "en", "match": "key"}, r"(?s)no column 'key'.*columns id, text"),
    ],
)
def test_rows_that_do_not_meet_are_user_errors(rows, beside, message):
    with pytest.raises(UserError, match=message):
        side_by_side(GERMAN, rows, beside=ParallelLanguage(**beside), where="here")


def test_a_language_that_is_not_there_is_missing_data(tmp_path):
    with pytest.raises(MissingData):
        pairs(task({"lang": "en"}), write(tmp_path, de=GERMAN))


def test_the_fingerprint_is_that_of_both_languages(tmp_path):
    place = write(tmp_path, en=ENGLISH, de=GERMAN, fr=ENGLISH[::-1])

    def prints():
        wanted = [{"lang": "en"}, {"lang": "fr"}]
        found = [data_fingerprint(task(beside), split="test", langs=["de"], place=place) for beside in wanted]
        loaded = [load_examples(task(beside), split="test", langs=["de"], place=place).fingerprint for beside in wanted]
        assert found == loaded
        return found

    before = prints()
    assert before[0] != before[1]
    write(tmp_path, en=[*ENGLISH[:2], {"id": "c", "text": "3"}])
    after = prints()
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_stages_receive_what_stands_beside_and_fetch_gets_both_languages():
    spec = Catalog().task("translation_of_questions").spec
    assert revive(spec.task, portable(spec, split="test")).data.test == spec.data.test
    configs = [item.source.config for item in dataset_items([spec], langs=["th", "hi"])]
    assert configs == ["XQuAD.th", "XQuAD.en", "XQuAD.hi"]


def test_mistakes_are_found_in_the_file(tmp_path):
    spec = task({"lang": "en"}).model_dump(mode="json", exclude_defaults=True)
    texts = []
    for lang in ("de", "ge"):
        spec["data"]["test"][0]["beside"]["lang"] = lang
        (tmp_path / "t.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
        texts.append("\n".join(map(str, Catalog([tmp_path]).check_all(under=tmp_path))))
    assert "stand beside themselves" in texts[0]
    assert "leave 'de' out of languages" in texts[0]
    assert "unknown language 'ge'" in texts[1]


def between(tmp_path, source, languages):
    """The shipped task between other languages, by a file of four lines."""
    shipped = ROOT / "tasks" / "generation" / "translation_of_questions.yaml"
    beside = {"data": {"test": {"beside": {"lang": source}}}}
    spec = {"include": [str(shipped)], "task": "mine", "languages": languages, **beside}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    catalog = Catalog([tmp_path])
    assert catalog.check_all(under=tmp_path) == []
    return catalog.task("mine").spec


@pytest.mark.real
def test_any_language_of_a_real_set_is_translated_into_any_other(tmp_path, shared):
    spec = between(tmp_path, "th", ["en", "zh"])
    place = DataPlace.resolve(str(shared / "hub"))
    for lang in ("en", "zh"):
        found = load_examples(spec, split="test", langs=[lang], place=place).examples
        assert len(found) == 1190
        assert {(example.source_language, example.target_lang) for example in found} == {("Thai", lang)}
    english = load_examples(Catalog().task("translation_of_questions").spec, split="test", langs=["th"], place=place).examples
    there = {example.id: (example.source, example.gold) for example in english}
    back = load_examples(spec, split="test", langs=["en"], place=place).examples
    assert there == {example.id: (example.gold[0], [example.source]) for example in back}
