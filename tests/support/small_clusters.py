"""A Ray cluster of several nodes on this machine, and runs that use it from a process of their own.

with small_cluster(nodes=2) as cluster:
    run = Driver.start([*words, "--executor", "ray", "--address", cluster.address], log=tmp_path / "driver.log")
    cluster.kill_node(run.node_of("train/..."))
    assert run.ends() == 0
"""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from harness.api.registry import ROOT

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_AUTH_MODE"] = "disabled"  # a token would be written to the home folder
os.environ["RAY_memory_monitor_refresh_ms"] = "0"  # noqa: SIM112 - what other processes of this machine take is no fault of a worker
OBJECTS = 100_000_000
"Bytes of the object store of a node: stages go through files."


@dataclass
class SmallCluster:
    cluster: Any

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add_node(self, cpus: int = 1) -> None:
        self.cluster.add_node(num_cpus=cpus, object_store_memory=OBJECTS)

    def kill_node(self, prefix: str) -> None:
        """Kill the processes of the node whose id begins so, all in one instant as when a machine loses its power.

        Ray's own way kills the node's server, whose workers notice that within about a second: enough to end a short stage.
        """
        (node,) = [node for node in self.cluster.worker_nodes if node.node_id.startswith(prefix)]
        servers = [psutil.Process(process.pid) for _, process in node.live_processes()]
        processes = [one for server in servers for one in (server, *server.children(recursive=True))]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.cluster.remove_node(node, allow_graceful=False)


@contextlib.contextmanager
def small_cluster(nodes: int = 2, cpus: int = 1) -> Iterator[SmallCluster]:
    """A head that computes nothing, and some nodes."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": OBJECTS, "include_dashboard": False}
    made = SmallCluster(Cluster(initialize_head=True, head_node_args=head))
    try:
        for _ in range(nodes):
            made.add_node(cpus)
        yield made
    finally:
        made.cluster.shutdown()


@dataclass
class DriverProcess:
    """`run_eval.py` in a process of its own."""

    process: subprocess.Popen
    log: Path

    @staticmethod
    def start(words: Sequence[str], *, log: Path, **environment: str) -> "DriverProcess":
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as told, log.with_suffix(".out").open("wb") as results:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "run_eval.py"), *words],
                stdout=results,
                stderr=told,
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
                start_new_session=True,
            )
        return DriverProcess(process, log)

    @property
    def told(self) -> str:
        return self.log.read_text()

    def node_of(self, stage: str) -> str:
        """The beginning of the id of the node that a stage runs on, as the driver told it."""
        return re.findall(rf"^runs: {re.escape(stage)}.* on \S+ \((\w+)\)$", self.told, re.MULTILINE)[-1]

    def wait_until(self, seen: Callable[[], Any], *, seconds: float = 240) -> Any:
        """What `seen` gives once it is something, while the driver runs."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := seen():
                return found
            assert self.process.poll() is None, self.told
            time.sleep(0.02)
        raise AssertionError(self.told)

    def ends(self, *, seconds: float = 300) -> int:
        return self.process.wait(timeout=seconds)


def half_trained(root: Path, *, least: int = 1) -> Path | None:
    """The folder of a training that has saved states and is not done."""
    for folder in sorted(root.glob("train/*")):
        if len(list(folder.glob("state-*"))) >= least and not (folder / "done.json").exists():
            return folder
    return None


def stage_differences(one: Path, other: Path, differences: Callable[[Path, Path], list[str]]) -> list[str]:
    """What differs in two run folders but for what is said of a run: logs of workers and of Ray."""
    return [name for name in differences(one, other) if not name.startswith("logs/")]
