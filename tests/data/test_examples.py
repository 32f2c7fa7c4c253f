"""Examples of a split: errors say which row, ids are unique, sources are joined and languages are told apart."""

import pytest
from small_mirrors import NliMirror, nli_task, pair

from harness.api.errors import UserError
from harness.data.examples import data_fingerprint, load_examples
from harness.data.locations import DataPlace


@pytest.fixture
def mirror(tmp_path):
    return NliMirror(tmp_path / "mirror")


def test_errors_of_a_row_say_where_it_stands(mirror):
    mirror("de/test-0.parquet", [pair(0), {**pair(1), "premise": None}])
    with pytest.raises(UserError, match=r"task 'nli', language de, .*/de/test-0.parquet, row 2: field 'text'"):
        load_examples(nli_task(), split="test", langs=["de"], place=mirror.place)


def test_ids_come_from_the_field_and_must_be_unique(mirror):
    mirror("de/test-0.parquet", [pair(0, id="a"), pair(1, id="b")])
    mirror("fr/test-0.parquet", [pair(0, id="a"), pair(1, id="a")])
    task = nli_task(fields={**nli_task().fields, "id": "id"})
    assert [e.id for e in load_examples(task, split="test", langs=["de"], place=mirror.place).examples] == ["a", "b"]
    with pytest.raises(UserError, match=r"(?s)two examples with the id 'a'.*/fr/test-0.parquet, row 1 and .*, row 2"):
        load_examples(task, split="test", langs=["fr"], place=mirror.place)


def test_several_sources_are_joined_with_ids_of_their_own(mirror):
    mirror("de/a-0.parquet", [pair(0)])
    mirror("de/b-0.parquet", [pair(0), pair(1)])
    sources = [{"hub": "org/nli", "config": "{lang}", "split": split} for split in "ab"]
    found = load_examples(nli_task(data={"train": sources}), split="train", langs=["de"], place=mirror.place)
    assert [(e.id, e.text) for e in found.examples] == [("0.0", "p 0"), ("1.0", "p 0"), ("1.1", "p 1")]
    assert found.origin == "mirror:org/nli/de/a, mirror:org/nli/de/b"


def test_a_source_that_cannot_tell_languages_apart_is_refused(mirror):
    mirror("de/test-0.parquet", [pair(0)])
    with pytest.raises(UserError, match="the same rows for each of 2 languages"):
        load_examples(
            nli_task(data={"test": {"hub": "org/nli", "config": "de", "split": "test"}}),
            split="test",
            langs=["de", "fr"],
            place=mirror.place,
        )


def test_rows_of_a_generated_world():
    task = nli_task(
        data={"test": {"world": "mini", "config": "text", "split": "train"}}, type="masked_lm", fields={"text": "text"}, labels=[]
    )
    found = load_examples(task, split="test", langs=["de", "th"], place=DataPlace(), limit=5)
    assert [e.lang for e in found.examples] == ["de"] * 5 + ["th"] * 5
    assert found.fingerprint == data_fingerprint(task, split="test", langs=["de", "th"], place=DataPlace())
