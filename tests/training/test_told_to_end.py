"""A training that is told to end at any line of its loop: the next run has the bytes and events of one that was left alone."""

import signal
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest
from event_files import logged, scalars
from small_runs import Project, differences

from harness.executors.local import execute
from harness.runtime.interruption import Interrupted, end
from harness.training import loop, progress

pytest.importorskip("tensorboard")
pytestmark = pytest.mark.usefixtures("one_thread")
FILES = {loop.__file__, progress.__file__}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"), max_steps=5, eval_every=2, tasks="pairs")


def run(project, root):
    plan, machine = project.plan(tasks="pairs", intermediate="none")
    trainings = [stage for stage in plan.stages if stage.verb == "train"]
    report = execute(trainings, root=root, machine=replace(machine, trackers=("tensorboard",)))
    assert report.failed == []


@contextmanager
def each_line(hear):
    """Call `hear` with "function:line" before each line of the loop and of its log."""

    def at_line(frame, event, arg):
        if event == "line":
            hear(f"{frame.f_code.co_name}:{frame.f_lineno}")
        return at_line

    before = sys.gettrace()
    sys.settrace(lambda frame, event, arg: at_line if frame.f_code.co_filename in FILES else None)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.fixture(scope="module")
def left_alone(project, tmp_path_factory):
    """The folder of a run that nothing happened to, and the lines that it ran, in order."""
    root, lines = tmp_path_factory.mktemp("left_alone") / "runs", []
    with each_line(lines.append):
        run(project, root)
    return root, lines


def assert_same_when_told_to_end(project, left_alone, root, number):
    """Tell a run to end before its line of the number, go on, compare."""
    seen = []

    def hear(line):
        seen.append(line)
        if len(seen) == number + 1:
            end(signal.SIGTERM)

    with each_line(hear), pytest.raises(Interrupted):
        run(project, root)
    for events in root.glob("tensorboard/*/events.*"):  # read in the order of names, which is by chance within a second
        events.rename(events.with_name("events.out.tfevents.0"))
    run(project, root)
    line = left_alone[1][number]
    assert [name for name in differences(left_alone[0], root) if not name.startswith("tensorboard/")] == [], line
    shown = {name: [step for step, _ in pairs] for name, pairs in scalars(root).items()}
    assert shown == {name: [step for step, _ in pairs] for name, pairs in logged(left_alone[0]).items()}, line


def numbers(lines, function, *, occurrence=1):
    """Where each line of a function runs for the so-manyth time."""
    found = {}
    for number, line in enumerate(lines):
        if line.startswith(f"{function}:"):
            found.setdefault(line, []).append(number)
    return [which[occurrence] for which in found.values() if len(which) > occurrence]


def test_while_it_evaluates(project, left_alone, tmp_path):
    """The evaluation that is due is made by the next run, and is in its log."""
    for number in numbers(left_alone[1], "_evaluate", occurrence=0)[4:16:4]:
        assert_same_when_told_to_end(project, left_alone, tmp_path / str(number), number)


@pytest.mark.slow
@pytest.mark.parametrize("function", ["_steps", "_step", "_after_step", "_evaluate", "_write_log", "lines", "write", "_conclude"])
def test_at_any_line(project, left_alone, tmp_path, function):
    chosen = numbers(left_alone[1], function) or numbers(left_alone[1], function, occurrence=0)
    assert chosen
    for number in chosen:
        assert_same_when_told_to_end(project, left_alone, tmp_path / str(number), number)
