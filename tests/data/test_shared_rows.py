"""Rows that two splits share are found by their texts, whatever their label, and can be left out."""

import pytest
from small_mirrors import NliMirror, nli_task, pair

from harness.data.examples import load_examples
from harness.data.overlap import example_hashes, text_hash, without


@pytest.fixture
def mirror(tmp_path):
    return NliMirror(tmp_path / "mirror")


def test_text_hashes_ignore_unicode_form_and_white_space_but_not_the_seam():
    assert text_hash(["caf\u00e9  x"]) == text_hash([" cafe\u0301 x\n"])
    assert text_hash(["a", "b c"]) != text_hash(["a b", "c"])
    assert text_hash(["a"]) != text_hash(["A"])


def test_shared_rows_are_found_and_removed_whatever_their_label(mirror):
    mirror("en/train-0.parquet", [pair(n, 1) for n in range(10)])
    mirror("en/test-0.parquet", [pair(8, 0), pair(9, 0), pair(10, 0)])
    task = nli_task(data={split: {"hub": "org/nli", "config": "{lang}", "split": split} for split in ("train", "test")})
    train, test = (load_examples(task, split=split, langs=["en"], place=mirror.place).examples for split in ("train", "test"))
    shared = set(example_hashes(train, task.type)) & set(example_hashes(test, task.type))
    assert len(shared) == 2
    kept, num_removed = without(train, shared, task.type)
    assert ([e.id for e in kept], num_removed) == ([str(n) for n in range(8)], 2)
    assert without(train, (), task.type) == (list(train), 0)
