"""The script of the whole CI, with stand-ins for all that it starts: what fails ends it, is told, and leaves nothing running."""

import os
import shutil
import subprocess
import time

import pytest

from harness.api.registry import ROOT

MAKE = """#!/usr/bin/env bash
echo "make $*"
if [ "$1" = "${FAILS:-}" ]; then exit 3; fi
if [ "$1" = .venv-docs/.installed ]; then sleep "${SLOW:-0}"; echo made > "$MARK"; fi
"""
APT_GET = """#!/usr/bin/env bash
echo "apt-get $*"
[ "$1" = update ] && exit 100
"""


@pytest.fixture
def ran(tmp_path):
    """Runs the script where there is no chromium, and a package index out of reach."""
    (tmp_path / "p" / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", tmp_path / "p" / ".ci" / "run")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "env", "mktemp", "rm", "cat", "sleep", "dirname"):
        (programs / name).symlink_to(str(shutil.which(name)))
    for name, text in (("make", MAKE), ("apt-get", APT_GET)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)

    def run(*words, **variables):
        variables = {"PATH": str(programs), "MARK": str(tmp_path / "mark"), **variables}
        command = ["bash", str(tmp_path / "p" / ".ci" / "run"), *words]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=30)
        return done.returncode, done.stdout.splitlines(), done.stderr

    return run


def test_an_unknown_word_is_refused(ran):
    code, out, err = ran("al")
    assert (code, out) == (2, [])
    assert "error: .ci/run takes 'all' or nothing, and was given: al" in err


def test_programs_that_cannot_be_installed_end_it_with_their_log(ran):
    code, out, err = ran()
    assert code == 1
    assert "apt-get update -qq" in out
    assert "make docs" not in out
    assert "error: the environments of other programs cannot be made" in err


def test_what_runs_in_the_background_ends_with_what_fails(ran, tmp_path):
    code, out, _ = ran(FAILS="test-cluster", SLOW="1")
    assert code == 3
    assert out[-1] in ("make test-cluster", "make .venv-docs/.installed")
    time.sleep(1.3)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / ".ci").iterdir() if path.is_file()))
def test_scripts_can_be_read_by_the_bash_of_macos(name):
    text = (ROOT / ".ci" / name).read_text(encoding="utf-8")
    for newer in ("declare -A", "mapfile", "readarray", "wait -n", "&>>", "|&"):
        assert newer not in text
    assert subprocess.run(["bash", "-n", os.fspath(ROOT / ".ci" / name)], check=False).returncode == 0
