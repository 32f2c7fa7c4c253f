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


def tell_to_end(project, root, when):
    """Run, and tell it to end when its lines so far are what they are to be; gives them all."""
    seen, told = [], []

    def hear(line):
        seen.append(line)
        if not told and when(seen):
            told.append(line)
            end(signal.SIGTERM)

    with each_line(hear), pytest.raises(Interrupted):
        run(project, root)
    for events in root.glob("tensorboard/*/events.out.tfevents.1*"):  # read by name, whose order is chance within a second
        events.rename(events.with_name(f"events.out.tfevents.0{len([*events.parent.iterdir()])}"))
    return seen


def assert_same(project, left_alone, root, line):
    """Go on to the end, and compare with the run that was left alone."""
    run(project, root)
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
        tell_to_end(project, tmp_path / str(number), lambda seen, number=number: len(seen) == number + 1)
        assert_same(project, left_alone, tmp_path / str(number), left_alone[1][number])


def test_twice_at_one_step(project, left_alone, tmp_path):
    """While it evaluates, and when the next run has just done so: that is not done a third time."""

    def evaluations(lines):
        return sum(line.startswith("_evaluate:") for line in lines)

    first = tell_to_end(project, tmp_path, lambda seen: evaluations(seen) == 5)
    second = tell_to_end(project, tmp_path, lambda seen: seen[-1].startswith("_step:"))
    third = []
    with each_line(third.append):
        assert_same(project, left_alone, tmp_path, "twice")
    assert evaluations(second) > evaluations(first) == 5
    assert evaluations(second) + evaluations(third) == evaluations(left_alone[1])


@pytest.mark.slow
@pytest.mark.parametrize("function", ["_steps", "_step", "_after_step", "_evaluate", "lines", "write", "_conclude"])
def test_at_any_line(project, left_alone, tmp_path, function):
    chosen = numbers(left_alone[1], function) or numbers(left_alone[1], function, occurrence=0)
    assert chosen
    for number in chosen:
        tell_to_end(project, tmp_path / str(number), lambda seen, number=number: len(seen) == number + 1)
        assert_same(project, left_alone, tmp_path / str(number), left_alone[1][number])
