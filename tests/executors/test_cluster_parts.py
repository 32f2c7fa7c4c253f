"""The parts of a run on a cluster that need none: room for stages, places in a group, environments, copies in a store."""

import json
import shutil

import pytest
from small_runs import Project, contents

import run_eval
from harness.api.errors import UserError
from harness.executors.cluster.connection import worker_environment
from harness.executors.cluster.copies import NodeCopies
from harness.executors.cluster.gangs import places_of
from harness.executors.cluster.needs import ClusterNode, cannot_fit, default_needs, needs_together
from harness.executors.cluster.options import ClusterOptions
from harness.executors.cluster.store import DamagedCopy, StageStore
from harness.executors.cluster.units import Unit, claim_unit, workers_file
from harness.executors.cluster.worker import Arrival
from harness.executors.graph.schedule import Schedule
from harness.runtime.locks import lock
from harness.runtime.needs import StageNeeds

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"), max_steps=4, tasks="pairs")


@pytest.fixture(scope="module")
def finished(project, tmp_path_factory):
    """The plan of a run and its folder."""
    root = tmp_path_factory.mktemp("finished")
    project.run(root, tasks="pairs", languages=("de",))
    return project.plan(tasks="pairs", languages=("de",))[0], root


def node(cpus=4.0, gpus=0.0, memory=0.0):
    return ClusterNode("0123456789", "10.0.0.1", cpus, gpus, memory)


@pytest.mark.parametrize(
    ("needs", "nodes", "share", "fits"),
    [
        (StageNeeds(cpus_each=4), [node()], False, True),
        (StageNeeds(cpus_each=5), [node(), node()], False, False),
        (StageNeeds(num_processes=2, cpus_each=3), [node(), node()], False, True),
        (StageNeeds(num_processes=2, cpus_each=3), [node(), node()], True, False),
        (StageNeeds(num_processes=2, cpus_each=2), [node(), node(1)], True, True),
        (StageNeeds(num_processes=8, gpus_each=1), [node(8, 4), node(8, 4)], False, True),
        (StageNeeds(num_processes=8, gpus_each=1), [node(8, 4), node(3, 4)], False, False),
        (StageNeeds(gpus_each=0.1), [node(8, 1)], False, True),
        (StageNeeds(num_processes=10, gpus_each=0.1), [node(16, 1)], False, True),
        (StageNeeds(memory_each=2 << 30), [node(memory=1 << 30)], False, False),
        (StageNeeds(), [], False, False),
    ],
)
def test_a_cluster_holds_a_stage_if_its_nodes_hold_all_processes(needs, nodes, share, fits):
    assert (cannot_fit(needs, nodes, share_node=share) == "") == fits


def test_needs_by_default(finished):
    plan, _ = finished
    options = ClusterOptions(cpus_per_stage=3, processes_per_stage=2)
    by_verb = {stage.verb: stage for stage in plan.stages}
    on_gpus, on_cpus = (default_needs(options, has_gpus=there) for there in (True, False))
    for verb in ("train", "predict"):
        assert on_gpus(by_verb[verb]) == StageNeeds(num_processes=2, gpus_each=1, cpus_each=3)
        assert on_cpus(by_verb[verb]) == StageNeeds(num_processes=2, gpus_each=0, cpus_each=3)
    several = [StageNeeds(gpus_each=1, cpus_each=2), StageNeeds(num_processes=4, memory_each=5)]
    assert needs_together(several) == StageNeeds(num_processes=4, gpus_each=1, cpus_each=2, memory_each=5)


def test_processes_are_numbered_as_torchrun_numbers_them():
    arrivals = [
        Arrival(node, address, 1, gpus, 4000 + number, ())
        for number, (node, address, gpus) in enumerate([("a", "A", ("2",)), ("b", "B", ("0",)), ("a", "A", ("3",))])
    ]
    places = places_of(arrivals, share_devices=True)
    assert [(place.rank, place.size, place.local_rank, place.local_size) for place in places] == [
        (0, 3, 0, 2),
        (1, 3, 0, 1),
        (2, 3, 1, 2),
    ]
    assert {(place.address, place.port) for place in places} == {("A", 4000)}
    assert [place.gpus for place in places] == [("2", "3"), ("0",), ("2", "3")]
    assert {place.gpus for place in places_of(arrivals, share_devices=False)} == {()}


def test_workers_have_as_many_threads_as_cores_and_no_secrets():
    driver = {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "secret", "OMP_NUM_THREADS": "8", "HOME": "/home/me"}
    found = worker_environment(StageNeeds(cpus_each=3), environment=driver)
    assert (found["OMP_NUM_THREADS"], found["MKL_NUM_THREADS"], found["HF_HUB_OFFLINE"]) == ("3", "3", "1")
    assert not {"HF_TOKEN", "HOME"} & set(found)


def test_a_finished_stage_comes_from_the_store_as_it_was(finished, tmp_path):
    plan, root = finished
    store = StageStore(f"file://{tmp_path}/store")
    store.check()
    for stage in plan.stages:
        store.push(stage.name, root=root)
    assert store.finished() == {stage.name for stage in plan.stages}
    for stage in plan.stages:
        store.fetch(stage.name, root=tmp_path / "whole", weights=True)
        store.fetch(stage.name, root=tmp_path / "light", weights=False)
    assert contents(tmp_path / "whole") == contents(root)
    light = contents(tmp_path / "light")
    assert light == {name: content for name, content in contents(root).items() if "/checkpoint/" not in name}
    assert len(light) < len(contents(root))


@pytest.mark.parametrize("harm", ["changed", "missing", "no_list"])
def test_a_damaged_copy_does_not_count_as_done(finished, tmp_path, harm):
    plan, root = finished
    stage = plan.stages[0]
    store = StageStore(f"file://{tmp_path}/store")
    store.push(stage.name, root=root)
    weights = tmp_path / "store" / stage.name / "checkpoint" / "heads.safetensors"
    if harm == "changed":
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    elif harm == "missing":
        weights.unlink()
    else:
        (tmp_path / "store" / stage.name / "done.json").write_text("{}")
    with pytest.raises(DamagedCopy):
        store.fetch(stage.name, root=tmp_path / "here", weights=True)
    assert not stage.is_done(tmp_path / "here")
    assert not list((tmp_path / "here" / stage.name).glob(".arriving*"))


def test_half_a_copy_is_none(finished, tmp_path):
    """done.json comes last and goes first, so that whatever is there without it does not count."""
    plan, root = finished
    stage = plan.stages[0]
    store = StageStore(f"file://{tmp_path}/store")
    store.push(stage.name, root=root)
    assert store.finished() == {stage.name}
    (tmp_path / "store" / stage.name / "done.json").unlink()
    assert store.finished() == set()
    with pytest.raises(FileNotFoundError):
        store.fetch(stage.name, root=tmp_path / "here", weights=True)
    store.push(stage.name, root=root)
    store.forget(stage.name)
    assert not (tmp_path / "store" / stage.name).exists()


def test_states_are_copied_as_they_are_written_and_fetched_where_they_are_whole(finished, tmp_path):
    plan, _ = finished
    name = plan.stages[0].name
    store = StageStore(f"file://{tmp_path}/store")
    here, known = tmp_path / "here" / name, set()
    for step in (2, 4):
        (here / f"best-{step}").mkdir(parents=True)
        (here / f"best-{step}" / "w").write_text(f"best {step}")
        (here / f"state-{step}").mkdir()
        (here / f"state-{step}" / "tensors.pt").write_text(f"state {step}")
        assert store.push_progress(name, root=tmp_path / "here", known=known) == f"state-{step}"
        assert store.push_progress(name, root=tmp_path / "here", known=known) == ""
    there = tmp_path / "store" / name
    assert sorted(path.name for path in there.iterdir()) == [
        "best-2",
        "best-2.json",
        "best-4",
        "best-4.json",
        "state-4",
        "state-4.json",
    ]
    assert store.fetch_progress(name, root=tmp_path / "other") == {"best-2", "best-4", "state-4"}
    assert (tmp_path / "other" / name / "state-4" / "tensors.pt").read_text() == "state 4"
    (there / "state-4" / "tensors.pt").write_text("state X")
    (there / "best-2.json").unlink()
    assert store.fetch_progress(name, root=tmp_path / "third") == {"best-4"}


def test_a_node_fetches_what_its_stage_reads_once(finished, tmp_path):
    plan, root = finished
    store = StageStore(f"file://{tmp_path}/store")
    train, predict = plan.stages[:2]
    store.push(train.name, root=root)
    copies = NodeCopies(store, root=tmp_path / "node")
    copies.bring([predict])
    assert (tmp_path / "node" / train.name / "checkpoint").is_dir()
    assert not (tmp_path / "node" / predict.name).exists()
    shutil.rmtree(tmp_path / "store")
    copies.bring([predict])


def test_what_other_processes_hold_is_not_claimed(finished, tmp_path):
    plan, _ = finished
    train = plan.stages[0]
    graph = Schedule(stages=plan.stages, root=tmp_path, machine=None)
    unit, ended = Unit(stages=[train], todo=[train], needs=StageNeeds()), []
    with lock(train.folder(tmp_path)):
        assert claim_unit(unit, graph=graph, end_workers=ended.append) is None
    claim = claim_unit(unit, graph=graph, end_workers=ended.append)
    claim.write_workers("xlift/dead-1-0")
    with lock(train.folder(tmp_path), wait=False) as held:
        assert not held
    claim.locks.close()  # as the system does when a driver is killed
    assert ended == []
    claim = claim_unit(unit, graph=graph, end_workers=ended.append)
    assert ended == ["xlift/dead-1-0"]
    claim.release()
    assert not workers_file(train, tmp_path).exists()


@pytest.mark.parametrize("url", ["memory://runs", "nosuch://runs", "file:///proc/none"])
def test_a_store_that_cannot_serve_is_an_error(url):
    with pytest.raises(UserError) as caught:
        StageStore(url).check()
    assert caught.value.where == "--copy_to"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--retries", "1"], "--retries: is for a cluster: --executor ray"),
        (["--executor", "ray", "--cpus_per_stage", "0"], "--cpus_per_stage: must be at least 1"),
        (["--executor", "ray", "--device", "cuda:1"], "--device: a cluster says itself which device"),
    ],
)
def test_flags_that_do_not_go_together(capsys, tmp_path, words, told):
    asked = ["--model", "oracle", "--tasks", "mini/nli", "--output_path", str(tmp_path / "r")]
    assert run_eval.main([*asked, *words]) == 2
    assert told in capsys.readouterr().err
    assert json.dumps(list(tmp_path.iterdir())) == "[]"
