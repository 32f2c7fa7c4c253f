"""What stages need of a cluster, and whether it has that at all.

needs_of = default_needs(options, has_gpus=True)
mistake = cannot_fit(needs, nodes, share_node=False)      # '' or what is there instead
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from harness.executors.cluster.options import ClusterOptions
from harness.runtime.needs import StageNeeds
from harness.runtime.stages import AnyStage

GIB = 1 << 30


class ClusterNode(NamedTuple):
    """A machine of the cluster that is alive."""

    id: str
    address: str
    cpus: float
    gpus: float
    memory: float
    "Bytes that Ray gives away."

    def __str__(self) -> str:
        return f"{self.address} ({self.id[:6]})"


def default_needs(options: ClusterOptions, *, has_gpus: bool) -> Callable[[AnyStage], StageNeeds]:
    """Trainings and predictions take a GPU a process where there are some; a new backbone is made by one process on CPUs."""

    def needs_of(stage: AnyStage) -> StageNeeds:
        if stage.verb not in ("train", "predict"):
            return StageNeeds(cpus_each=options.cpus_per_stage)
        return StageNeeds(
            num_processes=options.processes_per_stage, gpus_each=1 if has_gpus else 0, cpus_each=options.cpus_per_stage
        )

    return needs_of


def needs_together(several: Iterable[StageNeeds]) -> StageNeeds:
    """What is enough for each of several stages that are done one after the other by the same processes."""
    found = list(several)
    return StageNeeds(
        num_processes=max(one.num_processes for one in found),
        gpus_each=max(one.gpus_each for one in found),
        cpus_each=max(one.cpus_each for one in found),
        memory_each=max(one.memory_each for one in found),
    )


def resources_of(needs: StageNeeds) -> dict[str, float]:
    """What each process asks of Ray."""
    found = {"CPU": float(needs.cpus_each), "GPU": float(needs.gpus_each), "memory": float(needs.memory_each)}
    return {name: value for name, value in found.items() if value}


def cannot_fit(needs: StageNeeds, nodes: Sequence[ClusterNode], *, share_node: bool) -> str:
    """What the cluster has, if its nodes cannot hold all processes even when nothing else runs; empty where they can."""
    places = [_num_processes(needs, node) for node in nodes]
    if (max(places, default=0) if share_node else sum(places)) >= needs.num_processes:
        return ""
    return "; ".join(f"{node}: {amounts(node.cpus, node.gpus, node.memory)}" for node in nodes) or "no nodes"


def needs_text(needs: StageNeeds) -> str:
    """What a stage needs, in words."""
    each = amounts(needs.cpus_each, needs.gpus_each, needs.memory_each)
    return each if needs.num_processes == 1 else f"{needs.num_processes} processes, each with {each}"


def _num_processes(needs: StageNeeds, node: ClusterNode) -> int:
    pairs = ((needs.cpus_each, node.cpus), (needs.gpus_each, node.gpus), (needs.memory_each, node.memory))
    # A sum of parts of a GPU may miss the whole by a rounding.
    return min((int(there / asked + 1e-6) for asked, there in pairs if asked), default=needs.num_processes)


def amounts(cpus: float, gpus: float, memory: float = 0.0) -> str:
    """Resources in words."""
    parts = [f"{cpus:g} CPU{'' if cpus == 1 else 's'}", f"{gpus:g} GPU{'' if gpus == 1 else 's'}"]
    return ", ".join([*parts, f"{memory / GIB:.1f} GiB"] if memory else parts)
