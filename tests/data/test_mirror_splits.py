"""Slices of splits are those of `datasets`, and what a mirror holds in another format is said by name."""

import pyarrow as pa
import pytest
from small_mirrors import NliMirror, pair, source

from harness.api.errors import MissingData, UserError
from harness.data.rows import fingerprint, load_rows


@pytest.fixture
def mirror(tmp_path):
    return NliMirror(tmp_path / "mirror")


@pytest.mark.parametrize("split", ["test", "test[:2]", "test[50%:]", "test[-1:]", "test[:1]+train", "train + test[1:2]"])
def test_slices_are_those_of_datasets(mirror, split):
    from datasets import Dataset, ReadInstruction, concatenate_datasets

    rows = {"test": [pair(n) for n in range(3)], "train": [pair(n) for n in range(10, 15)]}
    for name, content in rows.items():
        mirror(f"de/{name}-0.parquet", content)
    parts = ReadInstruction.from_spec(split).to_absolute({name: len(content) for name, content in rows.items()})
    whole = {name: Dataset(pa.Table.from_pylist(content)) for name, content in rows.items()}
    expected = concatenate_datasets(
        [whole[part.splitname].select(range(len(rows[part.splitname]))[part.from_ : part.to]) for part in parts]
    )
    found = load_rows(source(split=split), lang="de", place=mirror.place)
    assert found.rows == expected.to_list()
    assert len(found.rows) < 8
    assert found.fingerprint == fingerprint(source(split=split), lang="de", place=mirror.place)


def test_what_is_no_slice_is_refused_by_name(mirror):
    mirror("de/test-0.parquet", [pair(0)])
    with pytest.raises(UserError, match=r"split 'test\[a:\]' of org/nli/de: not a slice of a split"):
        load_rows(source(split="test[a:]"), lang="de", place=mirror.place)


def test_files_of_another_format_are_named_and_fetch_is_not_the_advice(mirror):
    (mirror.dataset / "test.jsonl").write_text('{"text": "a"}\n')
    mirror.readme("---\nconfigs:\n- config_name: default\n  data_files:\n  - split: test\n    path: test.jsonl\n---\n")
    with pytest.raises(MissingData, match=r"(?s)in files that are no Parquet.*test\.jsonl.*convert them") as error:
        load_rows(source(config="default"), lang="de", place=mirror.place)
    assert not error.value.fetchable


def test_files_without_a_folder_are_those_of_the_only_config(mirror):
    mirror("test-00000-of-00001.parquet", [pair(4)])
    assert load_rows(source(config="default"), lang="de", place=mirror.place).rows == [pair(4)]
