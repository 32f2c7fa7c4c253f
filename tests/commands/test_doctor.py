"""`doctor` says in plain words what this machine has, and is alarmed only where runs are impossible."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from small_tasks import write_tasks

import run_eval
from harness.api.registry import ROOT
from harness.commands._machine_checks import (
    ELSEWHERE,
    FAULT,
    FINE,
    NOTE,
    hub_finding,
    lacking_of,
    packages_finding,
    requirements,
)


def findings(capsys, *words):
    """Exit code, and the findings by what was looked at."""
    code = run_eval.main(["doctor", "--json", *map(str, words)])
    document = json.loads(capsys.readouterr().out)
    assert document["possible"] == (code == 0)
    return code, {each["what"]: each for each in document["findings"]}


def test_a_machine_that_can_run_is_told_so_line_by_line(tmp_path, capsys):
    code, found = findings(capsys, "--output_path", tmp_path / "runs")
    assert code == 0
    assert {each["state"] for each in found.values()} <= {FINE, NOTE}
    assert list(found)[:8] == ["python", "packages", "device", "threads", "hub", "mirror", "output", "cache"]
    assert found["packages"]["found"].startswith("all ")
    assert "offline" in found["hub"]["found"]  # the tests are
    assert "can be written" in found["output"]["found"]
    assert not (tmp_path / "runs").exists()
    extras = {f"extra {name}" for name in requirements() if name not in ELSEWHERE}
    assert extras
    assert extras <= set(found)
    assert run_eval.main(["doctor", "--output_path", str(tmp_path / "runs")]) == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.startswith("fine  packages")]
    assert out.endswith("Runs are possible.  Try one: run_eval.py --model oracle --tasks mini/nli\n")


def test_where_runs_are_impossible_the_code_is_1_and_the_reason_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    code, found = findings(capsys, "--output_path", tmp_path / "file", "--data_dir", tmp_path / "nowhere")
    assert code == 1
    assert found["output"]["state"] == found["mirror"]["state"] == FAULT
    assert "there is no such folder" in found["mirror"]["found"]
    assert run_eval.main(["doctor", "--output_path", str(tmp_path / "file")]) == 1
    assert "Runs are impossible before this is mended: output." in capsys.readouterr().out


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a system without /proc")
def test_a_place_is_really_written_to(capsys):
    """Nobody may make a folder in /proc, whatever its permissions say to root."""
    code, found = findings(capsys, "--output_path", "/proc/nothing/below")
    assert (code, found["output"]["state"]) == (1, FAULT)
    assert "nothing can be written there" in found["output"]["found"]


def test_packages_that_are_absent_or_too_old_are_faults():
    assert lacking_of(["numpy>=1.0", "pydantic"]) == []
    found = packages_finding(["numpy>=1.0", "numpy>=999.1", "no-such-package>=1"])
    assert found.state == FAULT
    assert found.found.endswith("is older than 999.1; no-such-package is not installed")


def test_the_mirror_is_told_by_the_tasks_that_find_their_rows_there(tmp_path, capsys):
    folder = write_tasks(tmp_path)
    _, found = findings(capsys, "--data_dir", folder, "--include_path", folder, "--output_path", tmp_path / "runs")
    assert f"{folder}: the test rows of 4 of " in found["mirror"]["found"]  # source, warm, right, bare; the French of left lacks
    (folder / "bare-de.jsonl").unlink()
    _, found = findings(capsys, "--data_dir", folder, "--include_path", folder, "--output_path", tmp_path / "runs")
    assert f"{folder}: the test rows of 3 of " in found["mirror"]["found"]
    assert found["mirror"]["state"] == FINE


def test_a_hub_that_does_not_answer_is_told_in_seconds(monkeypatch):
    from huggingface_hub import constants

    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and says nothing
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        found = hub_finding(offline=False, seconds=0.2)
    assert found.state == NOTE
    assert "does not answer" in found.found
    assert "HF_HUB_OFFLINE=1" in found.todo
    found = hub_finding(offline=False, seconds=0.2)  # nothing listens there any more
    assert "refused" in found.found


def test_more_threads_than_cores_are_told():
    environment = {**os.environ, "OMP_NUM_THREADS": "999", "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(
        [sys.executable, "run_eval.py", "doctor", "--json"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    (threads,) = [each for each in json.loads(ran.stdout)["findings"] if each["what"] == "threads"]
    assert threads["state"] == NOTE
    assert "999 threads" in threads["found"]


def test_a_cache_that_cannot_be_written_is_a_note(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path / "file"))
    code, found = findings(capsys, "--output_path", tmp_path / "runs")
    assert (code, found["cache"]["state"]) == (0, NOTE)
    assert "XLIFT_CACHE_DIR" in found["cache"]["todo"]
