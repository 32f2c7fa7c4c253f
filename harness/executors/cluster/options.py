"""How a cluster is used: what the flags of `--executor ray` say.

ClusterOptions(address="10.0.0.1:6379", retries=2, copy_to="s3://bucket/runs")
"""

from collections.abc import Callable
from dataclasses import dataclass

from harness.runtime.needs import StageNeeds
from harness.runtime.stages import AnyStage


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """What of a cluster a command uses; none of it is part of a stage's key."""

    address: str = "auto"
    "HOST:PORT of the cluster; auto = the one that this machine is part of; local = one that is started here and ends with it."
    retries: int = 2
    "How often a stage is begun again whose worker or node died."
    cpus_per_stage: int = 1
    "Cores and threads of each process of a stage."
    processes_per_stage: int = 1
    "Processes that train or predict together."
    copy_to: str | None = None
    "fsspec address to which stages are copied, where workers do not see the driver's folder; None = they see it."
    needs_of: Callable[[AnyStage], StageNeeds] | None = None
    "What a stage needs; None = as the two numbers above say, with a GPU a process where the cluster has some."
    patience: float = 60.0
    "Seconds that a stage waits for nodes to come back when those that are left cannot hold it."
