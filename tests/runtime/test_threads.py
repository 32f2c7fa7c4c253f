"""How many threads compute, by the machine and never by its load, and how they wait."""

import os
import subprocess
import sys

import pytest

from harness.api.registry import ROOT
from harness.runtime.threads import TURN, cpu_quota, settle_threads, short_turns, usable_cores


def write(folder, path, text):
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text + "\n")


def processors(system, *siblings):
    for number, own in enumerate(siblings):
        write(system, f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list", own)


def test_turns_are_short_for_a_while():
    before = sys.getswitchinterval()
    with short_turns(False):
        assert sys.getswitchinterval() == before
    with short_turns():
        assert sys.getswitchinterval() == pytest.approx(TURN)
    assert before > TURN
    assert sys.getswitchinterval() == before


def test_turns_are_short_until_the_last_who_wants_it_has_ended():
    """In whatever order: several threads begin passes."""
    before = sys.getswitchinterval()
    one, other = short_turns(), short_turns()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(TURN)
    other.__exit__(None, None, None)
    assert sys.getswitchinterval() == before


def test_two_threads_of_a_core_are_one_core(tmp_path):
    processors(tmp_path, "0,2", "1,3", "0,2", "1,3")
    assert usable_cores(system=tmp_path, allowed=range(4)) == 2
    assert usable_cores(system=tmp_path, allowed=[0, 2]) == 1
    assert usable_cores(system=tmp_path / "says nothing", allowed=range(4)) == 4


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/cpu.max": "max 100000"}, None),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/cpu.max": "150000 100000"}, 1.5),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/cpu.max": "300000 100000"}, 3.0),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "50000 100000"}, 0.5),
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/a\n1:name=x:/",
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
            },
            2.0,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            None,
        ),
        ({"proc/self/cgroup": "garbage", "sys/fs/cgroup/cpu.max": "x y z"}, None),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "100000 0"}, None),
    ],
)
def test_the_quota_of_a_container_counts(tmp_path, files, quota):
    for path, text in files.items():
        write(tmp_path, path, text)
    assert cpu_quota(system=tmp_path) == quota
    processors(tmp_path, *"01234567")
    assert usable_cores(system=tmp_path, allowed=range(8)) == {None: 8, 0.5: 1, 1.5: 2}.get(quota, quota)


@pytest.mark.parametrize(
    ("given", "added"),
    [
        (
            {},
            {
                "OMP_WAIT_POLICY": "PASSIVE",
                "OMP_NUM_THREADS": str(usable_cores()),
                "RAYON_NUM_THREADS": str(usable_cores()),
            },
        ),
        ({"OMP_NUM_THREADS": "3"}, {"OMP_WAIT_POLICY": "PASSIVE", "RAYON_NUM_THREADS": "3"}),
        ({"MKL_NUM_THREADS": "3"}, {"OMP_WAIT_POLICY": "PASSIVE", "RAYON_NUM_THREADS": "3"}),
        ({"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "8"}, {}),
        ({"GOMP_SPINCOUNT": "100", "OMP_NUM_THREADS": "1"}, {"RAYON_NUM_THREADS": "1"}),
        ({"KMP_BLOCKTIME": "0", "OMP_NUM_THREADS": "1"}, {"RAYON_NUM_THREADS": "1"}),
        ({"LOCAL_WORLD_SIZE": "1000", "OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}),
    ],
)
def test_what_the_user_says_stands(given, added):
    environment = dict(given)
    settle_threads(environment)
    assert environment == {**given, **added}


def test_it_is_settled_before_torch_is_loaded():
    """The command line, and what torch makes of it."""
    probe = "import sys, run_eval; run_eval.main(['ls', 'types']); early = 'torch' in sys.modules; "
    probe += "import os, torch; print(early, os.environ['OMP_WAIT_POLICY'], torch.get_num_threads(), file=sys.stderr)"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_", "GOMP_", "KMP_"))}
    ran = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, env=clean, capture_output=True, text=True, check=True)
    assert ran.stderr.split() == ["False", "PASSIVE", str(usable_cores())]
