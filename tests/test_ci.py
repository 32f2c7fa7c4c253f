"""The script of the whole CI, with stand-ins for all that it starts: what fails ends it, is told, and leaves nothing running."""

import os
import re
import shutil
import subprocess
import time

import pytest

from harness.api.registry import ROOT

MAKE = """#!/usr/bin/env bash
echo "make $*${XLIFT_REAL_MODELS:+ with the models of $XLIFT_REAL_MODELS}"
if [ "$1" = "${FAILS:-}" ]; then
  while [ -n "${SLOW:-}" ] && [ ! -s "$MARK" ]; do sleep 0.05; done
  exit 3
fi
if [ "$1" = .venv-docs/.installed ]; then echo $$ > "$MARK"; sleep "${SLOW:-0}"; fi
"""
APT_GET = """#!/usr/bin/env bash
echo "apt-get $*"
[ "$1" = update ] && exit 100
"""


@pytest.fixture
def ran(tmp_path):
    """Runs the script where a package index is out of reach; without chromium, unless it is asked for."""
    (tmp_path / "p" / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", tmp_path / "p" / ".ci" / "run")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "env", "mktemp", "rm", "cat", "sleep", "dirname", "nice"):
        (programs / name).symlink_to(str(shutil.which(name)))

    def add(name, text):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)

    add("make", MAKE)
    add("apt-get", APT_GET)

    def run(*words, chromium=False, **variables):
        if chromium:
            add("chromium", "#!/usr/bin/env bash\n")
        variables = {"PATH": str(programs), "MARK": str(tmp_path / "mark"), **variables}
        command = ["bash", str(tmp_path / "p" / ".ci" / "run"), *words]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=30)
        return done.returncode, done.stdout.splitlines(), done.stderr

    return run


def test_an_unknown_word_is_refused(ran):
    code, out, err = ran("al")
    assert (code, out) == (2, [])
    assert "error: .ci/run takes 'all' or nothing, and was given: al" in err


def test_everything_is_run_and_what_runs_beside_is_told_before_what_comes_after(ran):
    code, out, err = ran("all", chromium=True)
    assert (code, err) == (0, "")
    first = ["make .venv/.browser", "make check", "make test", "make test-cluster"]
    beside = ["make .venv-docs/.installed", "make docs", "make test-versions"]
    after = [
        "make test-browser",
        "make test-slow",
        "no ../shared: the tests on real data and models are not run",
        "make test-long",
    ]
    assert out == [*first, *beside, *after]


def test_real_models_are_made_beside_the_tests_and_their_folder_is_known_to_those_on_them(ran, tmp_path):
    script = tmp_path / "shared" / "real" / "make_models.sh"
    (tmp_path / "shared" / "hub").mkdir(parents=True)
    script.parent.mkdir()
    script.write_text("echo /where/they/are\n")
    code, out, err = ran(chromium=True)
    assert (code, err) == (0, "")
    assert out[-1] == "make test-real MARKED=(real or slow) and not long with the models of /where/they/are"
    assert out.index("make vllm") < out.index("make test-browser")
    assert not [line for line in out if line.startswith("make test-slow")]  # these are among them


def test_programs_that_cannot_be_installed_end_it_with_their_log(ran):
    code, out, err = ran()
    assert code == 1
    assert "apt-get update -qq" in out
    assert not {"make test-browser", "make test-slow"} & set(out)
    assert "error: what ran beside the tests failed; what it said is above" in err


@pytest.mark.parametrize("fails", ["docs", "test-versions"])
def test_a_failure_beside_the_tests_ends_it_with_its_log(ran, fails):
    code, out, err = ran(FAILS=fails, chromium=True)
    assert (code, out[-1]) == (1, f"make {fails}")
    assert "error: what ran beside the tests failed" in err


@pytest.mark.parametrize("fails", ["check", "test", "test-cluster"])
def test_what_runs_in_the_background_ends_with_what_fails(ran, tmp_path, fails):
    code, out, _ = ran(FAILS=fails, SLOW="300")
    assert code == 3
    assert out[-1] in (f"make {fails}", "make .venv-docs/.installed")
    mark = tmp_path / "mark"
    asked = ["ps", "-o", "stat=", "-p", mark.read_text().strip()]
    until = time.monotonic() + 60
    while (state := subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()) and state[0] != "Z":
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("marker", ["cluster", "browser"])
def test_a_target_that_collects_some_wings_finds_all_that_it_is_for(marker):
    """Reading all tests to run a few takes as long as some of them."""
    (words,) = re.findall(
        rf"(?m)^test-{marker}:.*\n\t.* -m pytest (.*) -m .*{marker}", (ROOT / "Makefile").read_text(encoding="utf-8")
    )
    marked = [path for path in (ROOT / "tests").rglob("test_*.py") if re.search(rf"mark[.]{marker}\b", path.read_text("utf-8"))]
    assert {f"tests/{path.parent.name}" for path in marked} == set(words.split())


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / ".ci").iterdir() if path.is_file()))
def test_scripts_can_be_read_by_the_bash_of_macos(name):
    text = (ROOT / ".ci" / name).read_text(encoding="utf-8")
    for newer in ("declare -A", "mapfile", "readarray", "wait -n", "&>>", "|&"):
        assert newer not in text
    assert subprocess.run(["bash", "-n", os.fspath(ROOT / ".ci" / name)], check=False).returncode == 0
