"""run_eval.py under torchrun: two processes on the CPU give the same board as one, within fp32 tolerance, and fail together."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from safetensors.torch import load_file
from small_runs import Project

from harness.api.errors import UserError
from harness.api.registry import ROOT
from harness.runtime.processes import announced_processes, check_launch, is_first

TOLERANCE = 2e-5
"Weights after 9 steps, fp32: sums over processes come in another order."


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("two"), dropout=0.0, adam_epsilon=1e-3)


def run(project, root, *, processes, tasks, more=()):
    command = [str(ROOT / "run_eval.py"), "--model", str(project.model), "--tasks", tasks, "--include_path", str(project.folder)]
    command += ["--recipe", "tiny", "--output_path", str(root), "--device", "cpu", "--quiet", *more]
    if processes > 1:
        starter = [
            "-m",
            "torch.distributed.run",
            "--nproc_per_node",
            str(processes),
            "--master_port",
            "0",
            "--rdzv_backend",
            "c10d",
        ]
        command = [*starter, "--rdzv_endpoint", "localhost:0", *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, timeout=300)


def weights(root):
    found = {}
    for path in sorted(root.glob("train/*/checkpoint/**/*.safetensors")):
        found |= {f"{path.relative_to(root)} {name}": tensor for name, tensor in load_file(path).items()}
    return found


@pytest.mark.slow
def test_two_processes_agree_with_one_and_one_finishes_what_two_began(still, tmp_path):
    tasks, more = "pairs,quiz,nearest", ("--intermediate", "none,cloze", "--batch_tokens", "150")
    one = run(still, tmp_path / "one", processes=1, tasks=tasks, more=more)
    two = run(still, tmp_path / "two", processes=2, tasks=tasks, more=more)
    assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
    first, second = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert first.keys() == second.keys()
    far = {name: float((first[name] - second[name]).abs().max()) for name in first}
    assert max(far.values()) < TOLERANCE
    for name in ("done.json", "log.jsonl"):
        assert len(list((tmp_path / "two").glob(f"train/*/{name}"))) == 7
    losses = [
        [
            json.loads(line).get("loss")
            for path in sorted(root.glob("train/*/log.jsonl"))
            for line in path.read_text().splitlines()
        ]
        for root in (tmp_path / "one", tmp_path / "two")
    ]
    first, second = ([x for x in own if x] for own in losses)
    assert len(first) == 7 * 9
    assert np.allclose(first, second, atol=TOLERANCE)
    assert one.stdout.count("# Leaderboard") == two.stdout.count("# Leaderboard") == 1
    scores = [
        [json.loads(p.read_text())["score"] for p in sorted(r.glob("score/*/score.json"))]
        for r in (tmp_path / "one", tmp_path / "two")
    ]
    assert len(scores[0]) == len(scores[1]) == 14
    assert sum(a != b for a, b in zip(*scores)) <= 1, "a tie may fall the other way"
    assert not [
        path for path in (tmp_path / "two").rglob("*") if path.name.startswith((".", "partials", "vectors", "state", "best"))
    ]


def launched(project, root, *flags):
    """A run of one small task that `accelerate launch` starts with these flags."""
    words = ["--model", str(project.model), "--tasks", "pairs", "--languages", "de", "--include_path", str(project.folder)]
    words += ["--recipe", "tiny", "--output_path", str(root), "--device", "cpu", "--quiet", "--sharding", "full"]
    command = ["-m", "accelerate.commands.launch", *flags, str(ROOT / "run_eval.py"), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, timeout=300)


@pytest.mark.slow
def test_accelerate_launch_starts_processes_that_work_together(still, tmp_path):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    ended = launched(still, tmp_path / "r", "--multi_gpu", "--num_processes", "2", "--main_process_port", port)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("# Leaderboard") == 1
    done = json.loads(next(tmp_path.glob("r/train/*/done.json")).read_text())
    assert {"processes": 2, "sharding": "full", "offload": "none"}.items() <= done["arithmetic"].items()


@pytest.mark.slow
def test_accelerate_launch_that_starts_one_process_of_two_is_refused(still, tmp_path):
    """`accelerate launch --cpu --num_processes 2` starts one, without a word."""
    ended = launched(still, tmp_path / "r", "--cpu", "--num_processes", "2")
    assert ended.returncode != 0
    assert "error: accelerate launch --cpu: accelerate was asked for several processes and has started one" in ended.stderr
    assert "torchrun --nproc_per_node N" in ended.stderr
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("environment", "first", "count"),
    [
        ({}, True, 1),
        ({"WORLD_SIZE": "2", "RANK": "1"}, False, 2),
        ({"WORLD_SIZE": "1", "RANK": "0"}, True, 1),
        ({"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "3"}, False, 3),
        ({"PMI_SIZE": "2", "PMI_RANK": "0", "MPI_LOCALNRANKS": "2"}, True, 2),
        ({"ACCELERATE_MIXED_PRECISION": "no"}, True, 1),
    ],
)
def test_what_launchers_announce(monkeypatch, environment, first, count):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", *environment):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    check_launch()
    assert (is_first(), announced_processes()) == (first, count)


def test_processes_of_several_machines_need_an_address(monkeypatch):
    for name, value in (("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_LOCAL_SIZE", "2")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(UserError, match="cannot find each other"):
        check_launch()


@pytest.mark.slow
def test_a_failure_in_training_is_known_to_all(still, tmp_path):
    """The loss becomes nan in both; what does not need the checkpoint is done, the exit code says that something is missing."""
    recipe = {
        "recipe": "broken",
        "description": "",
        "defaults": {"learning_rate": 1e30, "max_grad_norm": 0.0, "max_steps": 5, "precision": "float32"},
    }
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "broken.yaml").write_text(json.dumps(recipe))
    more = ("--recipe", "broken", "--include_path", str(tmp_path / "more"), "--languages", "de")
    found = run(still, tmp_path / "r", processes=2, tasks="pairs", more=more)
    assert found.returncode == 1
    assert "the loss became nan at step" in found.stderr
    assert found.stderr.count("not run: score/") == 1
    assert len(list((tmp_path / "r").glob("train/*/error.txt"))) == 1


@pytest.mark.long
def test_a_cell_that_cannot_be_read_is_lost_in_all_processes_and_no_other(tmp_path):
    project = Project.make(tmp_path / "p", max_steps=2, tasks="pairs")
    rows = project.folder / "pairs-test-de.jsonl"
    rows.write_text(rows.read_text().replace('"none"', '"??"'))
    found = run(project, tmp_path / "r", processes=2, tasks="pairs", more=("--batch_tokens", "150"))
    assert found.returncode == 1
    assert found.stderr.count("pairs-test-de.jsonl, row 3: '??' is no label") == 1
    assert "5 done now, 0 done before, 1 failed, 1 not run" in found.stderr
    assert len(list((tmp_path / "r").glob("score/*/score.json"))) == 2
