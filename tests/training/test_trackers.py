"""Trainings seen in TensorBoard: what the log says, once each, also after a kill; results do not depend on it."""

from dataclasses import replace

import pytest
from event_files import logged, scalars
from listening import before_each_step
from small_runs import Project, differences

import run_eval
from harness.executors.local import execute
from harness.training.trackers import Trackers

pytest.importorskip("tensorboard")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"))


def run(project, root, **knobs):
    plan, machine = project.plan(tasks="pairs", intermediate="none")
    return execute(plan.stages, root=root, machine=replace(machine, **knobs))


def test_the_events_are_the_lines_of_the_log_and_the_results_those_without(project, tmp_path):
    run(project, tmp_path / "plain")
    run(project, tmp_path / "seen", trackers=("tensorboard",))
    found, wanted = scalars(tmp_path / "seen"), logged(tmp_path / "seen")
    assert [step for step, _ in found["loss"]] == list(range(1, 10))
    for name, pairs in wanted.items():
        assert found[name] == [(step, pytest.approx(value, rel=1e-6)) for step, value in pairs]
    assert [name for name in differences(tmp_path / "plain", tmp_path / "seen") if not name.startswith("tensorboard/")] == []


def test_a_run_that_goes_on_shows_each_step_once(project, tmp_path):
    taken = []

    def ended_before_the_eighth():
        taken.append(1)
        if len(taken) == 8:
            raise KeyboardInterrupt

    with before_each_step(ended_before_the_eighth), pytest.raises(KeyboardInterrupt):
        run(project, tmp_path / "runs", trackers=("tensorboard",))
    run(project, tmp_path / "runs", trackers=("tensorboard",))
    assert [step for step, _ in scalars(tmp_path / "runs")["loss"]] == list(range(1, 10))


def test_one_that_fails_is_left_out_and_the_training_goes_on(project, tmp_path, capsys):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "tensorboard").write_text("a file where the folder should be")
    report = run(project, tmp_path / "runs", trackers=("tensorboard",))
    assert report.failed == []
    assert capsys.readouterr().err.count("tensorboard has failed and is left out") == 1


def test_scores_of_several_tasks_have_names_of_their_own(tmp_path):
    trackers = Trackers(("tensorboard",), folder=tmp_path / "train" / "stage", start=0, settings={"learning_rate": 1.0})
    trackers.log([{"step": 3, "english_score": 50.0, "by_task": {"a": 40.0, "b": 60.0}}])
    trackers.finish()
    assert scalars(tmp_path) == {"english_score": [(3, 50.0)], "english_score/a": [(3, 40.0)], "english_score/b": [(3, 60.0)]}


@pytest.mark.parametrize(
    ("name", "expected"), [("tensorbord", "did you mean 'tensorboard'"), ("wandb", "wandb is not installed")]
)
def test_what_is_not_there_is_said_first(project, tmp_path, capsys, name, expected):
    words = ["--model", str(project.model), "--include_path", str(project.folder), "--recipe", "tiny", "--tasks", "pairs"]
    assert run_eval.main([*words, "--track", name, "--output_path", str(tmp_path / "runs")]) == 2
    assert expected in capsys.readouterr().err
