"""Schemas for editors: every shipped file fits, what `validate` refuses of a file's shape does not, every key is explained."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from small_tasks import RECIPE, pairs

import run_eval
from harness.api.registry import ROOT
from harness.planning.catalog.editor_schemas import editor_kinds, editor_schema
from harness.planning.catalog.kinds import KINDS
from harness.specs.loader import load_yaml

FILES = [
    path
    for folder in (ROOT / "tasks", ROOT / "models" / "presets")
    for path in sorted(folder.rglob("*.yaml"))
    if not path.name.startswith("_")
]


@pytest.fixture(scope="module")
def validators():
    found = {}
    for kind in editor_kinds():
        Draft202012Validator.check_schema(editor_schema(kind))
        found[kind] = Draft202012Validator(editor_schema(kind))
    return found


def wrong(validator, values):
    return [f"{error.json_path}: {error.message}"[:200] for error in validator.iter_errors(values)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shipped_file_fits_its_schema(path, validators):
    text = re.sub(r"(\d\.\d+e)(\d)", r"\1+\2", path.read_text(encoding="utf-8"))  # 3.0e4 is a number for editors: YAML 1.2
    values = json.loads(json.dumps(load_yaml(text)))
    (kind,) = [kind for kind in KINDS if kind in values]
    assert wrong(validators[kind], values) == []


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        ("task", pairs("x", chanse=3), "'chanse' was unexpected"),
        ("task", pairs("x", type="clasification"), "'clasification' is not one of"),
        ("task", pairs("x", chance=101), "101 is greater than the maximum"),
        ("task", pairs("x", options={"max_lenght": 3}), "'max_lenght' was unexpected"),
        ("task", pairs("x", options={"max_length": 0}), "0 is less than the minimum"),
        ("task", pairs("x", fields={"txt": "a"}), "'txt' was unexpected"),
        ("task", {"task": "x", "type": "classification"}, "'fields' is a required property"),
        ("task", pairs("x", lm_eval={}), "'lm_eval' was unexpected"),
        ("recipe", {**RECIPE, "target": {"epoch": 1}}, "'epoch' was unexpected"),
        ("recipe", {**RECIPE, "tasks": {"xnli": {"learning_rate": 0}}}, "0 is less than or equal to the minimum"),
        ("device", {"device": "x", "memory_gib": -1}, "-1 is less than or equal to the minimum"),
        ("languages", {"tlh": {"iso3": "tlh", "name": "Klingon", "family": "none"}}, "'script' is a required property"),
        ("languages", {"Klingon": {}}, "'Klingon' does not match"),
    ],
)
def test_what_does_not_fit_is_marked(validators, kind, values, said):
    assert [text for text in wrong(validators[kind], values) if said in text]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("task", pairs("x", options={"max_length": 64}, metrics=["accuracy", {"metric": "my_own"}])),
        ("task", {"task": "x", "include": ["_base.yaml"]}),
        ("recipe", {**RECIPE, "tasks": {"target/xnli": {"epochs": 1, "options": {"max_length": 64}}}}),
        ("languages", {"tlh": {"iso3": "tlh", "name": "Klingon", "family": "constructed", "script": "Latn"}}),
    ],
)
def test_what_the_loader_takes_is_not_marked(validators, kind, values):
    assert wrong(validators[kind], values) == []


@pytest.mark.parametrize("kind", editor_kinds()[:-1])
def test_every_key_is_explained(kind):
    schema = editor_schema(kind)
    parts = {"": schema, **schema.get("$defs", {})}
    keys = [(name, key, value) for name, part in parts.items() for key, value in part.get("properties", {}).items()]
    assert len(keys) > 3
    assert [(name, key) for name, key, value in keys if not value.get("description")] == []


def test_the_command_prints_one_or_writes_all(tmp_path, capsys):
    assert run_eval.main(["schema", "task"]) == 0
    assert json.loads(capsys.readouterr().out) == editor_schema("task")
    assert run_eval.main(["schema", "--output", str(tmp_path / "s")]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert f"# yaml-language-server: $schema={tmp_path}/s/study.schema.json" in said.err
    written = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in Path(tmp_path / "s").iterdir()}
    assert written == {f"{kind}.schema.json": editor_schema(kind) for kind in editor_kinds()}
    assert run_eval.main(["schema", "taks"]) == 2
    assert "did you mean 'task'?" in capsys.readouterr().err
    assert run_eval.main(["schema"]) == 2
    assert "--output DIR" in capsys.readouterr().err
