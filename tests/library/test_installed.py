"""An installation elsewhere: one package in site-packages, a command for an empty folder, processes that find the code."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig

import pytest

from harness.api.registry import ROOT

pytestmark = pytest.mark.slow
SCRIPT = """
import multiprocessing
from pathlib import Path

import xlift

def value(queue):
    from harness.data.languages import language
    queue.put(language("sw").name)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=value, args=(queue,))
    process.start()
    print(queue.get(timeout=60), xlift.evaluate("oracle", "mini/nli", languages="en", limit=20).is_complete)
    process.join()
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A new environment elsewhere, with xlift installed and its packages found where they are; its folder."""
    folder = tmp_path_factory.mktemp("installed")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            target = folder / "clone" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "packages.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    command = [folder / "venv" / "bin" / "python", "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--ignore-installed", "--no-index", folder / "clone"], check=True, env=environment(folder))
    shutil.rmtree(folder / "clone")
    (folder / "empty").mkdir()
    # A project of somebody else's: its commit is not ours.
    git = ["git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", "init", "-q", folder], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "Theirs"], check=True)
    return folder


def environment(folder):
    """No variable leads back to this checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HARNESS_", "XLIFT_"))}
    return {**kept, "HF_HUB_OFFLINE": "1", "XLIFT_CACHE_DIR": str(folder / "cache"), "OMP_NUM_THREADS": "1"}


def called(folder, *words):
    """(exit code, stdout, stderr) of a program of the environment, in the empty folder."""
    program, *rest = words
    command = [folder / "venv" / "bin" / program, *rest]
    ran = subprocess.run(command, cwd=folder / "empty", capture_output=True, text=True, env=environment(folder))
    return ran.returncode, ran.stdout, ran.stderr


def files(root, room):
    """All files of a room."""
    found = {path.relative_to(root).as_posix() for path in (root / room).rglob("*") if path.is_file()}
    assert len(found) > 50
    return {name for name in found if "__pycache__" not in name}


def test_site_packages_hold_one_package_of_ours(installed):
    (site,) = (installed / "venv" / "lib").glob("python*/site-packages")
    assert {path.name for path in site.iterdir()} == {"packages.pth", "xlift", "xlift-0.1.0.dist-info"}
    source = site / "xlift" / "source"
    assert {path.name for path in source.iterdir()} - {"__pycache__"} == {"harness", "models", "tasks", "run_eval.py"}
    assert files(source, "harness") == {name for name in files(ROOT, "harness") if "library/xlift" not in name}
    assert files(source, "models") == files(ROOT, "models")
    assert files(source, "tasks") == files(ROOT, "tasks")
    assert (site / "xlift-0.1.0.dist-info" / "licenses" / "LICENSE").is_file()


def test_the_command_works_in_an_empty_folder(installed):
    code, out, err = called(installed, "xlift", "ls", "tasks")
    assert code == 0, err
    assert "\nxnli " in out
    code, out, err = called(installed, "xlift", "--model", "oracle", "--tasks", "mini", "--languages", "en,de", "--limit", "20")
    assert code == 0, err
    assert "| mini/nli       |  40 | ‡*100.0 [100.0, 100.0] |" in out
    board = json.loads((installed / "empty" / "runs" / "leaderboard.json").read_text(encoding="utf-8"))
    assert {each["commit"] for each in board["environments"].values()} == {"unknown"}, board["environments"]
    assert "`xlift leaderboard runs`" in out
    assert "run_eval.py" not in out + err
    code, out, err = called(installed, "xlift", "plan", "--model", "oracle", "--tasks", "mini/nli", "--limitt", "3")
    assert (code, out) == (2, "")
    assert err.startswith("xlift plan: error: unknown flag --limitt\n")
    assert err.endswith("  all flags: xlift plan --help\n")
    code, out, err = called(installed, "xlift", "leaderboard", "runs", "--html", "page.html")
    assert code == 0, err
    assert "<html" in (installed / "empty" / "page.html").read_text(encoding="utf-8")[:200]
    code, out, err = called(installed, "xlift", "doctor")
    assert (code, "Runs are possible." in out) == (0, True), out + err


def test_processes_that_it_starts_find_the_code(installed):
    script = installed / "script.py"
    script.write_text(SCRIPT)
    code, out, err = called(installed, "python", script)
    assert (code, out) == (0, "Swahili True\n"), err
    words = [
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "-m",
        "xlift",
        "--model",
        "oracle",
        "--tasks",
        "mini/retrieval",
    ]
    code, out, err = called(installed, "python", *words, "--languages", "de,sw", "--device", "cpu", "--output_path", "two")
    assert code == 0, err
    assert out.count("# Leaderboard, in short") == 1


@pytest.mark.long
def test_workers_of_a_cluster_find_the_code(installed):
    words = ["--model", "oracle", "--tasks", "mini/retrieval", "--languages", "de", "--output_path", "ray"]
    code, out, err = called(installed, "xlift", *words, "--executor", "ray", "--address", "local")
    assert (code, "100.0" in out) == (0, True), err


def test_a_calls_result_does_not_hang_on_the_folder_one_stands_in(installed):
    ask = "import xlift, harness, models; print(harness.__file__, models.__file__)"
    (installed / "empty" / "models").mkdir(exist_ok=True)
    (installed / "empty" / "models" / "__init__.py").write_text("")
    code, out, err = called(installed, "python", "-c", ask)
    assert code == 0, err
    assert all(f"xlift{os.sep}source" in path for path in out.split())
