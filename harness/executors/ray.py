"""Runs stages on the machines of a Ray cluster: what is ready runs at the same time, as far as there is room.

    report = execute(plan.stages, root=Path("runs"), machine=machine, cluster=ClusterOptions(address="auto"))

This process, the driver, alone decides what is done and holds the locks; workers compute.  docs/clusters.md says how.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.api.errors import UserError
from harness.executors.cluster.connection import import_ray
from harness.executors.cluster.driver import Driver
from harness.executors.cluster.options import ClusterOptions
from harness.executors.graph.report import Report
from harness.runtime.machine import Machine
from harness.runtime.stages import AnyStage

AT_ONCE = True


def check() -> None:
    """Raise UserError where it cannot work at all: before anything is planned."""
    import_ray()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            "torchrun and a cluster do not go together: the driver is one process",
            where="--executor ray",
            todo="start it without torchrun; --processes_per_stage says how many processes train together",
        )


def execute(
    stages: Sequence[AnyStage],
    *,
    root: Path,
    machine: Machine,
    verify: bool = False,
    cluster: ClusterOptions,
    failed: Mapping[str, str] | None = None,
    more: Callable[[set[str]], Sequence[AnyStage]] | None = None,
) -> Report:
    """Run every stage that is not done; stages must come inputs first.

    `failed` holds keys and messages of stages that this command has seen fail: they are not tried again.  `more` is asked, with
    the keys of the stages that are settled, whenever one of them is: what it returns runs as well.
    """
    driver = Driver(stages, root=root, machine=machine, cluster=cluster, more=more)
    return driver.run(verify=verify, failed=failed or {})
