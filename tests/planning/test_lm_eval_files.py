"""Task files of lm-evaluation-harness are read as it reads them: includes, names, groups, languages, files of rows."""

from pathlib import Path

import pytest
from small_lm_eval_parts import write

from harness.api.errors import UserError
from harness.planning.catalog.catalog import Catalog
from harness.planning.catalog.lm_eval_files.conversion import convert
from harness.planning.catalog.lm_eval_files.index import Index, is_lm_eval_file, yaml_files
from harness.planning.catalog.lm_eval_files.yaml_reader import read_file


def test_includes_replace_whole_values_and_later_ones_win(tmp_path):
    write(
        tmp_path,
        root="metadata: {version: 1, kept: no}\ntest_split: test\ndescription: root\n",
        left="include: root\ndescription: left\nmetadata: {version: 2}\ntask_list: [x]\n",
        right="include: root\nrepeats: 3\n",
        task__yaml="include: [left, right]\ntask: t\ntest_split: null\n",
    )
    document = read_file(tmp_path / "task.yaml").document
    assert document.values == {
        "metadata": {"version": 1, "kept": False},  # `right` brings that of its own base, whole: the base is reached twice
        "test_split": None,
        "description": "root",
        "repeats": 3,
        "task": "t",
    }
    assert (document.mark(("repeats",)).line, Path(document.mark(("repeats",)).file).name) == (2, "right")
    assert document.mark(("test_split",)).line == 3


def test_each_value_knows_its_own_file_and_no_value_that_was_replaced(tmp_path):
    write(
        tmp_path,
        root="a: {x: 1, y: 2}\nb: [1, 2]\nc: 3\n",
        left="include: root\na: {z: 3}\n",
        task__yaml="include: left\nb: [7]\n",
    )
    marks = read_file(tmp_path / "task.yaml").document.marks
    files = {path: (Path(mark.file).name, mark.line) for path, mark in marks.items()}
    assert files == {
        ("a",): ("left", 2),
        ("a", "z"): ("left", 2),
        ("b",): ("task.yaml", 2),
        ("b", 0): ("task.yaml", 2),
        ("c",): ("root", 3),
    }
    assert len(marks) == 5
    for path in ((), ("a", "x"), ("b", 1), ("include",), ("nothing",)):
        assert path not in marks


def test_a_file_is_read_once_however_often_its_task_is_asked_for(tmp_path, monkeypatch):
    folder = tmp_path / "tasks"
    folder.mkdir()
    base = "dataset_path: x\ntest_split: test\ndoc_to_text: '{{q}}'\ndoc_to_target: a\n"
    write(folder, base=base, **{f"t{n}__yaml": f"include: base\ntask: t{n}\n" for n in range(30)})
    read, reads = Path.read_text, []
    monkeypatch.setattr(Path, "read_text", lambda path, **options: reads.append(path.name) or read(path, **options))
    catalog = Catalog(include=[folder])
    reads.clear()
    for name in [name for name in catalog.lm_eval_names("task") for _ in range(3)]:
        assert catalog.check("task", name)[1] == []
        assert catalog.task(name).document.mark(("task",)).line == 2
        assert catalog.task(name).document is catalog.task(name).document
    own = [name for name in reads if name == "base" or name.startswith("t")]
    assert sorted(own) == sorted(["base", *(f"t{n}.yaml" for n in range(30))])


def test_a_function_that_is_missing_is_told_of_each_file_that_names_it_once(tmp_path):
    text = "dataset_path: x\ntest_split: test\ndoc_to_text: !function utils.lost\ndoc_to_target: !function utils.lost\n"
    write(tmp_path, utils__py="def there(row): ...\n", one__yaml=f"task: one\n{text}", two__yaml=f"task: two\n{text}")
    catalog = Catalog(include=[tmp_path])
    for name in ("one", "two"):
        told = [str(error) for error in catalog.lm_eval.task(name).errors]
        assert len(told) == 1
        assert f"{name}.yaml:4 doc_to_text: " in told[0]
        assert "has no 'lost'" in told[0]


def test_files_behind_links_are_found_where_they_lie(tmp_path):
    real, linked = tmp_path / "real", tmp_path / "linked"
    real.mkdir()
    linked.mkdir()
    write(real, one__yaml="task: one\ndataset_path: x\n", two__yaml="task: two\ndataset_path: x\n")
    (linked / "three.yaml").symlink_to(real / "one.yaml")
    (linked / "folder").symlink_to(real)
    catalog = Catalog(include=[linked, linked / "folder"])
    assert catalog.lm_eval.index.remarks == []
    assert catalog.find_lm_eval(under=real) == [("task", "lm_eval/one"), ("task", "lm_eval/two")]
    assert catalog.find_lm_eval(under=linked / "folder") == catalog.find_lm_eval(under=real)
    assert catalog.find_lm_eval(under=tmp_path / "elsewhere") == []


def test_files_that_include_each_other_are_named_in_a_chain(tmp_path):
    write(tmp_path, a__yaml="include: b.yaml\ntask: a\n", b__yaml="include: c\n", c="include: a.yaml\n")
    with pytest.raises(UserError, match=r"(?s)circle.*a\.yaml -> .*b\.yaml -> .*c -> .*a\.yaml"):
        read_file(tmp_path / "a.yaml")
    write(tmp_path, d__yaml="include: basee\ntask: d\n", base_yaml="task: null\n")
    with pytest.raises(UserError, match=r"d\.yaml:1: included file 'basee' does not exist"):
        read_file(tmp_path / "d.yaml")
    write(tmp_path, e__yaml="task: e\nbad: [1\n")
    with pytest.raises(UserError, match=r"e\.yaml:3: not valid YAML"):
        read_file(tmp_path / "e.yaml")


def test_names_are_listed_without_parsing_and_the_first_file_of_a_folder_counts(tmp_path):
    write(
        tmp_path,
        a__yaml="task: one\ndataset_path: x\ntag: [left, right]\n",
        b__yaml="task: one\ndataset_path: y\n",
        _c__yaml='"group": "many"\ntask:\n  - one\n',
        d__yaml="include: base\ntask: two\n",
        base="tag: left\ntask: null\ndataset_path: z\n",
        ours__yaml="task: mine\ntype: classification\ndescription: d\nfields: {}\n",
    )
    theirs = [path for path in yaml_files(tmp_path) if is_lm_eval_file(path)]
    assert [path.name for path in theirs] == ["_c.yaml", "a.yaml", "b.yaml", "d.yaml"]
    index = Index()
    index.add(theirs)
    assert {name: listed.path.name for name, listed in index.tasks.items()} == {"one": "a.yaml", "two": "d.yaml"}
    assert index.tags == {"left": ["one", "two"], "right": ["one"]}
    assert list(index.groups) == ["many"]
    assert len(index.remarks) == 1


@pytest.mark.parametrize("entry", ["{task: {nli: 1}}", "{task: [{task: {nli: 1}}]}", "{group: [one, 2]}", "{task: 1}", "3"])
def test_an_entry_of_a_group_that_names_nothing_is_told_with_its_line(tmp_path, entry):
    write(tmp_path, a__yaml="task: one\ndataset_path: x\n", g__yaml=f"group: many\ntask:\n  - one\n  - {entry}\n")
    with pytest.raises(UserError, match=r"g\.yaml:4 task\[1\]: an entry of a group names a task or a group"):
        Catalog([tmp_path]).group_tasks("lm_eval/many")


def test_a_group_changes_tasks_that_a_group_below_it_has_changed_already(tmp_path):
    write(
        tmp_path,
        t__yaml="task: one\ndataset_path: x\ndoc_to_text: q\ndoc_to_target: a\ntest_split: test\n",
        g__yaml="group: inner\ntask: [one]\nnum_fewshot: 3\ntarget_delimiter: '-'\n",
        h__yaml="group: outer\ntask: [inner]\nnum_fewshot: 5\n",
    )
    catalog = Catalog([tmp_path])
    (task,) = catalog.group_tasks("lm_eval/outer")
    assert task == "lm_eval/outer::inner::one"
    spec = catalog.task(task).spec.lm_eval
    assert (spec.num_fewshot, spec.target_delimiter) == (5, "-")


def test_files_of_rows_are_those_of_the_split(tmp_path):
    text = "task: t\ndataset_path: {}\ndoc_to_text: q\ndoc_to_target: a\ntest_split: test\ndataset_kwargs: {}\n"

    def source(path, kwargs):
        write(tmp_path, t__yaml=text.format(path, kwargs))
        found = convert(read_file(tmp_path / "t.yaml"), name="t", overrides={})
        return found.spec.data.test[0] if found.spec else str(found.errors[0])

    made = source("csv", "{data_files: {test: [a.csv, b.csv]}, sep: ';', trust_remote_code: true}")
    assert made.files == {"rows": ("a.csv", "b.csv")}
    assert made.reader_options == {"builder": "csv", "arguments": {"sep": ";"}}
    assert source("org/set", "{data_files: {test: part/x.jsonl}}").files == {"rows": "org/set/part/x.jsonl"}
    assert source("org/set", "{revision: abc}").revision == "abc"
    assert "names no file for the split 'test'" in source("json", "{data_files: a.jsonl}")
    assert source("org/set", "{data_files: {test: part/x.json.gz}}").reader_options["builder"] == "json"
    assert source("org/set", "{features: {a: b}, streaming: true}").hub == "org/set"
    assert "'columns' is not supported" in source("org/set", "{columns: 1}")
