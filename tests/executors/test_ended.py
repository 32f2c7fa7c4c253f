"""Runs that are told to end: a word, the code of the signal, a state; then the bytes of a run that was left alone."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from small_runs import Project, differences

from harness.api.registry import ROOT

STEPS = 700
ENDS = [(signal.SIGTERM, 143, " by SIGTERM"), (signal.SIGHUP, 129, " by SIGHUP"), (signal.SIGINT, 130, "")]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("ended"), max_steps=STEPS, epochs=300, eval_every=350, tasks="pairs")


def command(project, root, *, processes=1):
    words = [str(ROOT / "run_eval.py"), "--model", str(project.model), "--tasks", "pairs", "--languages", "de"]
    words += ["--include_path", str(project.folder), "--recipe", "tiny", "--output_path", str(root), "--device", "cpu"]
    words += ["--save_every", "100000"]
    if processes > 1:
        several = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--rdzv_backend", "c10d"]
        words = [*several, "--rdzv_endpoint", "localhost:0", *words]
    return [sys.executable, *words]


def hears_of_a_closed_terminal():
    """Also where the tests themselves run under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def start(project, root, *, processes=1, **more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    more.setdefault("preexec_fn", hears_of_a_closed_terminal)
    return subprocess.Popen(
        command(project, root, processes=processes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        **more,
    )


def num_steps(root):
    """Steps that the log of the training tells of."""
    return sum(path.read_text().count('"loss"') for path in root.glob("train/*/log.jsonl"))


def wait_for_steps(process, root, steps):
    while process.poll() is None and num_steps(root) < steps:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()


def states(root):
    return sorted(int(path.name.split("-")[1]) for path in root.glob("train/*/state-*"))


def whole(project, root, *, processes=1):
    process = start(project, root, processes=processes)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return " ".join(out.split()).replace(str(root), "ROOT")  # whose length decides where a line ends


@pytest.fixture(scope="module")
def left_alone(project, tmp_path_factory):
    """The folder of a run that nothing happened to, and its board."""
    root = tmp_path_factory.mktemp("left_alone") / "runs"
    return root, whole(project, root)


@pytest.mark.slow
def test_each_signal_ends_it_with_a_word_and_a_state(project, left_alone, tmp_path):
    root, board = left_alone
    for number, (by, code, how) in enumerate(ENDS):
        done = num_steps(tmp_path / "cut")
        process = start(project, tmp_path / "cut")
        wait_for_steps(process, tmp_path / "cut", done + 20)
        process.send_signal(by)
        out, err = process.communicate(timeout=600)
        assert (process.returncode, out) == (code, ""), err
        assert f"interrupted{how}: the same command goes on where it was" in err
        assert "Traceback" not in err
        (*_, state) = states(tmp_path / "cut")
        assert f"the state of step {state} is saved" in err
        assert done + 20 <= state < STEPS
        assert len(states(tmp_path / "cut")) == min(2, number + 1)
    assert whole(project, tmp_path / "cut") == board
    assert differences(root, tmp_path / "cut") == []


@pytest.mark.slow
def test_nohup_keeps_it_running(project, tmp_path):
    process = start(project, tmp_path / "r", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait_for_steps(process, tmp_path / "r", 20)
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=600)
    assert (process.returncode, "# Leaderboard" in out) == (0, True), err


@pytest.mark.long
def test_a_reader_that_closes_the_pipe_ends_it_quietly(project, left_alone, tmp_path):
    """Its stderr is closed while it trains; it hears of that with the next line of progress."""
    process = start(project, tmp_path / "cut")
    assert "stages" in process.stderr.readline()
    process.stderr.close()
    process.stdout.close()
    assert process.wait(timeout=600) == 141
    assert not list(tmp_path.glob("cut/*/*/error.txt"))
    assert whole(project, tmp_path / "cut") == left_alone[1]
    assert differences(left_alone[0], tmp_path / "cut") == []


@pytest.mark.long
def test_a_closed_pipe_ends_two_processes(tmp_path):
    """Only the first one hears of it, and the other must not wait for it for ever."""
    project = Project.make(tmp_path / "p", max_steps=80, epochs=200, eval_every=5, tasks="pairs")
    process = start(project, tmp_path / "cut", processes=2)
    wait_for_steps(process, tmp_path / "cut", 5)
    process.stderr.close()
    process.stdout.close()
    assert process.wait(timeout=300) != 0
    assert not list(tmp_path.glob("cut/*/*/error.txt"))
    assert "# Leaderboard" in whole(project, tmp_path / "cut", processes=2)


def children_of(pid):
    found = []
    for path in os.scandir("/proc"):
        if path.name.isdigit():
            try:
                with open(f"/proc/{path.name}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found.append(int(path.name))
    return found


@pytest.mark.slow
def test_two_processes_end_together_and_go_on_together(tmp_path):
    """torchrun passes the signal on; the first process saves the state that all have reached."""
    project = Project.make(tmp_path / "p", max_steps=80, epochs=200, eval_every=40, tasks="pairs")
    whole(project, tmp_path / "whole", processes=2)
    process = start(project, tmp_path / "cut", processes=2)
    wait_for_steps(process, tmp_path / "cut", 10)
    children = children_of(process.pid)
    assert len(children) >= 2
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=600)
    assert process.returncode != 0
    assert "interrupted by SIGTERM: the same command goes on where it was" in err
    assert [pid for pid in children if os.path.exists(f"/proc/{pid}")] == []
    assert 10 <= states(tmp_path / "cut")[-1] < 80
    whole(project, tmp_path / "cut", processes=2)
    assert differences(tmp_path / "whole", tmp_path / "cut") == []
    done = json.loads(next(tmp_path.glob("cut/train/*/done.json")).read_text())
    assert done["arithmetic"]["processes"] == 2
