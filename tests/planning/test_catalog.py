"""The catalog: groups, globs, dropped-in files, and what a file says against what there is."""

import json

import pytest
from small_tasks import RECIPE, pairs, write, write_tasks

from harness.api.errors import MissingData, UserError
from harness.api.registry import ROOT
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog


def mistakes(folder, spec):
    """All mistakes of one dropped-in spec, as text."""
    write(folder, spec)
    return "\n".join(map(str, Catalog([folder]).check_all(under=folder)))


def test_dropped_in_files_add_a_task_a_group_a_recipe_and_a_preset(tmp_path):
    write_tasks(tmp_path)
    write(tmp_path, {"group": "mine", "members": ["left", "tagging", "source"]})
    write(tmp_path, {"preset": "my-model", "hub": "org/my-model"})
    catalog = Catalog([tmp_path])
    assert catalog.check_all(under=tmp_path) == []
    assert catalog.select("mine") == ["left", "udpos", "panx", "source"]
    assert catalog.recipe("short").spec.defaults == {"max_steps": 2}
    assert catalog.preset("my-model").spec.hub == "org/my-model"
    assert catalog.folder("task", "left") == tmp_path
    assert {key for key in catalog.find(under=tmp_path) if key[0] == "recipe"} == {("recipe", "short")}


def test_select_expands_groups_and_globs_in_order_and_once():
    catalog = Catalog()
    assert catalog.select(" xquad, x*,qa ,xquad") == ["xquad", "xnli", "mlqa", "tydiqa"]


def test_select_names_every_unknown_name(tmp_path):
    with pytest.raises(UserError) as caught:
        Catalog().select("xnly,panx,taggin,zz*")
    assert "did you mean 'xnli'?" in str(caught.value)
    assert "did you mean 'tagging'?" in str(caught.value)
    assert "'zz*'" in str(caught.value)
    assert "3 errors" in str(caught.value)


def test_groups_in_a_circle_are_named(tmp_path):
    write(tmp_path, {"group": "one", "members": ["xnli", "two"]})
    write(tmp_path, {"group": "two", "members": ["one"]})
    catalog = Catalog([tmp_path])
    with pytest.raises(UserError, match="one -> two -> one"):
        catalog.select("one")
    assert "one -> two -> one" in "\n".join(map(str, catalog.check_all(under=tmp_path)))


def test_a_name_that_is_taken_is_an_error_that_names_both_files(tmp_path):
    write(tmp_path, {"group": "xnli", "members": ["panx"]})
    (error,) = Catalog([tmp_path]).errors
    assert "exists twice" in str(error)
    assert "tasks/xtreme/xnli.yaml" in str(error)
    assert "xnli.yaml:1 group" in error.where


def test_folders_that_are_read_anyway_may_be_named_again():
    assert Catalog([ROOT / "tasks", ROOT / "tasks" / "xtreme" / "xnli.yaml"]).errors == []


@pytest.mark.parametrize("name", ["none", "a,b", "a*", "ä", ""])
def test_names_that_a_command_line_cannot_say_are_refused(tmp_path, name):
    (tmp_path / "x.yaml").write_text(f"group: '{name}'\nmembers: [xnli]\n", encoding="utf-8")
    (error,) = Catalog([tmp_path]).errors
    assert "cannot be a name" in str(error)


def test_a_file_of_no_kind_is_an_error_and_hidden_files_are_not_read(tmp_path):
    (tmp_path / "x.yaml").write_text("tsk: y\n", encoding="utf-8")
    (tmp_path / "_x.yaml").write_text("tsk: y\n", encoding="utf-8")
    (error,) = Catalog([tmp_path]).errors
    assert "exactly one of `task: <name>`" in str(error)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "clasification"}, ["unknown task type 'clasification'", "did you mean 'classification'"]),
        ({"fields": {"text": "a", "lable": "b"}}, ["no field 'lable'", "did you mean 'label'", "field 'label'"]),
        ({"options": {"max_lenght": 3}}, ["t.yaml", "options.max_lenght", "did you mean 'max_length'"]),
        ({"options": {"max_length": 0}}, ["options.max_length", "greater than or equal to 1"]),
        ({"metrics": ["acuracy"]}, ["unknown metric 'acuracy'", "metrics[0]", "did you mean 'accuracy'"]),
        ({"score": ["accuracy.acc"]}, ["score[0]", "did you mean 'accuracy.accuracy'"]),
        ({"languages": ["en", "dee"]}, ["languages[1]", "unknown language 'dee'"]),
        ({"train_languages": ["xx"]}, ["train_languages[0]", "unknown language 'xx'"]),
        ({"train_on": "nmli"}, ["train_on", "unknown task 'nmli'", "did you mean"]),
        ({"label_values": {"0": "nope"}}, ["label_values.0", "unknown label 'nope'"]),
        ({"metrics": []}, ["needs metrics"]),
        ({"languages": []}, ["needs languages"]),
        (
            {"data": {"test": {"files": {"rows": "{lnag}"}, "reader": "jsonll"}}},
            ["'{lnag}'", "'lang'", "'jsonl'", "data.test.reader"],
        ),
        ({"data": {"test": [{"world": "mni"}, {"hub": "a/b", "config": "{0}"}]}}, ["data.test[0].world", "data.test[1].config"]),
        ({"task": "u/other"}, ["stands in a file of another name", "other.yaml"]),
    ],
)
def test_what_a_task_says_is_held_against_what_there_is(tmp_path, change, words):
    path = write(tmp_path, pairs("t"))
    path.write_text(
        write(tmp_path, {**pairs("t"), **change} if "task" not in change else pairs("t")).read_text(), encoding="utf-8"
    )
    if "task" in change:
        path.write_text(path.read_text().replace("task: t\n", f"task: {change['task']}\n"), encoding="utf-8")
    text = "\n".join(map(str, Catalog([tmp_path]).check_all(under=tmp_path)))
    assert [word for word in words if word not in text] == [], text


def test_mistakes_of_the_sound_parts_come_with_those_of_the_others(tmp_path):
    spec = {**pairs("t"), "type": "taging", "metrics": ["acuracy", 3], "languages": ["dee", 4], "verison": 1, "train_on": "xnly"}
    text = mistakes(tmp_path, spec)
    for word in ("'tagging'", "'accuracy'", "metrics[1]", "'dee'", "languages[1]", "'version'", "'xnli'"):
        assert word in text
    lines = [int(line.split(":")[1].split()[0]) for line in text.splitlines() if not line.startswith("  ")]
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"defaults": {"learning_rat": 1}}, ["defaults.learning_rat", "did you mean 'learning_rate'"]),
        ({"target": {"batch_size": 0}}, ["target.batch_size"]),
        ({"tasks": {"target/xnli": {"epoch": 2}}}, ["tasks.target/xnli.epoch", "did you mean 'epochs'"]),
        ({"tasks": {"target/xnly": {"epochs": 2}}}, ["unknown task 'xnly'", "did you mean 'xnli'"]),
        ({"tasks": {"xnli": {"options": 3}}}, ["tasks.xnli.options"]),
        ({"task_options": {"taging": {}}}, ["unknown task type 'taging'"]),
        ({"task_options": {"tagging": {"max_lenght": 3}}}, ["task_options.tagging.max_lenght", "'max_length'"]),
        ({"provenance": {"target.epochs": "x"}}, ["provenance of 'target.epochs'"]),
    ],
)
def test_what_a_recipe_says(tmp_path, change, words):
    text = mistakes(tmp_path, {**RECIPE, **change})
    assert [word for word in words if word not in text] == [], text
    assert "short.yaml:" in text


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"adapter": "encodr", "hub": "a/b"}, ["unknown adapter 'encodr'", "did you mean 'encoder'"]),
        ({}, ["exactly one of 'hub' and 'scratch'"]),
        ({"hub": "a/b", "task_options": {"retrieval": {"layr": 1}}}, ["'layer'"]),
        ({"hub": "a/b", "parameters": "9" * 400, "layers": 0, "hidden_size": 2**53}, ["parameters", "layers", "hidden_size"]),
        (
            {
                "scratch": {
                    "config": {},
                    "tokenizer_task": "mlmm",
                    "vocab_size": 9,
                    "pretraining": [{"task": "x", "training": {"a": 1}}],
                }
            },
            ["scratch.tokenizer_task", "scratch.pretraining[0].task", "scratch.pretraining[0].training.a"],
        ),
    ],
)
def test_what_a_preset_says(tmp_path, spec, words):
    text = mistakes(tmp_path, {"preset": "p", **spec})
    assert [word for word in words if word not in text] == [], text


def test_an_unknown_name_says_which_files_could_not_be_read(tmp_path):
    (tmp_path / "new.yaml").write_text("task: new\n  x: [\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"files in error:\n.*new.yaml:2"):
        Catalog([tmp_path]).task("new")


def test_everything_shipped_is_right():
    assert [str(error) for error in Catalog().check_all()] == []


@pytest.mark.parametrize("name", ["x" * 101, "a/../b", "a//b", "a/", "..", "é", "a b", "\x1b[31mred", "none", "a/.b", "-a"])
def test_a_name_that_no_folder_should_have_is_refused(tmp_path, name):
    (tmp_path / "g.yaml").write_text(f"group: {json.dumps(name)}\ndescription: d\nmembers: [mini/nli]\n")
    (error,) = Catalog([tmp_path]).errors
    assert "g.yaml:1 group: '" in str(error)
    assert "cannot be a name" in str(error)
    assert len(str(error)) < 500


def test_files_without_a_name_are_a_mistake_of_the_file(tmp_path):
    for files in ({}, {"rows": []}, {"rows": ""}):
        data = {"test": {"files": files, "reader": "jsonl"}}
        assert "'files' names no file" in mistakes(tmp_path, pairs("bare", data=data, train=False))


@pytest.mark.parametrize("name", ["x" * 300, "中" * 100, "nobody/~x"], ids=["long", "wide", "tilde"])
def test_names_that_no_file_can_have_are_data_that_are_not_here(tmp_path, name):
    data = {"test": {"files": {"rows": name}, "reader": "jsonl"}}
    write(tmp_path, pairs("bare", data=data, train=False, langs=("en",)))
    spec = Catalog([tmp_path]).task("bare").spec
    with pytest.raises(MissingData):
        load_examples(spec, split="test", langs=["en"], place=DataPlace(offline=True), task_folder=tmp_path)
    (tmp_path / "bare.yaml").write_text(f"include: {name}.yaml\ntask: bare\n")
    assert "does not exist" in str(Catalog([tmp_path]).errors[0])
