"""Processes that do a stage together: placed on nodes, made one group, given orders, told to end.

    gang = Gang(ray, needs, host=host, namespace="xlift", name="3f2a-0", share_node=False)   # does not wait
    gang.look()                     # placed, lost or still waiting
    gang.give(order, stages, machine=machine)
    gang.result()                   # an UnitOutcome, Died, or None

A process alone is a gang of one.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, NamedTuple

from harness.executors.cluster.connection import worker_environment
from harness.executors.cluster.needs import resources_of
from harness.executors.cluster.worker import Arrival, ClusterWorker, GangPlace, Host, UnitOutcome, end_process
from harness.executors.graph.work import Order
from harness.runtime.machine import Machine
from harness.runtime.needs import StageNeeds
from harness.runtime.stages import AnyStage

SECONDS_TO_LEAVE = 5.0
SECONDS_TO_AGREE = 45.0
"Within which Ray says that a process or a node has died."


class Died(NamedTuple):
    """A process of a gang is gone, or cannot be reached any more."""

    why: str


class GangState(StrEnum):
    """How far a gang is."""

    PLACING = "placing"
    READY = "ready"
    "It can be given an order."
    LOST = "lost"


class Gang:
    """Processes of a cluster that work together."""

    def __init__(self, ray: Any, needs: StageNeeds, *, host: Host, namespace: str, name: str, share_node: bool) -> None:
        """Ask for the places; `name` is the first actor's in the namespace."""
        from ray.util.placement_group import placement_group

        self._ray, self.needs, self.name = ray, needs, name
        self.state = GangState.PLACING
        self.why_lost = ""
        self.arrivals: list[Arrival] = []
        self._order: list[Any] = []
        self.pending: list[Any] = []
        self._entering: list[Any] = []
        resources = resources_of(needs)
        self._group: Any = None
        scheduling: Any = "DEFAULT"
        if needs.num_processes > 1:
            strategy = "STRICT_PACK" if share_node else "PACK"
            self._group = placement_group([resources] * needs.num_processes, strategy=strategy)
        remote = ray.remote(ClusterWorker)
        self._actors = []
        for number in range(needs.num_processes):
            if self._group is not None:
                scheduling = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(
                    self._group, placement_group_bundle_index=number
                )
            self._actors.append(
                remote.options(
                    name=f"{name}-{number}",
                    namespace=namespace,
                    num_cpus=needs.cpus_each,
                    num_gpus=needs.gpus_each,
                    memory=needs.memory_each or None,
                    max_restarts=0,
                    max_task_retries=0,
                    scheduling_strategy=scheduling,
                    runtime_env={"env_vars": worker_environment(needs)},
                ).remote()
            )
        self._arriving = [actor.arrive.remote(host) for actor in self._actors]

    @property
    def actor_names(self) -> list[str]:
        """Names of its actors in the namespace."""
        return [f"{self.name}-{number}" for number in range(self.needs.num_processes)]

    def look(self) -> GangState:
        """See whether it is placed by now."""
        if self.state == GangState.PLACING:
            waiting = self._entering or self._arriving
            try:
                ready, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
                if len(ready) == len(waiting) and self._entering:
                    self._ray.get(waiting)
                    self.state = GangState.READY
                elif len(ready) == len(waiting):
                    self.arrivals = self._ray.get(waiting)
                    self._enter()
            except self._ray.exceptions.RayError as error:
                self._lose(error)
        return self.state

    def _enter(self) -> None:
        """Say to each process which it is; nothing to say to one alone."""
        if self.needs.num_processes == 1:
            self.state = GangState.READY
            return
        places = places_of(self.arrivals, share_devices=self.needs.gpus_each == 1)
        self._entering = [actor.enter.remote(place) for actor, place in zip(self._actors, places, strict=True)]

    def give(self, order: Order, stages: Sequence[AnyStage], *, machine: Machine) -> None:
        """Have all processes do what an order says."""
        own = replace(machine, device_name=self._device(machine))
        self._order = [actor.do.remote(order, list(stages), own) for actor in self._actors]
        self.pending = list(self._order)

    def _device(self, machine: Machine) -> str | None:
        """The device of each process: what Ray gives it, whatever its machine has besides."""
        if not self.needs.gpus_each:
            return machine.device_name or "cpu"
        return "cuda" if self.needs.num_processes == 1 else "cuda:0" if self.needs.gpus_each != 1 else None

    def result(self) -> UnitOutcome | Died | None:
        """What became of the order: the first process's word, or that of one that died; None where there is none yet."""
        try:
            self._hear(seconds=0)
            if self._order[0] in self.pending:
                return None
            outcome: UnitOutcome = self._ray.get(self._order[0])
            if outcome.failures and self.pending:
                self._hear(seconds=SECONDS_TO_AGREE)  # one that died makes others fail, and may be heard of later
            return outcome
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from error  # a fault of this program
        except self._ray.exceptions.RayError as error:
            self._lose(error)
            return Died(self.why_lost)

    def _hear(self, *, seconds: float) -> None:
        """Hear from the processes that have not said yet what became of the order; raises what became of one that died."""
        if self.pending:
            told, self.pending = self._ray.wait(self.pending, num_returns=len(self.pending), timeout=seconds)
            self._ray.get(told)

    def _lose(self, error: Exception) -> None:
        self.state = GangState.LOST
        lines = str(error).splitlines()  # those of names and numbers are indented
        self.why_lost = " ".join(line for line in lines if not line.startswith(("\t", " ")))[:200]

    def tell_to_end(self) -> None:
        """Send its processes the signal that ends a run; they save what they have."""
        ending = self._ray.remote(end_process)
        for arrival in self.arrivals:
            affinity = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(arrival.node, soft=False)
            ending.options(num_cpus=0, max_retries=0, scheduling_strategy=affinity).remote(arrival.pid)

    def end(self) -> None:
        """Give the places back."""
        if self.state == GangState.READY and not self._order and self.needs.num_processes > 1:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.get([actor.leave.remote() for actor in self._actors], timeout=SECONDS_TO_LEAVE)
        for actor in self._actors:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.kill(actor, no_restart=True)
        if self._group is not None:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.util.remove_placement_group(self._group)

    def rest(self) -> None:
        """The order is done: another one may be given."""
        self._order = []

    def where(self) -> str:
        """Its nodes, in words."""
        return ", ".join(dict.fromkeys(f"{each.address} ({each.node[:6]})" for each in self.arrivals))

    def mistakes(self) -> list[str]:
        """What its processes do not find on their nodes."""
        return [f"{each.address} ({each.node[:6]}): {mistake}" for each in self.arrivals for mistake in each.mistakes]


def places_of(arrivals: Sequence[Arrival], *, share_devices: bool) -> list[GangPlace]:
    """The place of each process, ranks in their order, local ranks counted on each node, the first one's address for all.

    `share_devices`: the processes of a node see the devices of all of them, in the order of their local ranks.
    """
    by_node: dict[str, list[int]] = {}
    for number, arrival in enumerate(arrivals):
        by_node.setdefault(arrival.node, []).append(number)
    first = arrivals[0]
    places = []
    for number, arrival in enumerate(arrivals):
        here = by_node[arrival.node]
        gpus = tuple(gpu for other in here for gpu in arrivals[other].gpus) if share_devices else ()
        places.append(GangPlace(number, len(arrivals), here.index(number), len(here), first.address, first.port, gpus))
    return places
