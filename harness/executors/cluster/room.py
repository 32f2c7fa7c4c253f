"""Whether the cluster has room for stages, now and after nodes were lost.

room = Room(graph, options, nodes=lambda: nodes_of(ray), needs_of=needs_of)
room.check(stages)               # UserError, before anything runs
room.give_up(units)              # records stages that no node can hold any more
"""

import time
from collections.abc import Callable, Sequence

from harness.api.errors import UserError, raise_all
from harness.executors.cluster.graph import ClusterGraph
from harness.executors.cluster.needs import ClusterNode, cannot_fit, needs_text
from harness.executors.cluster.options import ClusterOptions
from harness.executors.cluster.units import Unit
from harness.executors.graph.report import record_failure
from harness.prediction.failures import CellFailure
from harness.runtime.needs import StageNeeds
from harness.runtime.stages import AnyStage


class Room:
    """The room of a cluster for the stages of a run."""

    def __init__(
        self,
        graph: ClusterGraph,
        options: ClusterOptions,
        *,
        nodes: Callable[[], list[ClusterNode]],
        needs_of: Callable[[AnyStage], StageNeeds],
    ) -> None:
        """`nodes` gives those that are alive."""
        self._graph, self._options, self._nodes, self._needs_of = graph, options, nodes, needs_of
        self._homeless: dict[StageNeeds, float] = {}
        self._lost: set[StageNeeds] = set()

    def lost_at_start(self, needs: StageNeeds) -> None:
        """A gang of that size was lost before it could be given anything: for a while Ray takes a dead node for alive."""
        self._lost.add(needs)

    def arrived(self, needs: StageNeeds) -> None:
        """A gang of that size has found its place."""
        self._lost.discard(needs)

    @property
    def _share_node(self) -> bool:
        return self._graph.shares_node

    def check(self, stages: Sequence[AnyStage]) -> None:
        """Raise UserError for stages that the cluster could not hold if nothing else ran."""
        nodes = self._nodes()
        by_needs: dict[StageNeeds, list[AnyStage]] = {}
        for stage in stages:
            if stage.verb != "score" and not stage.is_done(self._graph.root):
                by_needs.setdefault(self._needs_of(stage), []).append(stage)
        errors = []
        for needs, several in by_needs.items():
            if there := cannot_fit(needs, nodes, share_node=self._share_node):
                more = f" and {len(several) - 1} more" if len(several) > 1 else ""
                errors.append(
                    UserError(
                        f"{several[0].name}{more} cannot be placed on this cluster",
                        where="--executor ray",
                        expected=needs_text(needs) + (" on one node" if self._share_node and needs.num_processes > 1 else ""),
                        found=there,
                        todo="add nodes, or ask for less: --cpus_per_stage, --processes_per_stage, --device cpu",
                    )
                )
        raise_all(errors)

    def give_up(self, units: Sequence[Unit]) -> None:
        """Give up stages that the nodes which are left cannot hold, after a while: a lost node may come back."""
        if not units:
            return
        nodes = self._nodes()
        now = time.monotonic()
        for needs in {unit.needs for unit in units}:
            there = cannot_fit(needs, nodes, share_node=self._share_node)
            if not there and needs not in self._lost:
                self._homeless.pop(needs, None)
            elif now - self._homeless.setdefault(needs, now) > self._options.patience:
                message = f"no place for {needs_text(needs)} any more: {there or 'workers die while they are started'}"
                for unit in units:
                    for stage in unit.todo if unit.needs == needs else ():
                        if stage.key not in self._graph.report.settled():
                            record_failure(self._graph.report, stage, CellFailure(message, message), root=self._graph.root)
