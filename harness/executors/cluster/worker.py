"""A process of a cluster that does stages as it is told: an actor of Ray, which computes and decides nothing.

    actor = ray.remote(ClusterWorker).options(...).remote()
    arrival = ray.get(actor.arrive.remote(host))              # where it is, and what it does not find there
    outcome = ray.get(actor.do.remote(order, stages, machine))

torch is loaded by the first stage: what threads and devices it gets is settled in the environment before.
"""

import contextlib
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from harness.api.errors import OutputFailed
from harness.api.progress import tell
from harness.executors.graph.work import Order, do_work, tidy_up
from harness.prediction.failures import CellFailure, message_of
from harness.runtime.folders import remove_folder
from harness.runtime.interruption import Interrupted, ending_signals
from harness.runtime.machine import Machine
from harness.runtime.outputs import output_failure
from harness.runtime.processes import from_first, is_first, join, leave
from harness.runtime.stages import VERSIONS, AnyStage

LOGS = "logs"
"Folder below the run folder for what workers say."


class Host(NamedTuple):
    """What a worker must find."""

    root: str
    "The driver's folder of stages; with a store, the name of the node's own below its folder for temporary files."
    proof: str
    "Text of a file that the driver has written there (`proof_file`); empty with a store."
    copy_to: str | None
    folder: str
    "The driver's working folder: relative paths mean the same on a worker."
    paths: tuple[str, ...]
    "Folders of models and data."
    versions: Mapping[str, int]


class Arrival(NamedTuple):
    """Where a worker is."""

    node: str
    address: str
    pid: int
    gpus: tuple[str, ...]
    port: int
    "A port that is free there."
    mistakes: tuple[str, ...]
    "What it does not find, in words."


class GangPlace(NamedTuple):
    """A process among those that work together, as torchrun announces it."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    address: str
    port: int
    gpus: tuple[str, ...]
    "All those that the processes of this node have together; none where each keeps its own."


@dataclass(frozen=True, kw_only=True)
class UnitOutcome:
    """What became of an order."""

    failures: Mapping[str, CellFailure] = field(default_factory=dict)
    "By the stage's key."
    interrupted: bool = False
    lost_output: str = ""
    "Why nothing can be written there any more."
    damaged: tuple[str, str] | None = None
    "A finished stage in the store that is not as it was written, and why."
    seconds: float = 0.0
    went_on_from: str = ""
    "The state from which a training went on."


class ClusterWorker:
    """One process; with others it forms a group once `enter` has said which."""

    def __init__(self) -> None:
        self._root = Path()
        self._copies: Any = None

    def arrive(self, host: Host) -> Arrival:
        """Look around, without loading anything."""
        import ray

        context = ray.get_runtime_context()
        node = context.get_node_id()
        if os.path.isdir(host.folder):
            os.chdir(host.folder)
        self._root = Path(host.root)
        if host.copy_to is not None:
            from harness.executors.cluster.copies import NodeCopies
            from harness.executors.cluster.store import StageStore

            self._root = node_folder(host.root, node)
            self._copies = NodeCopies(StageStore(host.copy_to), root=self._root)
        gpus = tuple(str(number) for number in context.get_accelerator_ids().get("GPU", ()))
        return Arrival(node, ray.util.get_node_ip_address(), os.getpid(), gpus, _free_port(), tuple(_mistakes(host, self._root)))

    def enter(self, place: GangPlace) -> None:
        """Have the environment say which of several processes this is."""
        os.environ |= {
            "RANK": str(place.rank),
            "WORLD_SIZE": str(place.size),
            "LOCAL_RANK": str(place.local_rank),
            "LOCAL_WORLD_SIZE": str(place.local_size),
            "MASTER_ADDR": place.address,
            "MASTER_PORT": str(place.port),
        }
        if place.gpus:  # torchrun's processes see all devices of their machine and take the one of their local rank
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(place.gpus)

    def do(self, order: Order, stages: Sequence[AnyStage], machine: Machine) -> UnitOutcome:
        """Do what an order says and tell what became of it; the signals that end a run end this, with a state saved."""
        todo = [stage for stage in stages if stage.key in order.todo]
        machine = machine if is_first() else replace(machine, progress=False)
        began, state = time.monotonic(), ""
        with _logging(self._root / LOGS / f"{order.verb}-{order.todo[0]}.log"):
            try:
                with ending_signals():
                    join(machine.device)
                    if self._copies is not None:
                        from_first(lambda: self._copies.bring(todo))
                    state = _newest_state(todo, self._root)
                    self._begin(todo, state)
                    failures = self._done(order, stages, todo, machine)
                    return UnitOutcome(failures=failures, seconds=time.monotonic() - began, went_on_from=state)
            except Interrupted:
                tell(f"{todo[0].name}: told to end")
                return UnitOutcome(interrupted=True, went_on_from=state)
            except Exception as error:
                return replace(_outcome_of(error, todo, self._root), went_on_from=state)

    def _begin(self, todo: Sequence[AnyStage], state: str) -> None:
        if is_first():
            how = f"goes on from {state}" if state else "begins"
            more = f" (and {len(todo) - 1} more)" if len(todo) > 1 else ""
            tell(
                f"{time.strftime('%Y-%m-%d %H:%M:%S')} {socket.gethostname()}, process {os.getpid()}: {todo[0].name}{more} {how}"
            )

    def _done(
        self, order: Order, stages: Sequence[AnyStage], todo: Sequence[AnyStage], machine: Machine
    ) -> Mapping[str, CellFailure]:
        """The work itself, its results copied where they are to be copied."""
        pushing = self._copies.pushing(todo) if self._copies is not None and is_first() else contextlib.nullcontext()
        with pushing:
            failures = do_work(order, stages, root=self._root, machine=machine)
        if is_first():
            tidy_up(order, stages, root=self._root, machine=machine)
        return failures

    def leave(self) -> None:
        """Leave the group, with all others."""
        leave()


def end_process(pid: int) -> None:
    """Tell a process of this node to end, as a shell does."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def remove_copies(root: str, node: str) -> None:
    """Remove what a node has copied for itself: the store has it."""
    remove_folder(node_folder(root, node))


def node_folder(root: str, node: str) -> Path:
    """The folder of a node's own stages, below the one for temporary files."""
    import tempfile

    return Path(tempfile.gettempdir()) / f"{root}-{node[:12]}"


def _mistakes(host: Host, root: Path) -> list[str]:
    """What this machine lacks, in words."""
    found = []
    if host.proof and not _proves(root, host.proof):
        found.append(f"the run folder {root} is not the driver's: a folder that all nodes see, or --copy_to, is needed")
    found += [f"{path} is not there" for path in host.paths if not os.path.exists(path)]
    if dict(VERSIONS) != dict(host.versions):
        found.append(f"another version of this program: verbs {dict(VERSIONS)}, not {dict(host.versions)}")
    return found


def proof_file(root: Path, text: str) -> Path:
    """The file by which workers know that a run folder is the driver's."""
    return root / LOGS / f".{text}.0"


def _proves(root: Path, proof: str) -> bool:
    try:
        return proof_file(root, proof).read_text(encoding="utf-8") == proof
    except OSError:
        return False


def _outcome_of(error: Exception, todo: Sequence[AnyStage], root: Path) -> UnitOutcome:
    """What is told of an error: whose it is, and in which words."""
    from harness.executors.cluster.store import DamagedCopy

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, DamagedCopy):
            return UnitOutcome(damaged=(seen.name, seen.why))
        seen = seen.__cause__
    failed = error if isinstance(error, OutputFailed) else output_failure(error, folder=root)
    if failed:
        return UnitOutcome(lost_output=str(failed))
    failure = CellFailure(message_of(error), "".join(traceback.format_exception(error)))
    tell(failure.traceback)
    return UnitOutcome(failures={stage.key: failure for stage in todo if not stage.is_done(root)})


def _newest_state(todo: Sequence[AnyStage], root: Path) -> str:
    from harness.executors.cluster.store import newest_state

    return (newest_state(todo[0].folder(root)) if todo[0].verb == "train" else None) or ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _logging(path: Path) -> Iterator[None]:
    """Have what is said on stderr in a file of the run folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = sys.stderr
    with path.open("a", encoding="utf-8", buffering=1) as log:
        sys.stderr = log
        try:
            yield
        finally:
            sys.stderr = before
