"""Rows are read by column: the same examples and errors as row by row, without a template for what only writes columns."""

import json
from itertools import product

import pyarrow as pa
import pytest
from support.listening import listen

from harness.api.errors import UserError
from harness.api.packed import Packed
from harness.data.columns import BLOCK, NotColumnar, TableRows, blocks
from harness.data.examples import load_examples
from harness.data.field_mapping import compile_columns, compile_fields
from harness.data.locations import DataPlace
from harness.data.templates.compiled import OWN, CompiledTemplate
from harness.data.templates.plain import WrittenName, plain_parts
from harness.specs.task import TaskSpec, Template

ROWS = [
    {"a": " x\n", "b": "y", "n": number, "list": ["u", " v "], "parts": {"text": ["t", str(number)]}, "of": [{"k": "1"}]}
    for number in range(2 * BLOCK + 3)
]
FIELDS = [
    "a",
    "n",
    "list",
    "parts.text",
    "of.k",
    Template(template="{{ a }}"),
    Template(template="{{ a | trim }}: {{ b }}"),
    Template(template="{{ n }}"),
    Template(template="{{ a | upper }}"),
    Template(template="{{ b }} {{ item | trim }}", each="list"),
    ("a", "n", Template(template="{{ b }}!")),
    (),
]


def by_column(fields, rows):
    """The fields of each row, by column where that is possible."""
    found = []
    for block in blocks(rows):
        try:
            columns = compile_columns(fields)(block)
            found += [dict(zip(columns, values)) for values in zip(*columns.values(), strict=True)]
        except NotColumnar:
            found += [compile_fields(fields)(row) for row in block.rows()]
    return found


@pytest.mark.parametrize("value", FIELDS, ids=str)
def test_columns_give_what_rows_give(value):
    fields = {"x": value, "y": "b"}
    expected = [compile_fields(fields)(row) for row in ROWS]
    for rows in (ROWS, tuple(ROWS), Packed(ROWS), TableRows(pa.Table.from_pylist(ROWS), where="")):
        assert by_column(fields, rows) == expected


def test_what_only_writes_columns_is_seen():
    assert plain_parts("{{ a | trim }}: {{ b }}\n", OWN) == [WrittenName("a", True), ": ", WrittenName("b", False), "\n"]
    for template in ("{{ a.b }}", "{{ a | upper }}", "{{ a | trim('x') }}", "{% if a %}x{% endif %}", "{{ range }}", "{{ 1 }}"):
        assert plain_parts(template, OWN) is None, template


@pytest.mark.parametrize("values", [(None, "x"), (3, "x"), ("\ud800", "x"), ("x", ["y"])], ids=ascii)
def test_a_value_that_is_no_plain_text_is_asked_of_the_template(values):
    rows = [{"a": value} for value in values]
    fields = {"x": Template(template="<{{ a | trim }}>")}

    def told(get):
        try:
            return [get(row) for row in rows]
        except UserError as error:
            return str(error)

    assert told(lambda row: by_column(fields, [row])[0]) == told(compile_fields(fields))


def parallel(folder, rows):
    """A task on a file of sentence pairs."""
    (folder / "de.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    source = {"files": {"rows": "{lang}.jsonl"}, "reader": "jsonl"}
    content = {
        "task": "pairs",
        "type": "retrieval",
        "description": "d",
        "licence": "l",
        "languages": ["de"],
        "data": {"test": source},
        "fields": {"source": {"template": "{{ s | trim }}"}, "target": "t"},
        "metrics": ["accuracy"],
        "chance": 1,
        "selection": "none",
    }
    return TaskSpec.model_validate(content)


def loaded(task, folder):
    return load_examples(task, split="test", langs=["de"], place=DataPlace.resolve(str(folder)))


def test_no_template_is_rendered_for_what_is_a_column(tmp_path, monkeypatch):
    rendered = []
    listen(monkeypatch, CompiledTemplate, "render", lambda *args, **kwargs: rendered.append(args))
    rows = [{"s": f" quelle {number} ", "t": f"target {number}"} for number in range(50)]
    task = parallel(tmp_path, rows)
    assert [(one.source, one.target) for one in loaded(task, tmp_path).examples] == [(r["s"].strip(), r["t"]) for r in rows]
    assert rendered == []
    parallel(tmp_path, [*rows, {"s": 7, "t": "seven"}])
    assert loaded(task, tmp_path).examples[-1].source == "7"
    assert len(rendered) == 51  # the block with the number goes row by row


@pytest.mark.parametrize(
    ("wrong", "at"), product([{"s": None, "t": "x"}, {"s": "x"}, {"s": "x", "t": 3}], [0, BLOCK - 1, BLOCK + 7])
)
def test_a_wrong_row_is_named_wherever_it_stands(tmp_path, wrong, at):
    rows = [{"s": "quelle", "t": "target"} for _ in range(BLOCK + 50)]
    rows[at] = wrong
    with pytest.raises(UserError) as raised:
        loaded(parallel(tmp_path, rows), tmp_path)
    assert f"row {at + 1}" in raised.value.where


def test_many_examples_are_packed_and_the_same(tmp_path):
    rows = [{"s": f"quelle {number} \u00e9", "t": f"target {number}"} for number in range(20_050)]
    found = loaded(parallel(tmp_path, rows), tmp_path).examples
    assert isinstance(found, Packed)
    assert len(found) == 20_050
    assert (found[20_049].id, found[20_049].source, found[-1].target) == ("20049", "quelle 20049 \u00e9", "target 20049")
