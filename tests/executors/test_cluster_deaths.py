"""Nodes, workers and drivers of a Ray cluster that die in the middle: nothing is lost, nothing done is done again."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from small_clusters import DriverProcess, half_trained, small_cluster, stage_differences
from small_runs import Project, differences
from study_projects import SmallStudy, trained

from harness.api.registry import ROOT

pytest.importorskip("ray")
pytestmark = pytest.mark.cluster
STEPS = 240


@pytest.fixture(scope="module")
def cluster():
    with small_cluster(nodes=2) as found:
        yield found


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    return Project.make(folder, max_steps=STEPS, epochs=300, eval_every=80, tasks="pairs,tags")


def run_words(project, root, *more):
    words = ["--model", str(project.model), "--tasks", "pairs,tags", "--languages", "de", "--include_path", str(project.folder)]
    return [*words, "--recipe", "tiny", "--output_path", str(root), "--device", "cpu", "--save_every", "20", *more]


@pytest.fixture(scope="module")
def serial(project, tmp_path_factory):
    """The folder of a run of one stage after the other."""
    root = tmp_path_factory.mktemp("serial") / "runs"
    assert DriverProcess.start(run_words(project, root), log=root.parent / "driver.log").ends() == 0
    return root


def done_files(root):
    """What says that stages are done: inode, time and content of each file."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in root.glob("*/*/done.json")}


def done_lines(told):
    return sorted(re.findall(r"^done: (\S+):", told, re.MULTILINE))


def test_a_study_loses_nothing_when_a_node_is_killed(tmp_path):
    two = {"tiny": {"backbones": [str(tmp_path / "small"), str(tmp_path / "medium")], "contamination": "none"}}
    small = SmallStudy.make(tmp_path, seeds=[1], families=two, hypotheses=[])
    recipe = json.loads((small.folder / "tiny.yaml").read_text())
    recipe["defaults"] |= {"max_steps": 160, "eval_every": 40, "epochs": 300}
    (small.folder / "tiny.yaml").write_text(json.dumps(recipe))
    words = ["study", str(small.path), "--include_path", str(small.folder), "--device", "cpu", "--save_every", "10"]

    def words_for(root, *more):
        return [*words, "--output_path", str(root), *more]

    assert DriverProcess.start(words_for(tmp_path / "serial"), log=tmp_path / "serial.log").ends() == 0
    root = tmp_path / "ray"
    with small_cluster(nodes=2) as cluster:
        driver = DriverProcess.start(
            words_for(root, "--executor", "ray", "--address", cluster.address), log=tmp_path / "driver.log"
        )
        driver.wait_until(lambda: len(trained(root)) >= 3)
        folder = driver.wait_until(lambda: half_trained(root, least=2))
        before = done_files(root)
        cluster.kill_node(driver.node_of(f"train/{folder.name}"))
        assert not (folder / "done.json").exists()
        assert driver.ends() == 0, driver.told
    lost = re.findall(r"^lost: (\S+)", driver.told, re.MULTILINE)
    assert lost == [f"train/{folder.name}"]
    assert stage_differences(tmp_path / "serial", root, differences) == []
    for name in ("leaderboard.json", "study.json"):
        assert (root / name).read_bytes() == (tmp_path / "serial" / name).read_bytes()
    after = done_files(root)
    assert len(before) >= 3
    assert {path: after[path] for path in before} == before
    lines = done_lines(driver.told)
    assert len(lines) == len(set(lines)) == len(after)
    (log,) = root.glob(f"logs/train-{folder.name.rsplit('-', 1)[1]}.log")
    assert re.search(r" begins\n(.*\n)*.* goes on from state-\d+\n", log.read_text())


def test_two_processes_are_a_group_as_under_torchrun(project, cluster, tmp_path):
    several = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--rdzv_backend", "c10d"]
    several += ["--rdzv_endpoint", "localhost:0", str(ROOT / "run_eval.py"), *run_words(project, tmp_path / "torchrun")]
    subprocess.run(several, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300)
    more = ["--executor", "ray", "--address", cluster.address, "--processes_per_stage", "2"]
    driver = DriverProcess.start(run_words(project, tmp_path / "ray", *more), log=tmp_path / "driver.log")
    assert driver.ends() == 0, driver.told
    assert stage_differences(tmp_path / "torchrun", tmp_path / "ray", differences) == []
    found = [json.loads(path.read_text())["arithmetic"]["processes"] for path in tmp_path.glob("ray/train/*/done.json")]
    assert found == [2, 2]


def workers_of(root):
    """Process ids of those that say in their logs that they work on a training, the newest last."""
    return [int(pid) for path in root.glob("logs/train-*.log") for pid in re.findall(r"process (\d+): train", path.read_text())]


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_worker_that_is_killed_is_replaced_up_to_some_times(project, cluster, tmp_path, processes):
    more = ["--executor", "ray", "--address", cluster.address, "--retries", "1", "--tasks", "pairs"]
    words = run_words(project, tmp_path / "r", *more, "--processes_per_stage", str(processes))
    driver = DriverProcess.start(words, log=tmp_path / "driver.log")
    for number in (1, 2):
        driver.wait_until(lambda number=number: half_trained(tmp_path / "r") and len(workers_of(tmp_path / "r")) >= number)
        os.kill(workers_of(tmp_path / "r")[-1], signal.SIGKILL)
    assert driver.ends() == 1, driver.told
    assert "begun again (1 of 1)" in driver.told
    assert "its worker died 2 times" in driver.told
    again = DriverProcess.start(words, log=tmp_path / "again.log")
    assert again.ends() == 0, again.told
    assert "from state-" in again.told


@pytest.mark.parametrize(("by", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.long)])
def test_a_driver_that_is_told_to_end_has_its_workers_save(project, cluster, serial, tmp_path, by, code):
    words = run_words(project, tmp_path / "r", "--executor", "ray", "--address", cluster.address, "--save_every", "100000")
    driver = DriverProcess.start(words, log=tmp_path / "driver.log")
    logs = driver.wait_until(lambda: list((tmp_path / "r").glob("train/*/log.jsonl")))
    driver.wait_until(lambda: any(path.read_text().count("loss") > 20 for path in logs))
    driver.process.send_signal(by)
    assert driver.ends() == code, driver.told
    assert "Traceback" not in driver.told
    assert "the same command goes on where it was" in driver.told
    assert list((tmp_path / "r").glob("train/*/state-*"))
    again = DriverProcess.start(words, log=tmp_path / "again.log")
    assert again.ends() == 0, again.told
    assert "from state-" in again.told
    assert stage_differences(serial, tmp_path / "r", differences) == []


def test_a_driver_that_is_killed_is_followed_by_another(project, cluster, serial, tmp_path):
    words = run_words(project, tmp_path / "r", "--executor", "ray", "--address", cluster.address)
    driver = DriverProcess.start(words, log=tmp_path / "driver.log")
    driver.wait_until(lambda: half_trained(tmp_path / "r", least=2))
    before = done_files(tmp_path / "r")
    driver.process.kill()
    driver.ends()
    again = DriverProcess.start(words, log=tmp_path / "again.log")
    assert again.ends() == 0, again.told
    assert stage_differences(serial, tmp_path / "r", differences) == []
    assert before.items() <= done_files(tmp_path / "r").items()
    assert "from state-" in again.told


def test_two_drivers_share_a_folder(project, cluster, serial, tmp_path):
    words = run_words(project, tmp_path / "r", "--executor", "ray", "--address", cluster.address)
    local = run_words(project, tmp_path / "r")
    drivers = [DriverProcess.start(each, log=tmp_path / f"{number}.log") for number, each in enumerate((words, words, local))]
    assert [driver.ends() for driver in drivers] == [0, 0, 0], [driver.told for driver in drivers]
    lines = [line for driver in drivers for line in done_lines(driver.told)]
    assert sorted(lines) == sorted(set(lines))
    assert stage_differences(serial, tmp_path / "r", differences) == []


def test_nodes_without_a_shared_folder_copy_states_and_stages(project, serial, tmp_path, monkeypatch):
    """Each node has a folder of its own; the one that trains is killed, and the other goes on from the state in the store."""
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")  # the names of its sockets are short
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    store = tmp_path / "store"
    words = run_words(project, tmp_path / "r", "--copy_to", f"file://{store}", "--save_every", "10")
    with small_cluster(nodes=2) as cluster:
        words += ["--executor", "ray", "--address", cluster.address]
        driver = DriverProcess.start(words, log=tmp_path / "driver.log")
        folder = driver.wait_until(lambda: next((path.parent for path in store.glob("train/*/state-*.json")), None))
        cluster.kill_node(driver.node_of(f"train/{folder.name}"))
        killed = time.time()
        assert driver.ends() == 0, driver.told
    assert f"lost: train/{folder.name}" in driver.told
    assert re.search(rf"done: train/{re.escape(folder.name)}: .*, from state-\d+$", driver.told, re.MULTILINE)
    assert (store / "train" / folder.name / "done.json").stat().st_mtime > killed
    assert not list(store.glob("*/*/state-*"))
    found = [name for name in stage_differences(serial, tmp_path / "r", differences) if "/checkpoint/" not in name]
    assert found == []
    assert not list((tmp_path / "r").glob("train/*/checkpoint"))
    assert len(list(store.glob("train/*/checkpoint"))) == 2
    assert [
        name for name in stage_differences(serial, store, differences) if name.split("/")[0] in ("train", "predict", "score")
    ] == []
