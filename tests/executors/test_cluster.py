"""Stages on a Ray cluster of two nodes: the same bytes as one after the other, the same report, errors instead of waiting."""

import json
import socket
import sys
import time

import pytest
from small_clusters import small_cluster, stage_differences
from small_runs import Project, differences

from harness.api.errors import UserError
from harness.executors.cluster.options import ClusterOptions
from harness.runtime.needs import StageNeeds

pytest.importorskip("ray")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"), max_steps=4, tasks="pairs,tags,cloze")


@pytest.fixture(scope="module")
def cluster():
    with small_cluster(nodes=2) as found:
        yield found


def run(project, root, address, *, options=None, **request):
    from harness.executors.ray import execute

    plan, machine = project.plan(**request)
    return execute(plan.stages, root=root, machine=machine, cluster=ClusterOptions(address=address, **(options or {})))


def names(stages):
    return sorted(stage.name for stage in stages)


@pytest.mark.cluster
def test_it_gives_the_bytes_of_one_stage_after_the_other(project, cluster, tmp_path):
    request = {"tasks": "pairs,tags", "intermediate": "none,cloze", "languages": ("de",)}
    serial = project.run(tmp_path / "serial", **request)
    report = run(project, tmp_path / "ray", cluster.address, **request)
    assert (names(report.done), report.failed, report.not_run) == (names(serial.done), [], [])
    assert stage_differences(tmp_path / "serial", tmp_path / "ray", differences) == []
    logs = "".join(path.read_text() for path in tmp_path.glob("ray/logs/train-*.log"))
    assert logs.count(" begins\n") == 5
    found = [json.loads(path.read_text())["arithmetic"] for path in tmp_path.glob("ray/train/*/done.json")]
    assert [(one["device"], one["threads"], one["processes"]) for one in found] == [("cpu", 1, 1)] * 5
    # What is done needs no cluster, and is not done again.
    again = run(project, tmp_path / "ray", "127.0.0.1:1", **request)
    assert (names(again.reused), again.done) == (names(serial.done), [])


@pytest.mark.cluster
def test_a_failure_is_reported_as_it_is_without_a_cluster(cluster, tmp_path):
    project = Project.make(tmp_path / "p", max_steps=2, tasks="pairs,tags")
    rows = project.folder / "pairs-validation-en.jsonl"
    rows.write_text(rows.read_text().replace('"same"', '"??"'))
    request = {"tasks": "pairs,tags", "languages": ("de",)}
    serial = project.run(tmp_path / "serial", **request)
    report = run(project, tmp_path / "ray", cluster.address, **request)
    assert [(stage.name, text) for stage, text in report.failed] == [(stage.name, text) for stage, text in serial.failed]
    assert len(report.failed) == 1
    assert (names(report.not_run), names(report.done)) == (names(serial.not_run), names(serial.done))
    (error,) = (tmp_path / "ray").glob("*/*/error.txt")
    assert "Traceback" in error.read_text()


@pytest.mark.cluster
def test_what_the_cluster_cannot_hold_is_an_error_at_once(project, cluster, tmp_path):
    begun = time.monotonic()
    needs = {"needs_of": lambda stage: StageNeeds(gpus_each=8)}
    with pytest.raises(UserError) as caught:
        run(project, tmp_path / "r", cluster.address, tasks="pairs", languages=("de",), options=needs)
    assert time.monotonic() - begun < 20
    assert "1 CPU, 8 GPUs" in caught.value.expected
    assert caught.value.found.count("1 CPU, 0 GPUs") == 2
    assert not (tmp_path / "r" / "train").exists()


def refusal(project, root, address):
    """What is said of an address, and how long that takes."""
    begun = time.monotonic()
    with pytest.raises(UserError) as caught:
        run(project, root, address, tasks="pairs", languages=("de",))
    assert (caught.value.where, address in caught.value.found) == ("--address", True)
    return caught.value.message, time.monotonic() - begun


def test_no_cluster_is_an_error_at_once(project, tmp_path):
    found = {address: refusal(project, tmp_path / "r", address) for address in ("127.0.0.1:1", "nowhere", "ray://127.0.0.1:1")}
    assert [message.split(":")[0] for message, _ in found.values()] == [
        "no Ray cluster answers",
        "no address of a Ray cluster",
        "Ray's client protocol is not supported",
    ]
    assert max(seconds for _, seconds in found.values()) < 15


@pytest.mark.cluster
def test_what_listens_and_is_no_ray_is_an_error_in_reasonable_time(project, tmp_path):
    with socket.create_server(("", 0)) as mute:
        message, seconds = refusal(project, tmp_path / "r", f"127.0.0.1:{mute.getsockname()[1]}")
    assert "what listens there is no Ray" in message
    assert seconds < 40


def test_a_missing_package_is_named_with_its_extra(project, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError) as caught:
        run(project, tmp_path / "r", "auto", tasks="pairs", languages=("de",))
    assert "[ray]" in caught.value.todo


@pytest.mark.cluster
def test_what_a_node_lacks_is_said_with_its_name(cluster, tmp_path):
    from harness.executors.cluster.connection import connected
    from harness.executors.cluster.gangs import Gang, GangState
    from harness.executors.cluster.worker import Host

    asked = Host(str(tmp_path), "another folder", None, str(tmp_path), (str(tmp_path), "/data/mirror"), {"train": 0})
    with connected(ClusterOptions(address=cluster.address), log=tmp_path / "ray.log") as ray:
        gang = Gang(ray, StageNeeds(), host=asked, namespace="test", name="lacking", share_node=False)
        end = time.monotonic() + 60
        while gang.look() == GangState.PLACING and time.monotonic() < end:
            time.sleep(0.1)
        told = gang.mistakes()
        gang.end()
    assert [line.split(": ", 1)[0] for line in told] == [gang.where()] * 3
    assert "is not the driver's" in told[0]
    assert told[1].endswith("/data/mirror is not there")
    assert "another version of this program" in told[2]
