"""The executor: failures stop descendants only, finished work is kept, several runs share a folder, weights come and go."""

import json
import multiprocessing

import pytest
import torch
from listening import before_each_step
from small_runs import Project, contents, differences, run_in_child

from harness.api.registry import EXECUTORS
from harness.runtime.locks import lock

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"), max_steps=3)


def names(stages):
    return sorted(stage.name.rsplit("-", 1)[0] for stage in stages)


def test_a_failed_stage_stops_its_descendants_only(tmp_path):
    project = Project.make(tmp_path / "p", max_steps=2, tasks="pairs,tags")
    rows = project.folder / "pairs-validation-en.jsonl"
    whole = rows.read_text()
    rows.write_text(whole.replace('"same"', '"??"'))
    report = project.run(tmp_path / "r", tasks="pairs,tags", languages=("de",))
    assert names(stage for stage, _ in report.failed) == ["train/model+pairs-seed1"]
    assert "??" in report.failed[0][1]
    assert names(report.not_run) == ["predict/model+pairs-seed1-pairs-de", "score/model+pairs-seed1-pairs-de"]
    assert names(report.done) == [
        "predict/model+tags-seed1-tags-de",
        "score/model+tags-seed1-tags-de",
        "train/model+tags-seed1",
    ]
    (error,) = (tmp_path / "r").glob("*/*/error.txt")
    assert "Traceback" in error.read_text()


def test_the_error_file_goes_when_the_stage_succeeds(project, tmp_path):
    def fail():
        raise RuntimeError("the disk is on fire")

    with before_each_step(fail):
        report = project.run(tmp_path, tasks="pairs", languages=("de",))
    assert [text for _, text in report.failed] == ["RuntimeError: the disk is on fire"]
    assert len(list(tmp_path.glob("train/*/error.txt"))) == 1
    report = project.run(tmp_path, tasks="pairs", languages=("de",))
    assert not report.failed
    assert not list(tmp_path.glob("*/*/error.txt"))


def test_finished_stages_are_taken_as_they_are(project, tmp_path):
    first = project.run(tmp_path, tasks="pairs")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    second = project.run(tmp_path, tasks="pairs")
    assert (len(first.done), len(second.done), names(second.reused)) == (7, 0, names(first.done))
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}


def test_leftovers_of_a_killed_process_go_when_the_stage_is_taken(project, tmp_path):
    project.run(tmp_path, tasks="pairs", languages=("de",))
    whole = contents(tmp_path)
    (train,), (predict,) = tmp_path.glob("train/*"), tmp_path.glob("predict/*")
    for folder in ("state-2", "best-1", ".checkpoint.77"):
        (train / folder).mkdir()
    for name in ("partials-0.jsonl", ".predictions.jsonl.77", "bundle.json"):
        (predict / name).write_text("")
    project.run(tmp_path, tasks="pairs", languages=("de",))
    assert contents(tmp_path) == whole


def test_weights_that_were_removed_are_made_again_when_needed(project, tmp_path):
    """Two phases: the target's weights are gone, and those of the intermediate phase that they start from."""
    request = {"tasks": "pairs", "intermediate": "cloze"}
    project.run(tmp_path / "kept", **request)
    frugal = project.with_machine(keep="none")
    report = frugal.run(tmp_path / "none", languages=("de",), **request)
    assert len(report.done) == 4
    assert not list((tmp_path / "none").glob("train/*/checkpoint"))
    assert len(frugal.run(tmp_path / "none", languages=("de",), **request).reused) == 4
    report = frugal.run(tmp_path / "none", **request)
    assert not report.failed
    assert not list((tmp_path / "none").glob("train/*/checkpoint"))
    report = project.run(tmp_path / "none", **request)
    assert not report.done
    for name in ("predictions.jsonl", "score.json"):
        found = [sorted(path.read_bytes() for path in (tmp_path / root).glob(f"*/*/{name}")) for root in ("kept", "none")]
        assert found[0] == found[1]
        assert len(found[0]) == 3


def test_weights_made_again_are_the_same(project, tmp_path):
    import shutil

    project.run(tmp_path, tasks="pairs", languages=("de",))
    (checkpoint,) = tmp_path.glob("train/*/checkpoint")
    whole = {path.name: path.read_bytes() for path in checkpoint.rglob("*") if path.is_file()}
    shutil.rmtree(checkpoint)
    project.run(tmp_path, tasks="pairs", languages=("de", "en"))
    assert {path.name: path.read_bytes() for path in checkpoint.rglob("*") if path.is_file()} == whole


@pytest.mark.parametrize(("keep", "states", "checkpoints"), [("none", 0, 0), ("best", 0, 1), ("all", 1, 1)])
def test_what_stays_on_disk(project, tmp_path, keep, states, checkpoints):
    project.with_machine(keep=keep, save_every=2).run(tmp_path, tasks="pairs", languages=("de",))
    assert len(list(tmp_path.glob("train/*/state-*"))) == states
    assert len(list(tmp_path.glob("train/*/checkpoint"))) == checkpoints
    assert not list(tmp_path.glob("train/*/best-*"))


def _run(project, root, tasks, results):
    torch.set_num_threads(1)
    report = project.run(root, tasks=tasks)
    results.put((len(report.failed) + len(report.not_run), len(report.done), len(report.reused)))


def test_two_runs_on_one_folder_share_the_work(project, tmp_path):
    """In opposite orders, so that each would wait for a lock of the other if it held some of its own."""
    context = multiprocessing.get_context("forkserver")
    results = context.Queue()
    runs = [context.Process(target=_run, args=(project, tmp_path, tasks, results)) for tasks in ("pairs,tags", "tags,pairs")]
    for process in runs:
        process.start()
    found = [results.get(timeout=120) for _ in runs]
    for process in runs:
        process.join()
    assert [process.exitcode for process in runs] == [0, 0]
    assert [broken for broken, _, _ in found] == [0, 0]
    assert sum(done for _, done, _ in found) == 12, "no stage is made twice"
    assert all(done + reused == 12 for _, done, reused in found)


@pytest.mark.slow
def test_a_stage_that_another_run_holds_is_waited_for(project, tmp_path):
    plan, _ = project.plan(tasks="pairs", languages=("de",))
    train = next(stage for stage in plan.stages if stage.verb == "train")
    request = {"tasks": "pairs", "languages": ("de",)}
    with lock(train.folder(tmp_path / "r")):
        assert run_in_child(project, tmp_path / "r", after=4, **request) == -9
        assert not (tmp_path / "r.trace").exists()
    assert run_in_child(project, tmp_path / "r", **request) == 0


def test_a_finished_stage_says_how_it_was_computed(project, tmp_path):
    project.run(tmp_path, tasks="pairs", languages=("de",))
    done = {path.parent.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("*/*/done.json")}
    trained = {"device": "cpu", "dtype": "float32", "threads": 1, "processes": 1, "repeatable": True}
    asked = {**trained, "dtype": done["predict"]["dtype"]}  # what `auto` came to mean here
    trained |= {"sharding": "none", "offload": "none"}
    assert {verb: found.get("arithmetic") for verb, found in done.items()} == {"train": trained, "predict": asked, "score": None}


def test_stages_of_different_precision_follow_each_other(tmp_path):
    project = Project.make(tmp_path / "p", max_steps=2, tasks="pairs,tags")
    recipe = json.loads((project.folder / "tiny.yaml").read_text())
    (project.folder / "tiny.yaml").write_text(json.dumps({**recipe, "tasks": {"tags": {"precision": "bfloat16"}}}))
    report = project.run(tmp_path / "r", tasks="pairs,tags", languages=("de",))
    assert not report.failed
    dtypes = [json.loads(path.read_text())["dtype"] for path in sorted((tmp_path / "r").glob("train/*/train.json"))]
    assert dtypes == ["float32", "bfloat16"]


def test_same_request_same_bytes(project, tmp_path):
    for root in ("a", "b"):
        project.run(tmp_path / root, tasks="pairs,quiz", languages=("de",))
    assert differences(tmp_path / "a", tmp_path / "b") == []


@pytest.mark.parametrize("name", EXECUTORS.names())
def test_what_can_be_named_as_an_executor_executes(name):
    assert callable(EXECUTORS.load(name).execute)
