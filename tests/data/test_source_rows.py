"""Rows of a source hold the values of its files, filtered and renamed as the source says."""

import json

import pyarrow as pa
import pytest
from small_mirrors import NliMirror, pair, source

from harness.api.errors import UserError
from harness.data.arrow import class_names, to_rows
from harness.data.locations import DataPlace
from harness.data.rows import load_rows
from harness.specs.task import Source


@pytest.fixture
def mirror(tmp_path):
    return NliMirror(tmp_path / "mirror")


def test_arrow_values_equal_those_of_arrow_itself():
    rows = [
        {"a": 1, "t": "x", "l": ["u", "v"], "s": {"text": ["q"], "n": [3]}, "f": 0.5, "b": True, "m": [{"k": "1"}]},
        {"a": None, "t": None, "l": None, "s": None, "f": None, "b": None, "m": []},
        {"a": 3, "t": "", "l": [], "s": {"text": [], "n": None}, "f": 1.0, "b": False, "m": [{"k": None}]},
    ]
    table = pa.Table.from_pylist(rows)
    assert to_rows(table) == rows
    assert to_rows(table.slice(1, 2)) == rows[1:]
    assert to_rows(pa.concat_tables([table.slice(2), table])) == [rows[2], *rows]
    assert to_rows(table.slice(0, 0)) == []


def test_class_names_are_found_in_lists_and_structures():
    label = {"_type": "ClassLabel", "names": ["no", "yes"]}
    features = {
        "a": label,
        "b": {"_type": "Sequence", "feature": label},
        "c": {"x": label, "y": [label]},
        "d": {"_type": "Value", "dtype": "string"},
    }
    schema = pa.schema([], metadata={"huggingface": json.dumps({"info": {"features": features}})})
    assert class_names(schema, where="rows") == dict.fromkeys(["a", "b", "c.x", "c.y"], ("no", "yes"))


def test_where_and_rename(mirror):
    mirror(
        "all/test-0.parquet",
        [pair(n, lang=lang, id=f"{name}-{n}") for n, (lang, name) in enumerate([("de", "german"), ("fr", "french")])],
    )
    renamed = source(config="all", where=[{"column": "lang", "equals": "{lang}"}], rename={"text": "premise", "hypothesis": "id"})
    (row,) = load_rows(renamed, lang="fr", place=mirror.place).rows
    assert row == {"text": "p 1", "hypothesis": "french-1", "label": 0, "lang": "fr"}
    prefixed = source(config="all", where=[{"column": "id", "prefix": "{name_lower}-"}])
    assert [row["premise"] for row in load_rows(prefixed, lang="de", place=mirror.place).rows] == ["p 0"]
    with pytest.raises(UserError, match=r"(?s)no column 'langg'.*did you mean 'lang'"):
        load_rows(source(config="all", where=[{"column": "langg", "equals": "x"}]), lang="de", place=mirror.place)


def test_where_and_rename_of_rows_that_a_reader_gives(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"a": 1, "b": "de-1"}\n{"a": 2, "b": "fr-2"}\n{"a": 3, "b": null}\n')
    local = Source(
        files={"rows": "rows.jsonl"}, reader="jsonl", where=[{"column": "b", "prefix": "{lang}-"}], rename={"id": "b", "x": "a"}
    )
    found = load_rows(local, lang="fr", place=DataPlace.resolve(tmp_path))
    assert (found.rows, found.origin) == ([{"id": "fr-2", "x": 2}], "files:rows.jsonl")


def test_a_file_that_is_no_parquet_is_a_user_error(mirror):
    path = mirror("de/test-0.parquet", [pair(1)])
    path.write_bytes(b"not parquet")
    with pytest.raises(UserError, match=r"test-0.parquet: not a readable parquet file"):
        load_rows(source(), lang="de", place=mirror.place)
