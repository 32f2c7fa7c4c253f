"""The YAML loader: includes, and file and line of every value and mistake."""

import os
from pathlib import Path

import pytest

from harness.api.errors import UserError
from harness.api.registry import ROOT
from harness.specs.loader import parse, read_document, shown
from harness.specs.recipe import Training
from harness.specs.task import TaskSpec


def put(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def failure(path):
    with pytest.raises(UserError) as caught:
        read_document(path)
    return str(caught.value)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_mappings_merge_deep_lists_replace_and_the_file_wins(here):
    put(here, "_one.yaml", "a: {x: 1, y: {p: 1, q: 2}}\nb: [1, 2, 3]\nc: 1\n")
    put(here, "_two.yaml", "a: {y: {q: 3}}\nc: 2\n")
    document = read_document(put(here, "top.yaml", "include: [_one.yaml, _two.yaml]\na: {x: 9}\nb: [4]\n"))
    assert document.values == {"a": {"x": 9, "y": {"p": 1, "q": 3}}, "b": [4], "c": 2}
    marks = {path: str(document.mark(path)) for path in [("a", "x"), ("a", "y", "p"), ("a", "y", "q"), ("b",), ("b", 0), ("c",)]}
    assert list(marks.values()) == ["top.yaml:2", "_one.yaml:1", "_two.yaml:1", "top.yaml:3", "top.yaml:3", "_two.yaml:2"]
    assert ("b", 1) not in document.marks
    assert document.where(("a", "y", "nowhere")) == "_two.yaml:1 a.y.nowhere"


def test_a_scalar_replaces_a_mapping_and_the_other_way_round(here):
    put(here, "_one.yaml", "a: {x: 1}\nb: 2\n")
    document = read_document(put(here, "top.yaml", "include: _one.yaml\na: 1\nb: {y: 2}\n"))
    assert document.values == {"a": 1, "b": {"y": 2}}
    assert ("a", "x") not in document.marks


def test_the_same_base_may_be_reached_twice(here):
    put(here, "_base.yaml", "a: 1\n")
    put(here, "_left.yaml", "include: _base.yaml\nb: 1\n")
    put(here, "_right.yaml", "include: _base.yaml\nc: 1\n")
    assert read_document(put(here, "top.yaml", "include: [_left.yaml, _right.yaml]\n")).values == {"a": 1, "b": 1, "c": 1}


def test_a_circle_is_named(here):
    put(here, "_one.yaml", "include: _two.yaml\n")
    put(here, "_two.yaml", "include: _one.yaml\n")
    message = failure(put(here, "top.yaml", "include: _one.yaml\n"))
    assert "_one.yaml -> _two.yaml -> _one.yaml" in message
    assert "top.yaml" not in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("include: _bas.yaml\n", ["t.yaml:1", "'_bas.yaml' does not exist", "did you mean '_base.yaml'"]),
        ("a: 1\ninclude: {x: 1}\n", ["t.yaml:2", "a file name or a list"]),
        ("- a\n", ["t.yaml:1", "expected a mapping"]),
        ("", ["t.yaml:1", "expected a mapping"]),
        ("a: 1\nb: [\n", ["t.yaml:", "not valid YAML"]),
        ("a: 1\nb: !!python/object:os.system x\n", ["t.yaml:2", "not valid YAML"]),
        ("a: 1\nb: {when: 2020-13-45}\n", ["t.yaml:2 b.when", "quote it"]),
        ("a: &x [*x]\n", ["t.yaml:1", "contains itself"]),
    ],
)
def test_what_is_no_mapping_of_values(here, text, words):
    put(here, "_base.yaml", "a: 1\n")
    message = failure(put(here, "t.yaml", text))
    assert [word for word in words if word not in message] == []


def test_bytes_that_are_no_utf8(here):
    (here / "t.yaml").write_bytes(b"a: \xff\n")
    assert "not UTF-8" in failure(here / "t.yaml")


BAD = """\
task: t
type: classification
description: d
descripton: d
languages: [en, no]
version: many
data:
  test:
    - {hub: a/b, spilt: test, where: [{colum: x, equals: y}]}
    - {hub: a/b, files: {rows: x}}
fields: {text: {tempalte: x}, text_pair: 3, label: {template: y}}
metrics: [{metrc: accuracy}]
selection: valdation
chance: 120
<<: {homepage: x}
task: again
"""


def test_all_mistakes_of_a_file_come_at_once_with_line_path_and_nearest_name(here):
    spec, errors = parse(read_document(put(here, "t.yaml", BAD)), TaskSpec)
    assert spec is None
    found = {error.where: (error.message, error.todo) for error in errors}
    assert len(found) == len(errors)
    assert found["t.yaml:4 descripton"] == ("unknown key 'descripton'", "did you mean 'description'?")
    assert found["t.yaml:5 languages[1]"] == ("input should be a valid string", "put it in quotes")
    assert "integer" in found["t.yaml:6 version"][0]
    assert found["t.yaml:9 data.test[0].spilt"] == ("unknown key 'spilt'", "did you mean 'split'?")
    assert found["t.yaml:9 data.test[0].where[0].colum"] == ("unknown key 'colum'", "did you mean 'column'?")
    assert found["t.yaml:9 data.test[0].where[0].column"][0] == "key 'column' is missing"
    assert "exactly one of 'hub', 'files' and 'world'" in found["t.yaml:10 data.test[1]"][0]
    assert found["t.yaml:11 fields.text.tempalte"] == ("unknown key 'tempalte'", "did you mean 'template'?")
    assert "fields.text" not in {where.split()[-1] for where in found}
    assert "fields.text_pair" in {where.split()[-1] for where in found}
    assert found["t.yaml:12 metrics[0].metrc"] == ("unknown key 'metrc'", "did you mean 'metric'?")
    assert found["t.yaml:13 selection"][1] == "did you mean 'validation'?"
    assert "t.yaml:14 chance" in found
    assert found["t.yaml:15"][0] == "merge keys (<<) are not read"
    assert found["t.yaml:16"][0] == "key 'task' is written twice"


def test_a_mistake_in_an_included_file_is_shown_there(here):
    put(here, "_base.yaml", "\ntype: classification\nlangages: [en]\nfields: {text: a}\n")
    _, errors = parse(read_document(put(here, "t.yaml", "include: _base.yaml\ntask: t\ndescription: d\n")), TaskSpec)
    assert [error.where for error in errors] == ["_base.yaml:3 langages"]


def test_a_part_is_checked_against_its_own_model(here):
    document = read_document(put(here, "t.yaml", "a:\n  - {learning_rat: 1, batch_size: 0, options: {x: 1}}\n"))
    _, errors = parse(document, Training, at=("a", 0), without=("options",))
    assert {error.where for error in errors} == {"t.yaml:2 a[0].learning_rat", "t.yaml:2 a[0].batch_size"}
    assert parse(document, Training, at=("b",)) == (Training(), [])


def test_a_path_is_shown_as_it_lies_from_the_working_folder(here):
    (here / "in").mkdir()
    for folder in (here, here / "in", Path("/")):
        os.chdir(folder)
        for path in (
            "/",
            "/x",
            f"{here}",
            f"{here}/in/t.yaml",
            f"{here}/inside",
            f"{here}/in/../t",
            f"{here}/..t",
            "t",
            "../t",
            ".",
        ):
            relative = os.path.relpath(path)
            assert shown(Path(path)) == (str(Path(path)) if relative.startswith("..") else relative), (folder, path)


def test_a_shipped_file_that_one_reader_has_changed_is_whole_for_the_next(monkeypatch, tmp_path):
    """Its text is parsed once in a process, and nobody's values are another's."""
    path = ROOT / "tasks" / "xtreme" / "xnli.yaml"
    first, second = read_document(path), read_document(path)
    assert (first.values, list(first.marks.items())) == (second.values, list(second.marks.items()))
    first.values["data"].clear()
    first.values["languages"].append("tlh")
    first.marks.clear()
    assert read_document(path) == second != first
    assert second.values["data"]
    monkeypatch.chdir(tmp_path)
    assert read_document(path).mark(("type",)).file == str(path)  # as messages name it from where one stands
