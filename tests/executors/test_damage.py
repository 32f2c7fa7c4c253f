"""Files that are no longer what a stage wrote: said, made again, and the end has the bytes of a run that nothing happened to."""

import json
import shutil

import pytest
from small_runs import Project, differences, run_in_child

import run_eval
from harness.executors.local import execute
from harness.planning.catalog.catalog import Catalog
from harness.report.record.writer import write_request

REQUEST = {"tasks": "pairs", "languages": ("de", "en")}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"), max_steps=6)


@pytest.fixture(scope="module")
def whole(project, tmp_path_factory):
    root = tmp_path_factory.mktemp("whole") / "runs"
    assert run_in_child(project, root, **REQUEST) == 0
    return root


@pytest.fixture
def copy(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "runs")
    return tmp_path / "runs"


def flip(path, at=None):
    """Another byte in the middle of a file; size and name stay."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if at is None else at] ^= 1
    path.write_bytes(bytes(content))


def run(project, root, *, verify=False, **request):
    plan, machine = project.plan(**{**REQUEST, **request})
    report = execute(plan.stages, root=root, machine=machine, verify=verify)
    assert not report.failed
    return [(stage.verb, wrong) for stage, wrong in report.made_again]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("verb", ["score", "predict", "train"])
def test_without_a_word_of_done_a_stage_is_made_again_to_the_same_bytes(project, whole, copy, verb):
    for path in copy.glob(f"{verb}/*/done.json"):
        path.unlink()
    assert run(project, copy) == []
    assert differences(whole, copy) == []


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", ["score.json", "stats.npy", "args.json"])
def test_a_changed_file_of_a_score_is_made_again_and_said(project, whole, copy, name):
    path = next(path for path in sorted(copy.glob("score/*/*")) if path.name.startswith(name.split(".")[0]))
    flip(path)
    assert run(project, copy) == [("score", f"{path.name} has changed since it was written")]
    assert differences(whole, copy) == []
    assert run(project, copy) == []


@pytest.mark.usefixtures("one_thread")
def test_changed_predictions_are_never_scored(project, whole, copy):
    """A score is to be made: what it reads is looked at first, and predicted again."""
    predict, *_ = sorted(copy.glob("predict/*-de-*"))
    score, *_ = sorted(copy.glob("score/*-de-*"))
    (score / "done.json").unlink()
    lines = (predict / "predictions.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    lines[0] = json.dumps({**first, "prediction": first["gold"] if first["prediction"] != first["gold"] else "none"})
    (predict / "predictions.jsonl").write_text("\n".join(lines) + "\n")
    ((verb, wrong),) = run(project, copy)
    assert verb == "predict"
    assert "predictions.jsonl" in wrong
    assert differences(whole, copy) == []


@pytest.mark.usefixtures("one_thread")
def test_weights_with_another_byte_are_trained_again_where_they_are_needed(project, whole, copy):
    weights = next(copy.glob("train/*/checkpoint/**/*.safetensors"))
    flip(weights)
    assert run(project, copy) == [], "all is predicted: nothing reads them"
    shutil.rmtree(next(copy.glob("predict/*-de-*")))
    name = weights.relative_to(next(copy.glob("train/*")))
    assert run(project, copy) == [("train", f"{name} has changed since it was written")]
    assert differences(whole, copy) == []


@pytest.mark.usefixtures("one_thread")
def test_verify_looks_at_all_that_finished_stages_wrote(project, whole, copy):
    flip(next(copy.glob("train/*/checkpoint/**/*.safetensors")))
    (next(copy.glob("predict/*-en-*")) / "predictions.jsonl").unlink()
    assert {verb for verb, _ in run(project, copy, verify=True)} == {"train", "predict"}
    assert differences(whole, copy) == []


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "\x00" * 40])
def test_a_torn_done_is_no_done(project, whole, copy, content):
    for path in copy.glob("score/*/done.json"):
        path.write_text(content)
    assert [verb for verb, _ in run(project, copy)] == ["score", "score"]
    assert differences(whole, copy) == []


def test_a_broken_state_is_told_and_the_one_before_serves(project, whole, tmp_path):
    project = project.with_machine(save_every=1)
    root = tmp_path / "cut"

    def steps():
        return sorted(int(path.name.split("-")[1]) for path in root.glob("train/*/state-*"))

    assert run_in_child(project, root, until=lambda: len(steps()) == 2 and steps()[-1] >= 3, **REQUEST) == -9
    *_, newest = sorted(root.glob("train/*/state-*"), key=lambda path: int(path.name.split("-")[1]))
    flip(newest / "process-00001-00000.safetensors")
    before = (tmp_path / "cut.trace").read_text().count("\n")
    assert run_in_child(project, root, **REQUEST) == 0
    assert differences(whole, root) == []
    assert (tmp_path / "cut.trace").read_text().count("\n") - before < 6, "it did not begin again"
    log = next(root.glob("train/*/log.jsonl"))
    assert log.read_bytes() == next(whole.glob("train/*/log.jsonl")).read_bytes()


@pytest.mark.parametrize("name", ["done.json", "score.json", "stats"])
@pytest.mark.parametrize("way", ["empty", "gone", "flipped"])
def test_a_board_lists_a_cell_that_it_cannot_believe(project, copy, capsys, name, way):
    plan, _ = project.plan(**REQUEST)
    write_request(plan, catalog=Catalog([project.folder]), root=copy)
    score, *_ = sorted(copy.glob("score/*-de-*"))
    path = next(path for path in score.iterdir() if path.name.startswith(name))
    if way == "empty":
        path.write_bytes(b"")
    elif way == "gone":
        path.unlink()
    else:
        flip(path, at=0)
    assert run_eval.main(["leaderboard", str(copy), "--output", str(copy / "board.json")]) == 0
    (cell,) = json.loads((copy / "board.json").read_text())["missing"]
    assert (cell["task"], cell["lang"]) == ("pairs", "de")
    is_said = "not finished" if (name, way) == ("done.json", "gone") else path.name
    assert is_said in cell["reason"]
    assert is_said in capsys.readouterr().out
