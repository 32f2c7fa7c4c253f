"""A stage costs the same however many there are: a guard that no clock disturbs, for it counts what Python executes."""

import sys
from dataclasses import replace

import pytest
from small_runs import Project

from harness.executors.cluster.graph import ClusterGraph
from harness.executors.graph.schedule import Schedule
from harness.runtime.needs import StageNeeds

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A training, a prediction of its checkpoint, and the score of that."""
    project = Project.make(tmp_path_factory.mktemp("project"), max_steps=2, tasks="pairs")
    return project.plan(tasks="pairs", languages=("de",))[0].stages


def graph_of(planned, number, folder, kind=Schedule):
    """So many trainings with a prediction and a score each, of which none is done."""
    train, predict, score = planned
    stages = []
    for seed in range(number):
        own = replace(train, args=replace(train.args, seed=1000 + seed))
        asked = replace(predict, inputs=(own,))
        stages += [own, asked, replace(score, inputs=(asked,))]
    return kind(stages=stages, root=folder, machine=None)


def operations(work):
    """How many operations of its virtual machine Python executes to do some work."""
    count = 0

    def traced(frame, event, _):
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def settle(graph):
    """Look at each stage and at what is done with it, and take it for done."""
    for stage in graph.stages:
        graph.look_at(stage)
        assert list(graph.bundle_of(stage)) == graph.with_keys([stage.key]) == [stage]
        assert len(graph.readers(stage)) == (stage.verb != "score")
        graph.report.broken()
        graph.report.done.append(stage)
        assert stage.key in graph.report.settled()


def fail(graph):
    """Half of the trainings fail, and with them all that reads them."""
    for stage in graph.stages[::6]:
        graph.report.failed.append((stage, "no"))
        graph.report.settled()
    for stage in graph.stages:
        graph.look_at(stage)
    assert len(graph.report.not_run) == 2 * len(graph.report.failed)


def test_a_schedule_looks_at_a_stage_at_the_same_cost_however_many_there_are(planned, tmp_path):
    for work in (settle, fail):
        few, many = (operations(lambda n=n: work(graph_of(planned, n, tmp_path))) for n in (20, 80))  # noqa: B023
        assert many < 4.4 * few, work.__name__


def test_the_units_of_a_cluster_are_found_at_the_same_cost_however_many_there_are(planned, tmp_path):
    def find(number):
        graph = graph_of(planned, number, tmp_path, ClusterGraph)
        found = graph.ready(busy=(), needs_of=lambda _: StageNeeds())
        assert len(found.units) == number
        assert graph.add(graph_of(planned, number + 2, tmp_path).stages) == graph.stages[-6:]
        assert graph.bundle_of(graph.stages[-1]) == [graph.stages[-1]]

    few, many = operations(lambda: find(20)), operations(lambda: find(80))
    assert many < 4.4 * few


def test_a_stage_that_is_taken_back_is_to_be_made_again(planned, tmp_path):
    graph = graph_of(planned, 2, tmp_path)
    first, second = graph.stages[0], graph.stages[3]
    graph.report.done += [first, second]
    assert graph.report.settled() == {first.key, second.key}
    graph.report.take_back(first, "it is damaged")
    assert graph.report.settled() == {second.key}
    graph.report.failed.append((first, "again"))
    assert (graph.report.settled(), graph.report.broken()) == ({first.key, second.key}, {first.key})
