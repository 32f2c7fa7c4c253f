"""`clean` removes what must be made again for some cells, or what nothing asks for, and the same command makes it again."""

import fcntl
import json
import shutil

import pytest
from small_runs import Project, contents
from test_cli import call

from harness.runtime.locks import lock


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"), max_steps=2, eval_every=1)


def words(project, root, *more):
    common = ["--include_path", str(project.folder), "--model", str(project.model), "--recipe", "tiny", "--device", "cpu"]
    tasks = ["--tasks", "pairs,tags", "--intermediate", "none,quiz", "--languages", "en,de"]
    return [*common, *tasks, "--output_path", str(root), "--quiet", *more]


def stages(root):
    return {str(path.parent.relative_to(root)) for path in root.glob("*/*/done.json")}


def of(gone, verb):
    return sorted(name for name in gone if name.startswith(f"{verb}/"))


@pytest.mark.usefixtures("one_thread")
def test_cells_are_made_again_to_the_same_bytes_and_shared_checkpoints_stay(project, tmp_path, capsys):
    root = tmp_path / "runs"
    assert call(capsys, *words(project, root))[0] == 0
    whole, everything = contents(root), stages(root)
    sizes = {str(path.relative_to(root)): path.stat().st_size for path in root.rglob("*") if path.is_file()}
    assert len(of(everything, "train")) == 5
    code, out, _ = call(capsys, "clean", str(root), "--tasks", "pairs", "--languages", "de")
    assert (code, contents(root)) == (0, whole), "dry without --yes"
    assert "4 stages, " in out
    assert out.rstrip().endswith("bytes would be removed; --yes does it")
    code, told, _ = call(capsys, "clean", str(root), "--tasks", "pairs", "--languages", "de", "--yes")
    assert code == 0
    assert told.splitlines()[:-1] == out.splitlines()[:-1]
    gone = everything - stages(root)
    assert (len(of(gone, "predict")), len(of(gone, "score")), len(gone)) == (2, 2, 4)
    assert all("-pairs-de-" in name and not (root / name).exists() for name in gone)
    num_bytes = sum(size for name, size in sizes.items() if any(name.startswith(f"{each}/") for each in gone))
    assert f"4 stages, {num_bytes:,} bytes removed" in told
    code, _, err = call(capsys, *words(project, root))
    assert (code, "17 done, 4 to do" in err, contents(root)) == (0, True, whole)

    call(capsys, "clean", str(root), "--tasks", "pair*", "--yes")
    gone = everything - stages(root)
    assert [("quiz" in name, "pairs" in name) for name in of(gone, "train")] == [(False, True), (True, True)]
    assert len(gone) == 2 + 2 * 4
    assert call(capsys, *words(project, root))[0] == 0
    assert contents(root) == whole


@pytest.mark.usefixtures("one_thread")
def test_what_only_older_requests_asked_for_goes_with_their_files(project, tmp_path, capsys):
    root = tmp_path / "runs"
    call(capsys, *words(project, root, "--model", "constant", "--intermediate", "none"))
    first = stages(root)
    path = project.folder / "pairs-test-de.jsonl"
    kept = path.read_text()
    line = json.loads(kept.splitlines()[0])
    path.write_text("\n".join([json.dumps({**line, "label": "none"}), *kept.splitlines()[1:]]) + "\n")
    try:
        call(capsys, *words(project, root, "--model", "constant", "--intermediate", "none"))
        board = (root / "leaderboard.json").read_bytes()
        code, out, _ = call(capsys, "clean", str(root), "--older", "--yes")
        assert (code, "2 stages and 1 request file, " in out) == (0, True)
        assert {name for name in first - stages(root) if "-pairs-de-" in name} == first - stages(root) != set()
        assert len(list((root / "requests").iterdir())) == 1
        assert call(capsys, "clean", str(root), "--older")[1] == "0 stages, 0 bytes would be removed\n"
        code, _, err = call(capsys, *words(project, root, "--model", "constant", "--intermediate", "none"))
        assert (code, "8 done, 0 to do" in err) == (0, True)
        assert (root / "leaderboard.json").read_bytes() == board
        assert "Older" not in call(capsys, "leaderboard", str(root))[1]
    finally:
        path.write_text(kept)


def test_what_a_running_process_holds_or_reads_stays(project, tmp_path, capsys):
    root = tmp_path / "runs"
    call(capsys, *words(project, root, "--intermediate", "none"))
    before = contents(root)
    held = next(root.glob("predict/*-pairs-de-*"))
    with lock(held):
        code, out, err = call(capsys, "clean", str(root), "--tasks", "pairs", "--yes")
    assert code == 1
    assert f"stays: {held}: a running process holds it" in err
    assert "pairs-seed1-" in err
    assert "a running process reads it" in err
    assert "4 stages" not in out
    assert held.is_dir()
    assert (next(root.glob("train/*pairs*")) / "checkpoint").is_dir()
    code, _, _ = call(capsys, *words(project, root, "--intermediate", "none"))
    assert (code, contents(root)) == (0, before)


def test_a_process_that_waited_for_a_removed_stage_locks_the_one_that_is_there(tmp_path, monkeypatch):
    folder, real = tmp_path / "score" / "x-0123456789", fcntl.flock
    calls = []

    def removed_before_it_is_locked(handle, how):
        calls.append(how)
        if len(calls) == 1:
            shutil.rmtree(folder)  # by another process, between `open` and `flock`
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", removed_before_it_is_locked)
    with lock(folder) as first:
        assert first
        with lock(folder, wait=False) as second:
            assert not second, "the lock of a removed file keeps nobody out"
    assert len(calls) > 2


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--tasks", "pears"], "did you mean 'pairs'?"),
        (["--tasks", "pairs", "--languages", "fr"], "no cell of the run has the lang 'fr'"),
        ([], "name --tasks or --languages, or say --older"),
    ],
)
def test_names_that_no_cell_has_and_no_names_at_all_are_refused(project, tmp_path, capsys, more, expected):
    root = tmp_path / "runs"
    call(capsys, *words(project, root, "--model", "constant", "--intermediate", "none"))
    code, out, err = call(capsys, "clean", str(root), *more, "--yes")
    assert (code, out, expected in err) == (2, "", True)


def test_a_request_file_cannot_name_a_folder_outside(project, tmp_path, capsys):
    root = tmp_path / "runs"
    call(capsys, *words(project, root, "--model", "constant", "--intermediate", "none"))
    outside = tmp_path / "precious"
    outside.mkdir()
    (outside / "done.json").write_text("{}")
    path = next((root / "requests").iterdir())
    content = json.loads(path.read_text())
    content["cells"][0]["predict"] = "../precious"
    path.write_text(json.dumps(content))
    assert call(capsys, "clean", str(root), "--tasks", "pairs", "--older", "--yes")[0] == 0
    assert (outside / "done.json").is_file()
