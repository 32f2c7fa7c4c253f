"""A row means the same from a table of text, from JSON and from Parquet: in filters, in label maps and as a label."""

import datetime
import decimal
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_mirrors import nli_task

from harness.api.errors import UserError
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.data.rows import load_rows
from harness.data.values import as_integer, compared_as
from harness.specs.task import Source

FORMATS = ("tsv", "jsonl", "parquet")
ROWS = [
    {"text": "nice", "label": "pos", "is_test": True, "fold": 1.0, "part": 1, "day": "2024-01-31", "share": 0.1},
    {"text": "bad", "label": "neg", "is_test": True, "fold": 2.0, "part": 2, "day": "2024-02-01", "share": 0.5},
    {"text": "mm", "label": "neg", "is_test": False, "fold": 1.0, "part": 1, "day": "2024-02-01", "share": 0.25},
]
"Those of a public report, in which a filter found 0 rows in JSON and 2 in Parquet."


def write(folder, rows, *, schema=None):
    """The same rows in every format; text has Python's spelling of booleans, as pandas writes them."""
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = ["\t".join(rows[0]), *("\t".join(str(value) for value in row.values()) for row in rows)]
    (folder / "rows.tsv").write_text("\n".join(lines) + "\n")
    table = pa.Table.from_pylist(rows)
    for name, kind in (schema or {}).items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(kind))
    path = folder / "my" / "rows" / "default" / "test-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    return DataPlace(data_dir=folder, offline=True)


def source_of(kind, **more):
    place = {
        "tsv": {"files": {"rows": "rows.tsv"}, "reader": "tsv", "reader_options": {"header": True}},
        "jsonl": {"files": {"rows": "rows.jsonl"}, "reader": "jsonl"},
        "parquet": {"hub": "my/rows", "split": "test"},
    }
    return {**place[kind], **more}


def golds(kind, place, **task):
    spec = nli_task(data={"test": source_of(kind)}, languages=["de"], fields={"text": "text", "label": "label"}, **task)
    return [example.gold for example in load_examples(spec, split="test", langs=["de"], place=place).examples]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        ("True", "true"),
        ("FALSE", "false"),
        (1, "1"),
        (1.0, "1"),
        ("1.0", "1"),
        (-0.0, "0"),
        (1.5, "1.5"),
        ("1.50", "1.5"),
        (1e-05, "0.00001"),
        (decimal.Decimal("2.00"), "2"),
        ("01", "01"),
        ("yes", "yes"),
        ("1.0.0", "1.0.0"),
        (datetime.date(2024, 1, 31), "2024-01-31"),
        (datetime.datetime(2024, 1, 31, 8, 30), "2024-01-31 08:30:00"),
    ],
)
def test_values_are_compared_as_a_text(value, text):
    assert compared_as(value) == text
    assert compared_as(text) == text


def test_integers_are_what_is_written_as_one():
    assert [as_integer(value) for value in (3, 3.0, "3", "-1", "03", "3.5", True, "x")] == [3, 3, 3, -1, None, None, None, None]


@pytest.mark.parametrize("value", [None, ["a"], {"a": 1}])
def test_what_is_no_single_value_is_not_compared(value):
    with pytest.raises(UserError, match="cannot be compared"):
        compared_as(value)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ({"column": "is_test", "equals": "true"}, ["nice", "bad"]),
        ({"column": "is_test", "equals": "False"}, ["mm"]),
        ({"column": "fold", "equals": "1"}, ["nice", "mm"]),
        ({"column": "fold", "equals": "1.0"}, ["nice", "mm"]),
        ({"column": "part", "equals": "2"}, ["bad"]),
        ({"column": "day", "equals": "2024-01-31"}, ["nice"]),
        ({"column": "day", "prefix": "2024-02"}, ["bad", "mm"]),
        ({"column": "share", "equals": "0.1"}, ["nice"]),
    ],
)
def test_a_filter_keeps_the_same_rows_in_every_format(tmp_path, kind, test, expected):
    place = write(tmp_path, ROWS)
    source = Source.model_validate(source_of(kind, where=[test]))
    assert [row["text"] for row in load_rows(source, lang="de", place=place).rows] == expected


def test_arrow_has_types_of_its_own_for_the_same_values(tmp_path):
    types = {"day": pa.date32(), "share": pa.float32(), "part": pa.int8(), "label": pa.dictionary(pa.int32(), pa.string())}
    place = write(tmp_path, ROWS, schema=types)
    tests = [("day", "2024-02-01"), ("share", "0.1"), ("part", "1"), ("label", "neg")]
    kept = []
    for column, value in tests:
        source = Source.model_validate(source_of("parquet", where=[{"column": column, "equals": value}]))
        kept.append([row["text"] for row in load_rows(source, lang="de", place=place).rows])
    assert kept == [["bad", "mm"], ["nice"], ["nice", "mm"], ["bad", "mm"]]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_filter_that_no_row_passes_is_an_error(tmp_path, kind):
    place = write(tmp_path, ROWS)
    source = Source.model_validate(source_of(kind, where=[{"column": "fold", "equals": "3"}]))
    with pytest.raises(UserError, match=r"(?s)none of 3 rows passes the filter.*a row with fold equals '3'"):
        load_rows(source, lang="de", place=place)


def test_a_row_without_the_column_is_a_row_without_a_value(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"a": 2, "b": "x"}\n{"a": 3, "b": null}\n')
    source = Source.model_validate(source_of("jsonl", where=[{"column": "b", "equals": "x"}]))
    assert load_rows(source, lang="de", place=DataPlace(data_dir=tmp_path)).rows == [{"a": 2, "b": "x"}]


def test_a_filter_looks_at_single_values(tmp_path):
    place = write(tmp_path, [{"text": "a", "tags": ["x"]}])
    with pytest.raises(UserError, match="column 'tags': this value cannot be compared"):
        load_rows(Source.model_validate(source_of("jsonl", where=[{"column": "tags", "equals": "x"}])), lang="de", place=place)
    with pytest.raises(UserError, match="column 'tags': a filter looks at single values"):
        load_rows(Source.model_validate(source_of("parquet", where=[{"column": "tags", "equals": "x"}])), lang="de", place=place)


STARS = [{"text": "bad", "label": -1}, {"text": "meh", "label": 0}, {"text": "good", "label": 1}, {"text": "great", "label": 1}]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ({"labels": ["-1", "0", "1"]}, ["-1", "0", "1", "1"]),  # numbers that are names, not places
        ({"labels": ["1", "0", "-1"]}, ["-1", "0", "1", "1"]),
        ({"labels": ["1", "0"]}, ["0", "1", "1"]),  # -1 is no name: unlabelled
        ({"labels": ["no", "yes"]}, ["no", "yes", "yes"]),  # places
        ({"labels": ["no", "yes"], "label_values": {"0": "yes", "1": "no", "-1": "no"}}, ["no", "yes", "no", "no"]),
        ({"labels": ["no", "yes"], "label_values": {"1": "no", "0": "drop"}}, ["no", "no"]),
        ({"labels": ["0.0", "1.0"]}, ["0.0", "1.0", "1.0"]),
    ],
)
def test_a_label_is_the_same_in_every_format(tmp_path, kind, task, expected):
    assert golds(kind, write(tmp_path, STARS), **task) == expected


@pytest.mark.parametrize("kind", FORMATS)
def test_booleans_and_floats_are_labels_too(tmp_path, kind):
    place = write(tmp_path, [{"text": "a", "label": True}, {"text": "b", "label": False}])
    assert golds(kind, place, labels=["False", "True"]) == ["True", "False"]
    assert golds(kind, place, labels=["no", "yes"], label_values={"true": "yes", "false": "no"}) == ["yes", "no"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_number_among_numbers_that_are_names_is_never_a_place(tmp_path, kind):
    place = write(tmp_path, [{"text": "a", "label": 0}, {"text": "b", "label": 3}])
    with pytest.raises(UserError, match="row 1: '0' is no label"):
        golds(kind, place, labels=["1", "2", "3"])
    with pytest.raises(UserError, match="row 1: '0' is no label"):
        golds(kind, place, labels=["one", "three"], label_values={"1": "one", "3": "three"})


@pytest.mark.parametrize("kind", FORMATS)
def test_a_split_of_which_no_row_is_left_is_an_error(tmp_path, kind):
    place = write(tmp_path, [{"text": "a", "label": -1}, {"text": "b", "label": -1}])
    with pytest.raises(UserError, match="task 'nli', test, language de: no row is left"):
        golds(kind, place)
    with pytest.raises(UserError, match="no row is left"):
        golds(kind, place, label_values={"-1": "drop"})


def test_a_test_row_without_a_label_cannot_be_scored(tmp_path):
    place = write(tmp_path, [{"text": "a", "label": "neutral"}, {"text": "b", "label": None}])
    with pytest.raises(UserError, match=r"(?s)1 of 2 test rows have no label.*found: none in .*, row 2"):
        golds("jsonl", place)


def test_a_label_called_drop_is_a_label(tmp_path):
    place = write(tmp_path, [{"text": "a", "label": "drop"}, {"text": "b", "label": "keep"}])
    assert golds("jsonl", place, labels=["drop", "keep"]) == ["drop", "keep"]


def test_tags_found_in_training_rows_are_compared_alike(tmp_path):
    place = write(tmp_path, [{"text": "a", "tokens": ["x", "y"], "tags": [1, 2]}])
    task = nli_task(
        type="tagging",
        fields={"tokens": "tokens", "tags": "tags"},
        labels=["1", "2"],
        labels_from="train",
        data={"test": source_of("jsonl"), "train": source_of("jsonl")},
    )
    assert load_examples(task, split="test", langs=["de"], place=place).examples[0].gold == ["1", "2"]


def test_rows_are_counted_from_1_in_the_file_where_they_stand(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "x", "label": "entailment", "use": 1}\n{"text": "y", "label": "?", "use": 0}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "z", "label": "neutral", "use": 0}\n\n{"text": "v", "label": "odd", "use": 1}\n')
    data = {"files": {"rows": ["a.jsonl", "b.jsonl"]}, "reader": "jsonl", "where": [{"column": "use", "equals": "1"}]}
    task = nli_task(data={"test": data}, fields={"text": "text", "label": "label"})
    with pytest.raises(UserError, match=r"language de, \S*b.jsonl, row 2: 'odd' is no label"):
        load_examples(task, split="test", langs=["de"], place=DataPlace(data_dir=tmp_path))
