"""The way into a Ray cluster: the package, its address, its nodes, and the environment that workers get.

    with connected(options, log=root / "logs" / "ray.log") as ray:
        nodes_of(ray)

Ray's own messages (a node that died, say) go to a log file: stdout is for results.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.api.cache import cache_folder
from harness.api.errors import UserError
from harness.api.registry import ROOT
from harness.executors.cluster.needs import ClusterNode
from harness.executors.cluster.options import ClusterOptions
from harness.runtime.interruption import ENDING, held
from harness.runtime.needs import StageNeeds
from harness.runtime.threads import usable_cores

PASSED = ("HF_", "TRANSFORMERS_", "TOKENIZERS_", "XLIFT_", "HARNESS_", "CUBLAS_", "NCCL_", "GLOO_", "TORCH_", "PYTORCH_")
"Beginnings of the variables that workers get as the driver has them."
SECRET = ("_TOKEN", "_KEY", "_SECRET", "_PASSWORD")
"Ends of the names of those that they do not get: a cluster shows the variables of its jobs to whoever may look at it."
SECONDS_TO_ANSWER = 15
LOCAL_OBJECTS = 100 << 20
"Bytes for Ray's objects in a cluster that is started here: stages go through files."
START = (
    "start one (docs/clusters.md says how), name the one there is (--address HOST:PORT), or take this machine: --address local"
)


def import_ray() -> Any:
    """The package; UserError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError(
            "the package ray is not installed", where="--executor ray", found=str(error), todo="pip install -e '.[ray]'"
        ) from error
    return ray


@contextlib.contextmanager
def connected(options: ClusterOptions, *, log: Path) -> Iterator[Any]:
    """The package `ray`, connected; a connection that this process already has is used and kept."""
    ray = import_ray()
    ours = not ray.is_initialized()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8", buffering=1) as told, contextlib.redirect_stdout(told):
        if ours:
            _connect(ray, options.address)
        try:
            yield ray
        finally:
            if ours:
                ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    """Enter the cluster; raises UserError where there is none, before Ray itself would wait for it."""
    found = _resolved(address)
    arguments: dict[str, Any] = {"address": found}
    if found == "local":
        arguments |= {
            "num_cpus": usable_cores(),
            "object_store_memory": LOCAL_OBJECTS,
            "include_dashboard": False,
        }
    with held(), _signals_kept():  # Ray would take SIGTERM for itself
        try:
            ray.init(**arguments, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        except Exception as error:
            raise UserError(
                "the Ray cluster cannot be entered", where="--address", found=f"{found}: {str(error)[:300]}", todo=START
            ) from error


def _resolved(address: str) -> str:
    """HOST:PORT of what an address means, after something there has answered as Ray does; or `local`."""
    from ray._private.services import canonicalize_bootstrap_address

    if "://" in address:
        raise UserError(
            "Ray's client protocol is not supported: the driver runs on a machine of the cluster",
            where="--address",
            expected="auto, local or HOST:PORT",
            found=address,
        )
    if address == "local":
        return address
    try:
        found = canonicalize_bootstrap_address(address)
        host, _, port = str(found or "").rpartition(":")
        number = int(port)
    except (ValueError, ConnectionError, OSError) as error:
        what = "no Ray cluster is found here" if address == "auto" else "no address of a Ray cluster"
        raise UserError(what, where="--address", expected="auto, local or HOST:PORT", found=address, todo=START) from error
    if reason := _silence(host, number):
        raise UserError(f"no Ray cluster answers: {reason}", where="--address", found=f"{address} ({found})", todo=START)
    return f"{host}:{number}"


def _silence(host: str, port: int) -> str:
    """Why nothing that could be Ray answers there; empty where it does.  Asked in a process that can be ended: Ray waits."""
    try:
        socket.create_connection((host.strip("[]"), port), timeout=5).close()
    except (OSError, OverflowError) as error:
        return str(error)
    asks = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1])"
    try:
        answer = subprocess.run(
            [sys.executable, "-c", asks, f"{host}:{port}"], capture_output=True, text=True, timeout=SECONDS_TO_ANSWER
        )
    except subprocess.TimeoutExpired:
        return f"what listens there is no Ray (no answer in {SECONDS_TO_ANSWER} seconds)"
    return answer.stderr.strip()[-300:] if answer.returncode else ""


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Have the signals that end a run handled as they were before the block."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {each: signal.getsignal(each) for each in ENDING}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def nodes_of(ray: Any) -> list[ClusterNode]:
    """The nodes that are alive."""
    found = []
    for node in ray.nodes():
        there = node["Resources"]
        if node["Alive"]:
            cpus, gpus, memory = (float(there.get(name, 0)) for name in ("CPU", "GPU", "memory"))
            found.append(ClusterNode(node["NodeID"], node["NodeManagerAddress"], cpus, gpus, memory))
    return found


def worker_environment(needs: StageNeeds, *, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of a worker: threads as it has cores, for these round results; caches and switches as the driver has them."""
    passed = {name: value for name, value in environment.items() if name.startswith(PASSED) and not name.endswith(SECRET)}
    threads = str(needs.cpus_each)
    return {
        **passed,
        "XLIFT_CACHE_DIR": str(cache_folder().absolute()),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), environment.get("PYTHONPATH", "")))),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": environment.get("OMP_WAIT_POLICY", "PASSIVE"),
    }
