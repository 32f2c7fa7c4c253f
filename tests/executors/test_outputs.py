"""Disks that are full or cannot be written, at the beginning and in the middle: one clear error, and nothing is lost."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from small_disks import small_disk
from small_runs import Project, differences, run_in_child

import run_eval
from harness.api.errors import OutputFailed, UserError
from harness.api.registry import ROOT
from harness.runtime.outputs import check_output_file, make_output_folder, output_failure, output_folder
from harness.runtime.stages import STALE_SECONDS, sweep_stale, write_text

REQUEST = {"tasks": "pairs,nearest", "languages": ("de",)}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"), max_steps=6, tasks="pairs,nearest").with_machine(batch_tokens=200)


@pytest.fixture(scope="module")
def whole(project, tmp_path_factory):
    root = tmp_path_factory.mktemp("whole") / "runs"
    assert run_in_child(project, root, **REQUEST) == 0
    return root


def temporary(root):
    return [str(path) for path in root.rglob(".*") if path.name != ".probe"]


@pytest.mark.usefixtures("one_thread")
def test_a_disk_that_fills_up_ends_the_run_and_loses_nothing(project, whole, tmp_path):
    """It is a little larger each time: states, checkpoints, partials, predictions and scores are cut off, none of them half."""
    ends = []
    with small_disk(tmp_path / "disk", kib=64) as disk:
        for kib in range(120, 4000, 90):
            disk.resize(kib=kib)
            try:
                report = project.run(disk.folder / "runs", **REQUEST)
            except OutputFailed as error:
                ends.append(str(error))
                assert "the disk is full" in ends[-1]
                assert "give the same command again" in ends[-1]
                assert temporary(disk.folder) == []
            else:
                assert not report.failed
                break
        else:
            pytest.fail("it never ended")
        assert differences(whole, disk.folder / "runs") == []
    assert len(ends) > 8


def words(project, root):
    own = ["--model", str(project.model), "--tasks", "pairs", "--languages", "de", "--include_path", str(project.folder)]
    return [*own, "--recipe", "tiny", "--device", "cpu", "--quiet", "--output_path", str(root)]


def test_a_full_disk_is_known_before_anything_is_loaded(project, tmp_path, capsys):
    with small_disk(tmp_path / "disk", kib=256) as disk:
        full = disk.fill()
        assert run_eval.main(words(project, disk.folder / "a" / "b")) == 2
        said = capsys.readouterr()
        assert said.err.startswith("error: --output_path: nothing can be written there: the disk is full")
        assert (said.out, list(disk.folder.iterdir())) == ("", [full])
        full.unlink()
        disk.read_only()
        for command in ([], ["plan"]):
            assert run_eval.main([*command, *words(project, disk.folder / "a")]) == 2
            assert "cannot be written" in capsys.readouterr().err


def test_results_beside_a_run_are_known_to_be_unwritable_before_they_are_made(project, whole, tmp_path, capsys):
    with small_disk(tmp_path / "disk", kib=256) as disk:
        disk.read_only()
        place = str(disk.folder / "x")
        for command in (
            ["leaderboard", str(whole), "--output", place],
            ["compare", str(whole), "--output", place],
            ["submission", "score", str(whole), str(whole), "--output", place],
            ["submission", "export", str(whole), "--output", place],
            ["submission", "export", str(whole), "--output", str(tmp_path / "new"), "--gold", place],
        ):
            assert run_eval.main(command) == 2
            said = capsys.readouterr()
            assert "cannot be written" in said.err, command
            assert said.out == ""
    assert not (tmp_path / "new").exists()


def test_a_disk_that_is_full_at_the_end_costs_only_the_board(project, tmp_path, capsys):
    with small_disk(tmp_path / "disk", kib=9000) as disk:
        assert run_eval.main(words(project, disk.folder / "runs")) == 0
        board = capsys.readouterr().out
        (disk.folder / "runs" / "leaderboard.json").unlink()
        full = disk.fill()
        assert run_eval.main(["leaderboard", str(disk.folder / "runs"), "--output", str(disk.folder / "b.json")]) == 1
        err = capsys.readouterr().err
        assert "b.json: cannot be written: the disk is full" in err
        assert err.count("error:") == 1
        assert temporary(disk.folder) == []
        full.unlink()
        assert run_eval.main(words(project, disk.folder / "runs")) == 0
        assert capsys.readouterr().out == board


def test_files_that_may_not_grow_end_the_run_with_one_error(project, whole, tmp_path):
    """ulimit -f: nothing to mount is needed."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def run(**more):
        command = [sys.executable, str(ROOT / "run_eval.py"), *words(project, tmp_path / "runs")]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, capture_output=True, text=True, env=environment, **more)

    ran = run(preexec_fn=limit)
    assert ran.returncode == 2, ran.stderr
    assert "a file is larger than it may be" in ran.stderr
    assert "Traceback" not in ran.stderr


NAMES = {
    "": "no name is given",
    "  ": "no name is given",
    "a\0b": "no path holds a zero byte",
    "{tmp}/file": "this is a file",
    "{tmp}/file/x/y": "is no folder",
    "/proc/self/x": "be written",
    "/sys/kernel/x": "be written",
    "/dev/full": "this is a file",
    "{tmp}/" + "n" * 256: "too long a path",
    "{tmp}/" + "ü" * 128: "too long a path",
    "{tmp}/" + "d/" * 2100: "too long a path",
    "{tmp}/runs": "'train' in it is a file",
}


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_that_can_be_no_folder(project, tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "train").write_text("")
    before = sorted(tmp_path.rglob("*"))
    root = name.replace("{tmp}", str(tmp_path))
    assert run_eval.main(words(project, root)) == 2
    said = capsys.readouterr()
    assert NAMES[name] in said.err
    assert said.err.startswith("error: --output_path: ")
    assert sorted(tmp_path.rglob("*")) == before


WRITERS = ["leaderboard {runs} --output", "compare {runs} --output", "submission score {runs} {runs} --output"]


@pytest.mark.parametrize("command", WRITERS)
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "no name is given"),
        ("{tmp}", "this is a folder"),
        ("{tmp}/file/x", "is no folder"),
        ("{tmp}/" + "n" * 256, "too long a path"),
        ("d/" * 2100 + "x", "too long a path"),
        ("a\0b", "no path holds a zero byte"),
    ],
)
def test_names_that_can_be_no_file(whole, tmp_path, capsys, command, name, why):
    (tmp_path / "file").write_text("")
    own = [word.replace("{runs}", str(whole)) for word in command.split()]
    assert run_eval.main([*own, name.replace("{tmp}", str(tmp_path))]) == 2
    assert why in capsys.readouterr().err


def test_the_longest_name_of_a_file_can_be_written(tmp_path):
    for name in ("n" * 255, "ü" * 127, "x.json"):
        check_output_file(tmp_path / name, where="--output")
        write_text(tmp_path / name, "text")
        assert (tmp_path / name).read_text() == "text"
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_is_made_and_left_as_it_was_found(tmp_path):
    root = output_folder(str(tmp_path / "a" / "b"), where="--output_path")
    assert not root.exists()
    make_output_folder(root, where="--output_path")
    assert list(root.iterdir()) == []
    with pytest.raises(UserError, match="nothing can be written"):
        make_output_folder(ROOT / "setup.cfg" / "x", where="--output_path")


def test_what_is_not_the_disks_is_not_said_of_it(tmp_path):
    assert output_failure(ValueError("x"), folder=tmp_path) is None
    assert output_failure(FileNotFoundError(errno.ENOENT, "gone"), folder=tmp_path) is None
    full = RuntimeError("a package says it in its own words")
    full.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert "the disk is full" in str(output_failure(full, folder=tmp_path))
    assert output_failure(ValueError("x"), folder=tmp_path / "gone") is not None


def test_temporary_files_of_killed_runs_go_once_they_are_old(tmp_path):
    old, new, other = tmp_path / ".a.json.77", tmp_path / ".b.json.78", tmp_path / "c.json"
    for path in (old, new, other):
        path.write_text("")
    os.utime(old, (time.time() - STALE_SECONDS - 9,) * 2)
    os.utime(other, (0, 0))
    sweep_stale(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.json.78", "c.json"]


def test_a_run_sweeps_its_requests(project, tmp_path, capsys):
    folder = tmp_path / "runs" / "requests"
    folder.mkdir(parents=True)
    left = folder / ".0123456789.json.77"
    left.write_text("{")
    os.utime(left, (0, 0))
    own = ["--model", "oracle", "--tasks", "pairs", "--include_path", str(project.folder), "--quiet"]
    assert run_eval.main([*own, "--output_path", str(tmp_path / "runs")]) == 0
    assert not left.exists()
    assert len(list(folder.iterdir())) == 1
