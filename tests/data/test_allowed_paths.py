"""What somebody else's text names is read below its own folder, --data_dir or what the user allows, and nowhere else."""

import os
from pathlib import Path

import pytest
import yaml
from small_mirrors import NliMirror, pair, source

import run_eval
from harness.api.allowed_paths import is_below, stays_inside
from harness.api.errors import MissingData, UserError
from harness.data.locations import DataPlace
from harness.data.rows import fingerprint, load_rows
from harness.specs.task import Source

SECRET = "root:x:0:0:secret-line"


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("a.parquet", True),
        ("a/../b", True),
        ("**/x-*", True),
        ("..a/b", True),
        ("", False),
        ("..", False),
        ("../x", False),
        ("a/../../x", False),
        ("/etc/passwd", False),
        ("*/../../x", False),
        ("a\0b", False),
    ],
)
def test_a_relative_path_stays_in_its_folder_as_it_is_written(name, inside):
    assert stays_inside(name) is inside


def test_a_folder_with_a_longer_name_is_another_folder():
    assert is_below("/data/mine/x", ["/data/mine"])
    assert is_below("/data/mine", ["/data/mine/"])
    assert not is_below("/data/mine2/x", ["/data/mine"])
    assert is_below("/x", ["/"])


@pytest.fixture
def secret(tmp_path) -> Path:
    path = tmp_path / "secret.jsonl"
    path.write_text(SECRET + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("path", ["../../secret.jsonl", "{tmp}/secret.jsonl", "de/../../../*.jsonl", "../*", "/etc/passwd"])
def test_a_path_in_the_readme_of_a_mirror_does_not_leave_its_folder(tmp_path, secret, path):
    mirror = NliMirror(tmp_path / "mirror")
    mirror("de/test-0.parquet", [pair(1)])
    header = {"configs": [{"config_name": "de", "data_files": [{"split": "test", "path": path.format(tmp=tmp_path)}]}]}
    mirror.readme(f"---\n{yaml.safe_dump(header)}---\n")
    for read in (load_rows, fingerprint):
        with pytest.raises(UserError, match="a path of this mirror leads out of its folder") as error:
            read(source(), lang="de", place=mirror.place)
        assert not isinstance(error.value, MissingData)
        assert path.format(tmp=tmp_path) in str(error.value)
        assert SECRET not in str(error.value)


@pytest.mark.parametrize("data_dir", ["..", "/etc", "a/../.."])
def test_the_data_dir_of_a_readme_does_not_leave_its_folder_either(tmp_path, data_dir):
    mirror = NliMirror(tmp_path / "mirror")
    mirror("de/test-0.parquet", [pair(1)])
    mirror.readme(f"---\nconfigs:\n- config_name: de\n  data_dir: {data_dir}\n  data_files: [{{split: test, path: x}}]\n---\n")
    if data_dir == "/etc":  # read as below the dataset's folder, where nothing is
        assert load_rows(source(), lang="de", place=mirror.place).rows
    else:
        with pytest.raises(UserError, match="leads out of its folder"):
            load_rows(source(), lang="de", place=mirror.place)


@pytest.mark.parametrize(
    "where",
    [{"hub": "../org/nli"}, {"hub": "/etc"}, {"hub": ".."}, {"config": "../../x"}, {"split": "../../test"}, {"hub": "a/b/c"}],
)
def test_names_of_a_source_do_not_leave_the_mirror(tmp_path, where):
    mirror = NliMirror(tmp_path / "mirror")
    mirror("de/test-0.parquet", [pair(1)])
    with pytest.raises(UserError, match=r"out of its folder|not the name of a dataset") as error:
        load_rows(Source(**{"hub": "org/nli", "config": "de", "split": "test"} | where), lang="de", place=mirror.place)
    assert not isinstance(error.value, MissingData)


def test_links_in_a_mirror_lead_where_the_user_made_them_lead(tmp_path):
    blobs = NliMirror(tmp_path / "blobs")
    blobs("de/test-0.parquet", [pair(1)])
    snapshot = tmp_path / "mirror" / "org" / "nli" / "de"
    snapshot.mkdir(parents=True)
    file = next((tmp_path / "blobs").rglob("*.parquet"))
    (snapshot / "test-0.parquet").symlink_to(os.path.relpath(file, snapshot))
    found = load_rows(source(), lang="de", place=DataPlace(data_dir=tmp_path / "mirror", offline=True))
    assert [row["premise"] for row in found.rows] == ["p 1"]


@pytest.fixture
def dropped_in(tmp_path, secret):
    """Writes a task into a folder of its own."""
    folder = tmp_path / "tasks" / "theirs"
    folder.mkdir(parents=True)

    def write(files: object, reader: str = "jsonl") -> Path:
        spec = {
            "task": "theirs",
            "type": "classification",
            "description": "d",
            "languages": ["de"],
            "data": {"test": {"files": {"rows": files}, "reader": reader}},
            "fields": {"text": "text", "label": "label"},
            "labels": ["a", "b"],
            "metrics": ["accuracy"],
        }
        (folder / "theirs.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
        return folder

    return write


@pytest.mark.parametrize(
    "name", ["../../secret.jsonl", "{tmp}/secret.jsonl", "{tmp}/*.jsonl", "../../*.jsonl", ["rows.jsonl", "/etc/passwd"]]
)
@pytest.mark.parametrize("command", ["validate {folder}", "plan --include_path {folder} --model constant --tasks theirs"])
def test_files_of_a_task_are_read_below_its_folder_only(tmp_path, dropped_in, capsys, name, command):
    names = [one.format(tmp=tmp_path) for one in ([name] if isinstance(name, str) else name)]
    folder = dropped_in(names)
    (folder / "rows.jsonl").write_text('{"text": "x", "label": "a"}\n', encoding="utf-8")
    words = command.format(folder=folder).split()
    assert run_eval.main([*words, *(["--output_path", str(tmp_path / "runs")] if "plan" in words else [])]) == 2
    said = "".join(capsys.readouterr())
    assert f"'{names[-1]}' is outside of what this task may read" in said
    assert "--allow_path DIR" in said
    assert SECRET not in said


def test_the_user_may_allow_more_by_name(tmp_path, dropped_in, capsys):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "r.jsonl").write_text('{"text": "x", "label": "a"}\n', encoding="utf-8")
    folder = dropped_in("../../rows/r.jsonl")
    assert run_eval.main(["validate", str(folder), "--allow_path", str(tmp_path / "rows")]) == 0
    assert run_eval.main(["validate", str(folder), "--allow_path", str(tmp_path / "other")]) == 2
    assert "no such folder" in capsys.readouterr().err
    absolute = dropped_in(str(tmp_path / "rows" / "r.jsonl"))
    assert run_eval.main(["validate", str(absolute), "--data_dir", str(tmp_path / "rows")]) == 0


@pytest.mark.parametrize("name", ["../../base.yaml", "{tmp}/base.yaml", "/etc/passwd"])
@pytest.mark.parametrize("theirs", [False, True], ids=["own", "lm_eval"])
def test_an_include_does_not_leave_the_folders_that_were_named(tmp_path, capsys, name, theirs):
    folder = tmp_path / "tasks" / "a"
    folder.mkdir(parents=True)
    (tmp_path / "base.yaml").write_text(f"description: d\n{SECRET}: 1\n", encoding="utf-8")
    own = "task: t\noutput_type: generate_until\ndoc_to_text: x\n" if theirs else "task: t\ntype: classification\n"
    (folder / "t.yaml").write_text(f"include: {name.format(tmp=tmp_path)}\n{own}", encoding="utf-8")
    assert run_eval.main(["validate", str(folder)]) == 2
    said = "".join(capsys.readouterr())
    assert f"'{name.format(tmp=tmp_path)}' is outside of what this file may read" in said
    assert "t.yaml:1" in said
    assert SECRET not in said


@pytest.mark.parametrize("reference", ["../../code.f", "/etc/code.f", "..code.f", "a/b.f", ".f", "code"])
def test_a_function_of_a_task_file_lies_beside_it(tmp_path, capsys, reference):
    folder = tmp_path / "tasks"
    folder.mkdir()
    (tmp_path / "code.py").write_text("raise SystemExit('ran')\n", encoding="utf-8")
    (folder / "t.yaml").write_text(
        f"task: t\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: r.jsonl}}}}\ntest_split: test\n"
        f"doc_to_text: x\ndoc_to_target: y\nprocess_docs: !function {reference}\n",
        encoding="utf-8",
    )
    assert run_eval.main(["validate", str(folder), "--trust_task_code"]) == 2
    said = capsys.readouterr().err
    assert "t.yaml:7 process_docs" in said
    assert f"'{reference}' names no module" in said


@pytest.mark.parametrize(
    "kwargs",
    [
        "{data_files: {test: ../../secret.jsonl}}",
        "{data_files: {test: secret.jsonl}, data_dir: ../..}",
        "{data_files: {test: /etc/passwd}}",
    ],
)
def test_data_files_of_lm_eval_lie_below_the_task_or_the_mirror(tmp_path, secret, capsys, kwargs):
    folder = tmp_path / "tasks" / "theirs"
    folder.mkdir(parents=True)
    (folder / "t.yaml").write_text(
        f"task: t\ndataset_path: json\ndataset_kwargs: {kwargs}\ntest_split: test\ndoc_to_text: x\ndoc_to_target: y\n",
        encoding="utf-8",
    )
    assert run_eval.main(["validate", str(folder)]) == 2
    said = "".join(capsys.readouterr())
    assert "is outside of what this task may read" in said
    assert SECRET not in said


def test_a_data_dir_of_lm_eval_is_where_its_files_lie(tmp_path, capsys):
    (tmp_path / "tasks" / "rows").mkdir(parents=True)
    (tmp_path / "tasks" / "rows" / "r.jsonl").write_text('{"q": "x", "a": "y"}\n', encoding="utf-8")
    (tmp_path / "tasks" / "t.yaml").write_text(
        "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: r.jsonl}, data_dir: rows}\ntest_split: test\n"
        "doc_to_text: '{{ q }}'\ndoc_to_target: a\n",
        encoding="utf-8",
    )
    assert run_eval.main(["show", "lm_eval/t", "--include_path", str(tmp_path / "tasks")]) == 0
    assert "1 rows" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["data_files", "data_dir", "cache_dir"])
def test_an_argument_of_datasets_does_not_say_where_rows_are(tmp_path, dropped_in, capsys, name):
    folder = dropped_in("rows.jsonl", "as_datasets")
    (folder / "rows.jsonl").write_text('{"text": "x", "label": "a"}\n', encoding="utf-8")
    spec = yaml.safe_load((folder / "theirs.yaml").read_text(encoding="utf-8"))
    spec["data"]["test"]["reader_options"] = {"arguments": {name: "/etc"}}
    (folder / "theirs.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    assert run_eval.main(["validate", str(folder)]) == 2
    assert f"reader 'as_datasets' takes no argument '{name}'" in capsys.readouterr().err
