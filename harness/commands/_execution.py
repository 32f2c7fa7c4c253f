"""How a command runs its stages: the executor of --executor with its flags, and the stages of several models at once.

add_executor_arguments(parser)
execution = execution_of(args)                    # UserError for flags that do not go with the executor
report = execution.run(stages, root=root, machine=machine)
execution.reckon(plans, machine=machine, device=device)      # on a cluster of such devices: what each stage needs of it
execution.run_ahead(stages, root=root, machine=machine, more=more)     # where the executor runs several at once
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.errors import UserError, raise_all
from harness.api.registry import EXECUTORS
from harness.commands._arguments import say
from harness.planning.costs.devices import Device
from harness.planning.plan import Plan
from harness.runtime.machine import Machine
from harness.runtime.stages import AnyStage

if TYPE_CHECKING:
    from harness.executors.graph.report import Report

DEFAULT = "local"
CLUSTER = ("address", "retries", "cpus_per_stage", "processes_per_stage", "copy_to")
"Flags of executors that run on a cluster."


def add_executor_arguments(parser: argparse.ArgumentParser) -> None:
    """Who runs the stages, and on what."""
    parser.add_argument(
        "--executor",
        choices=EXECUTORS.names(),
        default=DEFAULT,
        help="who runs the stages: local, one after the other, or ray, on a cluster (see docs/clusters.md; default: local)",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="of the cluster; auto: the one this machine is part of (default); local: start one here",
    )
    parser.add_argument("--retries", type=int, metavar="N", help="how often a stage is begun again whose node died (default: 2)")
    parser.add_argument(
        "--cpus_per_stage", type=int, metavar="N", help="cores and threads of each process of a stage on a cluster (default: 1)"
    )
    parser.add_argument(
        "--processes_per_stage", type=int, metavar="N", help="processes that train or predict together on a cluster (default: 1)"
    )
    parser.add_argument(
        "--copy_to",
        metavar="URL",
        help="fsspec address (s3://...) through which nodes of a cluster share stages that do not see --output_path",
    )


class Execution:
    """The executor of one command."""

    def __init__(self, name: str, options: Any, *, verify: bool) -> None:
        """`options` of a cluster; None for an executor that has none."""
        self._name, self._options, self._verify = name, options, verify
        self._failed: dict[str, str] = {}

    @property
    def at_once(self) -> bool:
        """Whether stages of several models run at the same time."""
        return bool(EXECUTORS.constant(self._name, "AT_ONCE"))

    def reckon(self, plans: Sequence[Plan], *, machine: Machine, device: Device) -> None:
        """Give stages what their plans say that they need on such devices; where nothing runs on a cluster nothing happens."""
        if self._options is not None:
            from harness.executors.cluster.planned_needs import planned_needs

            self._options = replace(self._options, needs_of=planned_needs(plans, self._options, machine=machine, device=device))

    def run(self, stages: Sequence[AnyStage], *, root: Path, machine: Machine) -> "Report":
        """Run stages; what this command has seen fail on a cluster is not tried a second time."""
        return self._execute(stages, root=root, machine=machine)

    def run_ahead(
        self,
        stages: Sequence[AnyStage],
        *,
        root: Path,
        machine: Machine,
        more: Callable[[set[str]], Sequence[AnyStage]] | None = None,
    ) -> None:
        """Run everything that a command will ask for, if the executor can do several things at once; failures come later."""
        if not self.at_once:
            return
        report = self._execute(stages, root=root, machine=machine, more=more)
        for stage, fault in report.made_again:
            say(f"made again: {stage.name} ({fault})")

    def _execute(self, stages: Sequence[AnyStage], *, root: Path, machine: Machine, more: Any = None) -> "Report":
        executor = EXECUTORS.load(self._name)  # imports torch
        given = {"cluster": self._options, "failed": self._failed, "more": more} if self.at_once else {}
        report: Report = executor.execute(stages, root=root, machine=machine, verify=self._verify, **given)
        self._failed |= {stage.key: message for stage, message in report.failed}
        return report


def execution_of(args: argparse.Namespace) -> Execution:
    """The executor that the flags name; raises UserError for flags that it does not know, and where its package is not there."""
    given = {name: getattr(args, name) for name in CLUSTER if getattr(args, name) is not None}
    if not EXECUTORS.constant(args.executor, "AT_ONCE"):
        raise_all([UserError(f"is for a cluster: --executor {' or '.join(_clusters())}", where=f"--{name}") for name in given])
        return Execution(args.executor, None, verify=args.verify)
    least = {"retries": 0, "cpus_per_stage": 1, "processes_per_stage": 1}
    raise_all(
        [
            UserError(f"must be at least {least[name]}", where=f"--{name}", found=str(given[name]))
            for name in least
            if name in given and given[name] < least[name]
        ]
    )
    from harness.executors.cluster.options import ClusterOptions

    EXECUTORS.load(args.executor).check()
    return Execution(args.executor, ClusterOptions(**given), verify=args.verify)


def _clusters() -> list[str]:
    return [name for name in EXECUTORS.names() if EXECUTORS.constant(name, "AT_ONCE")]
