"""The driver of a run on a cluster: decides what is done next, holds the locks, hears what became of it; workers compute.

    report = Driver(stages, root=root, machine=machine, cluster=ClusterOptions(address="auto")).run(verify=False, failed={})

Nothing is done twice: a finished stage is taken as it is, and one whose worker died goes on where its last state is.
"""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.api.errors import OutputFailed, UserError, raise_all
from harness.executors.cluster.connection import connected, nodes_of
from harness.executors.cluster.gangs import Died, Gang
from harness.executors.cluster.graph import ClusterGraph, lost_store
from harness.executors.cluster.hosts import HostFacts
from harness.executors.cluster.needs import amounts, default_needs
from harness.executors.cluster.options import ClusterOptions
from harness.executors.cluster.orphans import end_workers
from harness.executors.cluster.pool import NAMESPACE, Pool
from harness.executors.cluster.results import Results
from harness.executors.cluster.room import Room
from harness.executors.cluster.store import StageStore, StoreFailed
from harness.executors.cluster.units import Unit, UnitClaim, claim_unit
from harness.executors.cluster.worker import UnitOutcome, remove_copies
from harness.executors.graph.report import Report
from harness.runtime.interruption import held
from harness.runtime.machine import Machine
from harness.runtime.needs import StageNeeds
from harness.runtime.stages import AnyStage

LOOK_EVERY = 2.0
"Seconds after which it is looked at what other processes have done meanwhile."
WAIT = 0.2
SECONDS_TO_SAVE = 60.0
"What workers that are told to end have to save their states."


class Driver:
    """One run of some stages."""

    def __init__(
        self,
        stages: Sequence[AnyStage],
        *,
        root: Path,
        machine: Machine,
        cluster: ClusterOptions,
        more: Callable[[set[str]], Sequence[AnyStage]] | None = None,
    ) -> None:
        """`more` gives further stages as some are settled; it is given the keys of these."""
        self._root, self._machine, self._options, self._more = root.absolute(), machine, cluster, more
        store = StageStore(cluster.copy_to) if cluster.copy_to is not None else None
        if store is not None:
            store.check()
        self._graph = ClusterGraph(stages=[], root=self._root, machine=machine, store=store)
        self._results = Results(self._graph, cluster)
        self._first = list(stages)
        self._claims: dict[Gang, UnitClaim] = {}
        self._used: set[str] = set()
        self._token = uuid.uuid4().hex[:12]
        self._host = HostFacts(self._root, self._token, cluster.copy_to, machine)

    def run(self, *, verify: bool, failed: Mapping[str, str]) -> Report:
        """Run everything; the cluster is entered only if there is something for it to do."""
        graph = self._graph
        try:
            graph.add(self._first)
            graph.report.failed += [(stage, failed[stage.key]) for stage in graph.stages if stage.key in failed]
            graph.distrust(verify=verify)
            self._grow(verify=verify)
            while self._results.score(graph.ready(busy=(), needs_of=lambda _: StageNeeds()).scores):
                self._grow(verify=verify)  # what follows from what is done needs no cluster
            if graph.open():
                with connected(self._options, log=self._root / "logs" / "ray.log") as ray:
                    self._on(ray, verify=verify)
            graph.drop_weights()
        except StoreFailed as error:
            raise lost_store(error, self._root) from error
        return graph.report

    def _grow(self, *, verify: bool) -> list[AnyStage]:
        """Take the stages that follow from what is settled by now."""
        new = self._graph.add(self._more(self._graph.report.settled())) if self._more is not None else []
        if new:
            self._graph.distrust(verify=verify)
        return new

    def _on(self, ray: Any, *, verify: bool) -> None:
        """Run what is open on a cluster."""
        self._ray, graph = ray, self._graph
        nodes = nodes_of(ray)
        has_gpus = any(node.gpus for node in nodes) and self._machine.device_name != "cpu"
        self._needs_of = self._options.needs_of or default_needs(self._options, has_gpus=has_gpus)
        room = Room(graph, self._options, nodes=lambda: nodes_of(ray), needs_of=self._needs_of)
        room.check(graph.open())
        there = amounts(sum(node.cpus for node in nodes), sum(node.gpus for node in nodes))
        count = f"{len(nodes)} node{'' if len(nodes) == 1 else 's'}"
        self._results.say(f"cluster of {count}, {there}: {len(graph.open())} stages to do")
        pool = Pool(ray, token=self._token, host_of=lambda: self._host.host(graph.stages), share_node=graph.shares_node)
        try:
            with self._host.proof():
                self._loop(pool, room, verify=verify)
            self._remove_copies()
        except BaseException:
            self._interrupt(pool)
            raise
        finally:
            for claim in self._claims.values():
                claim.release()
            self._claims.clear()
            pool.end()

    def _loop(self, pool: Pool, room: Room, *, verify: bool) -> None:
        """Until nothing is open."""
        changed, looked = True, 0.0
        units: list[Unit] = []
        scores: list[AnyStage] = []
        while True:
            with held():  # Ray makes another exception of the one that a signal raises
                if changed or time.monotonic() - looked > LOOK_EVERY:
                    room.check(self._grow(verify=verify))
                    busy = {stage.key for claim in self._claims.values() for stage in claim.unit.todo}
                    units, scores = self._graph.ready(busy=busy, needs_of=self._needs_of)
                    looked = time.monotonic()
                if not self._graph.open():
                    return
                given = self._hand_out(pool, room, units)
                units = [unit for unit in units if unit not in given]
                room.give_up(units)
                changed = self._results.score(scores[:1]) or bool(given)
                scores = scores[1:]
                for gang in pool.working():
                    if (told := gang.result()) is not None:
                        self._end(pool, gang, told)
                        changed = True
                if not changed:
                    self._wait(pool)

    def _wait(self, pool: Pool) -> None:
        """A moment, or until a worker says something."""
        pending = [one for gang in pool.working() for one in gang.pending]
        if pending:
            self._ray.wait(pending, timeout=WAIT)
        else:
            time.sleep(WAIT)

    def _hand_out(self, pool: Pool, room: Room, units: Sequence[Unit]) -> list[Unit]:
        """Give units to gangs that are idle, and ask for gangs for the others; the units that were given away."""
        pool.want(Counter(unit.needs for unit in units))
        for gang in pool.idle():
            room.arrived(gang.needs)
            raise_all(
                [UserError("a node lacks what the run needs", where="--executor ray", found=one) for one in gang.mistakes()]
            )
        for lost in pool.take_lost():
            room.lost_at_start(lost.needs)
            self._results.say(f"lost while it was started: {lost.why_lost}")
        given = []
        for unit in units:
            gangs = pool.idle(unit.needs)
            if gangs and self._give(gangs[0], unit):
                pool.busy(gangs[0])
                given.append(unit)
        return given

    def _give(self, gang: Gang, unit: Unit) -> bool:
        """Lock a unit and give it to a gang; False where other processes hold it, or have done it meanwhile."""
        claim = claim_unit(unit, graph=self._graph, end_workers=lambda text: end_workers(self._ray, text))
        if claim is None:
            return False
        self._claims[gang] = claim
        claim.write_workers("\n".join(f"{NAMESPACE}/{name}" for name in gang.actor_names))
        gang.give(claim.unit.order(), claim.unit.stages, machine=self._machine)
        self._used |= {arrival.node for arrival in gang.arrivals}
        self._results.say(f"runs: {claim.unit.name} on {gang.where()}")
        return True

    def _end(self, pool: Pool, gang: Gang, told: UnitOutcome | Died) -> None:
        """Take what a gang has done, and let its stages go."""
        claim = self._claims[gang]
        if isinstance(told, UnitOutcome) and told.interrupted:  # by somebody else, say a node that is shut down
            told = Died("it was told to end")
        alone = gang.needs.num_processes == 1
        pool.rest(gang, fit=isinstance(told, UnitOutcome) and (alone or not told.failures))
        try:
            if isinstance(told, Died):
                self._results.died(claim.unit, told, gang.where())
            elif told.lost_output:
                raise OutputFailed(f"on {gang.where()}: {told.lost_output}")
            elif told.damaged is not None:
                self._results.damaged(claim.unit, *told.damaged)
            else:
                self._results.done(claim.unit, told, gang.where())
        finally:
            del self._claims[gang]
            claim.release()

    def _interrupt(self, pool: Pool) -> None:
        """Have workers save what they have, and wait for them; a second signal does not wait."""
        working = pool.working()
        for gang in working:
            gang.tell_to_end()
        if working:
            self._results.say(f"told to end: {len(working)} at work, which save what they have")
        end = time.monotonic() + SECONDS_TO_SAVE
        while working and time.monotonic() < end:
            working = [gang for gang in working if gang.result() is None]
            time.sleep(0.05)

    def _remove_copies(self) -> None:
        """Remove from the nodes what the store has."""
        if self._graph.store is None:
            return
        remove = self._ray.remote(remove_copies)
        alive = {node.id for node in nodes_of(self._ray)}
        affinity = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        removing = [
            remove.options(num_cpus=0, max_retries=0, scheduling_strategy=affinity(node, soft=False)).remote(
                self._host.own_folder, node
            )
            for node in sorted(self._used & alive)
        ]
        if removing:
            self._ray.wait(removing, num_returns=len(removing), timeout=SECONDS_TO_SAVE)
