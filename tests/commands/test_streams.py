"""Stdout and stderr that are closed, full, or read by somebody who has seen enough."""

import fcntl
import os
import subprocess
import sys

import pytest
from small_tasks import pairs, write

from harness.api.registry import ROOT


def shell(words, *, errors=subprocess.PIPE):
    """Exit code of the command of ours in a line of the shell (as code=... on its stderr), and what was printed."""
    line = words.replace("RUN", f"{sys.executable} {ROOT / 'run_eval.py'}")
    ran = subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT)
    return ran.returncode, ran.stdout, ran.stderr


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """More tasks than a pipe holds the list of."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(90):
        write(folder, pairs(f"a_task_with_a_name_that_is_rather_long_{number}"))
    return folder


def test_a_reader_that_has_seen_enough_ends_it_as_the_shell_ends_programs(many):
    mine, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)  # as `| head -1`, of a list that is longer than a pipe holds
    command = [sys.executable, str(ROOT / "run_eval.py"), "ls", "tasks", "--include_path", str(many)]
    ran = subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    os.close(theirs)
    assert os.read(mine, 5) == b"task "
    os.close(mine)
    assert (ran.communicate()[1], ran.returncode) == ("", 141)


@pytest.mark.parametrize("words", ["--help", "ls tasks", "show xnli", "ls", "plan --model oracle --tasks mini/nli", "nothing"])
def test_no_command_complains_of_a_closed_pipe(words):
    """The reader is gone before anything is written."""
    code, out, err = shell(f"RUN {words} 2>&1 | true; exit ${{PIPESTATUS[0]}}")
    assert (out, err) == ("", "")
    assert code in (141, 2 if words in ("ls", "nothing") else 0)
    if words == "ls tasks":
        assert code == 141 or os.cpu_count() == 1


@pytest.mark.parametrize("words", ["--help", "ls types", "show xnli", "validate --specs_only tasks/mini"])
def test_results_that_cannot_be_written_are_an_error(words):
    code, _, err = shell(f"RUN {words} >/dev/full")
    assert (code, err) == (1, "error: stdout cannot be written\n  found: No space left on device\n")


@pytest.mark.slow
def test_progress_that_cannot_be_written_is_no_error(tmp_path):
    code, out, err = shell(f"RUN --model oracle --tasks mini/nli --languages de --output_path {tmp_path}/r 2>/dev/full")
    assert (code, err) == (0, "")
    assert "# Leaderboard" in out
    assert shell("RUN lst 2>/dev/full")[0] == 2


RARE = [pytest.param(closed, marks=pytest.mark.long) for closed in ("2>&-", ">&- 2>&-", "<&-")]


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-", *RARE])
def test_what_is_closed_from_the_start_is_written_nowhere(tmp_path, closed):
    """Above all into none of the files that are opened next."""
    code, out, err = shell(f"RUN --model oracle --tasks mini/nli --languages de --output_path {tmp_path}/r {closed}")
    assert code == 0, err
    assert ("# Leaderboard" in out) == (not closed.startswith(">") and ">&- 2" not in closed)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"# Leaderboard" not in path.read_bytes()
            assert b"stages:" not in path.read_bytes()
