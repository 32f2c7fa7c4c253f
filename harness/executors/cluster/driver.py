"""The driver of a run on a cluster: decides what is done next, holds the locks, hears what became of it; workers compute.

    report = Driver(stages, root=root, machine=machine, cluster=ClusterOptions(address="auto")).run(verify=False, failed={})

Nothing is done twice: a finished stage is taken as it is, and one whose worker died goes on where its last state is.
"""

import contextlib
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.api.errors import OutputFailed, UserError, raise_all
from harness.api.progress import tell
from harness.executors.cluster.connection import connected, nodes_of
from harness.executors.cluster.gangs import Died, Gang
from harness.executors.cluster.graph import ClusterGraph, lost_store
from harness.executors.cluster.hosts import HostFacts
from harness.executors.cluster.needs import cannot_fit, default_needs, needs_text, needs_together
from harness.executors.cluster.options import ClusterOptions
from harness.executors.cluster.orphans import end_workers
from harness.executors.cluster.pool import NAMESPACE, Pool
from harness.executors.cluster.store import StageStore, StoreFailed
from harness.executors.cluster.units import Claim, Unit, claim_unit
from harness.executors.cluster.worker import Outcome, Worker, remove_copies
from harness.executors.graph.report import Report, forget_failure, record_failure, recorded
from harness.executors.graph.verbs import done_line
from harness.executors.graph.work import Order, do_work, tidy_up
from harness.prediction.failures import CellFailure
from harness.runtime.locks import lock
from harness.runtime.machine import Machine
from harness.runtime.needs import StageNeeds
from harness.runtime.stages import AnyStage

LOOK_EVERY = 2.0
"Seconds after which it is looked at what other processes have done meanwhile."
WAIT = 0.2
SECONDS_TO_SAVE = 60.0
"What workers that are told to end have to save their states."
SECONDS_TO_SEE = 90.0
"Within which a file that a worker wrote is seen here: network file systems remember for a while that there was none."


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
        self._root, self._options, self._more = root.absolute(), cluster, more
        store = StageStore(cluster.copy_to) if cluster.copy_to is not None else None
        if store is not None:
            store.check()
        self._graph = ClusterGraph(stages=[], root=self._root, machine=machine, store=store)
        self._machine, self._first = machine, list(stages)
        self._claims: dict[Gang, Claim] = {}
        self._deaths: Counter[str] = Counter()
        self._homeless: dict[StageNeeds, float] = {}
        self._looked = 0.0
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
            # Without a cluster as far as that goes: a second command in a row finds nothing to do.
            while self._settle(verify=verify)[1]:
                self._score(graph.ready(busy=(), needs_of=_no_needs).scores)
            if graph.open():
                with connected(self._options, log=self._root / "logs" / "ray.log") as ray:
                    self._on(ray, verify=verify)
            graph.drop_weights()
        except StoreFailed as error:
            raise lost_store(error, self._root) from error
        return graph.report

    def _settle(self, *, verify: bool) -> tuple[bool, bool]:
        """Take what is done, and what follows from it; whether stages are open, and whether scores are among what is ready."""
        if self._more is not None:
            new = self._graph.add(self._more(self._graph.report.settled()))
            if new:
                self._graph.distrust(verify=verify)
        ready = self._graph.ready(busy=(), needs_of=_no_needs)
        return bool(self._graph.open()), bool(ready.scores)

    def _on(self, ray: Any, *, verify: bool) -> None:
        """Run what is open on a cluster."""
        self._ray = ray
        nodes = nodes_of(ray)
        has_gpus = any(node.gpus for node in nodes) and self._machine.device_name != "cpu"
        self._needs_of = self._options.needs_of or default_needs(self._options, has_gpus=has_gpus)
        self._check_fit(self._graph.open())
        pool = Pool(ray, token=self._token, host_of=lambda: self._host.host(self._graph.stages), share_node=self._share_node)
        self._say(
            f"cluster: {len(nodes)} nodes, {sum(node.cpus for node in nodes):g} CPUs, "
            f"{sum(node.gpus for node in nodes):g} GPUs: {len(self._graph.open())} stages to do"
        )
        try:
            with self._host.proof():
                self._loop(pool, verify=verify)
            self._remove_copies()
        except BaseException:
            self._interrupt(pool)
            raise
        finally:
            for claim in self._claims.values():
                claim.release()
            self._claims.clear()
            pool.end()

    @property
    def _share_node(self) -> bool:
        """Whether the processes of a gang must lie on one node: those of a store see no folder together."""
        return self._graph.store is not None

    def _loop(self, pool: Pool, *, verify: bool) -> None:
        """Until nothing is open."""
        changed = True
        units: list[Unit] = []
        scores: list[AnyStage] = []
        while True:
            if changed or time.monotonic() - self._looked > LOOK_EVERY:
                if self._more is not None and (new := self._graph.add(self._more(self._graph.report.settled()))):
                    self._graph.distrust(verify=verify)
                    self._check_fit(new)
                busy = {stage.key for claim in self._claims.values() for stage in claim.unit.todo}
                units, scores = self._graph.ready(busy=busy, needs_of=self._needs_of)
                self._looked = time.monotonic()
            if not self._graph.open():
                return
            given = self._hand_out(pool, units)
            self._check_homes(units)
            changed = self._score(scores[:1]) or bool(given)
            scores = scores[1:]
            units = [unit for unit in units if unit not in given]
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

    def _hand_out(self, pool: Pool, units: Sequence[Unit]) -> list[Unit]:
        """Give units to gangs that are idle, and ask for gangs for the others; what was given away, or is held elsewhere."""
        waiting = Counter(unit.needs for unit in units)
        pool.want(waiting)
        for gang in pool.arrived():
            raise_all(
                [UserError("a node lacks what the run needs", where="--executor ray", found=one) for one in gang.mistakes()]
            )
        for gang in pool.lost:
            self._deaths[str(gang.needs)] += 1
            self._say(f"lost while it was started: {gang.why_lost}")
            gang.end()
        pool.lost.clear()
        given = []
        for unit in units:
            gang = pool.idle(unit.needs)
            if gang is None:
                continue
            claim = claim_unit(unit, root=self._root, end_workers=lambda text: end_workers(self._ray, text))
            given.append(unit)
            if claim is None:
                continue
            own = Unit(stages=unit.stages, todo=[one for one in claim.unit.todo if not self._is_done(one)], needs=unit.needs)
            if not own.todo:
                claim.release()
                continue
            claim.write_workers("\n".join(f"{NAMESPACE}/{name}" for name in gang.actor_names))
            self._claims[gang] = claim
            gang.give(own.order(), own.stages, machine=self._machine)
            pool.busy(gang)
            self._used |= {arrival.node for arrival in gang.arrivals}
            self._say(f"runs: {own.name} on {gang.where(nodes_of(self._ray))}")
        return given

    def _is_done(self, stage: AnyStage) -> bool:
        """Whether another process has done a stage before this one locked it."""
        return stage.is_done(self._root) and self._graph.serves(stage)

    def _end(self, pool: Pool, gang: Gang, told: Outcome | Died) -> None:
        """Take what a gang has done."""
        claim = self._claims[gang]
        where = gang.where(nodes_of(self._ray))
        if isinstance(told, Outcome) and told.interrupted:
            told = Died("it was told to end")
        alone = gang.needs.num_processes == 1
        pool.rest(gang, fit=isinstance(told, Outcome) and (alone or not told.failures))
        try:
            if isinstance(told, Died):
                self._died(claim.unit, told, where)
            elif told.lost_output:
                raise OutputFailed(f"on {where}: {told.lost_output}")
            elif told.damaged is not None:
                self._damaged(claim.unit, *told.damaged)
            else:
                self._done(claim.unit, told, where)
        finally:
            del self._claims[gang]
            claim.release()

    def _done(self, unit: Unit, told: Outcome, where: str) -> None:
        """What a worker has finished counts, what failed is recorded."""
        seconds = told.seconds if len(unit.todo) == 1 else None
        for stage in unit.todo:
            failure = told.failures.get(stage.key)
            if failure is None and self._graph.store is not None and not self._graph.fetch(stage):
                self._damaged(unit, stage.name, "")
            elif failure is None and self._seen(stage):
                self._finish(stage, where, seconds, told.went_on_from)
            else:
                unseen = f"what {where} wrote is not seen here after {SECONDS_TO_SEE:.0f} seconds"
                record_failure(self._graph.report, stage, failure or CellFailure(unseen, unseen), root=self._root)

    def _finish(self, stage: AnyStage, where: str, seconds: float | None, state: str = "") -> None:
        """A stage is done."""
        tidy_up(Order(stage.verb, (), (stage.key,)), [stage], root=self._root, machine=self._machine)
        forget_failure(stage, root=self._root)
        self._graph.report.done.append(stage)
        more = f" on {where}" + (f", from {state}" if state else "")
        self._say(done_line(stage, folder=stage.folder(self._root), seconds=seconds) + more)

    def _seen(self, stage: AnyStage) -> bool:
        """Whether the word of a worker that a stage is done is seen here by now."""
        end = time.monotonic() + SECONDS_TO_SEE
        while not stage.is_done(self._root):
            if time.monotonic() > end:
                return False
            with contextlib.suppress(OSError):
                list(stage.folder(self._root).iterdir())  # opening a folder has NFS ask its server
            time.sleep(0.05)
        return True

    def _died(self, unit: Unit, died: Died, where: str) -> None:
        """What was done before counts, the rest is begun again, up to so many times."""
        for stage in unit.todo:
            if self._graph.store is None and self._is_done(stage):
                self._finish(stage, where, None)
                continue
            self._deaths[stage.key] += 1
            number = self._deaths[stage.key]
            if number > self._options.retries:
                message = f"its worker died {number} times, the last time on {where}: {died.why}"
                record_failure(self._graph.report, stage, CellFailure(message, message), root=self._root)
            else:
                self._say(f"lost: {stage.name} on {where}; begun again ({number} of {self._options.retries}): {died.why}")

    def _damaged(self, unit: Unit, name: str, why: str) -> None:
        """A copy is not as it was written: its stage is made again, and what wanted it waits."""
        self._deaths[name] += 1
        if self._deaths[name] > self._options.retries:
            message = f"the copy of {name} at {self._options.copy_to} is damaged again and again: {why}"
            for stage in unit.todo:
                record_failure(self._graph.report, stage, CellFailure(message, message), root=self._root)
        elif why:
            self._graph.take_back_named(name, why)

    def _score(self, scores: Sequence[AnyStage]) -> bool:
        """Score predictions here: no work for a node of its own; whether there was something to score."""
        graph = self._graph
        for stage in scores:
            with lock(stage.folder(self._root), wait=False) as held:
                if held and not stage.is_done(self._root):
                    begun = time.monotonic()
                    with recorded(graph.report, [stage], root=self._root):
                        do_work(Order("score", (stage.key,), (stage.key,)), [stage], root=self._root, machine=self._machine)
                        graph.push(stage)
                        self._finish(stage, "the driver", time.monotonic() - begun)
        return bool(scores)

    def _check_fit(self, stages: Sequence[AnyStage]) -> None:
        """Raise UserError for stages that the cluster could not hold if nothing else ran."""
        nodes = nodes_of(self._ray)
        by_needs: dict[StageNeeds, list[AnyStage]] = {}
        for stage in stages:
            if stage.verb != "score" and not stage.is_done(self._root):
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

    def _check_homes(self, units: Sequence[Unit]) -> None:
        """Give up stages that the nodes which are left cannot hold, after a while: a lost node may come back."""
        if not units:
            return
        nodes = nodes_of(self._ray)
        now = time.monotonic()
        for needs in {unit.needs for unit in units}:
            there = cannot_fit(needs, nodes, share_node=self._share_node)
            stubborn = self._deaths[str(needs)] > self._options.retries + 3
            if not there and not stubborn:
                self._homeless.pop(needs, None)
            elif stubborn or now - self._homeless.setdefault(needs, now) > self._options.patience:
                message = f"no place for {needs_text(needs)} any more: {there or 'its workers die while they are started'}"
                for unit in units:
                    for stage in unit.todo if unit.needs == needs else ():
                        if stage.key not in self._graph.report.settled():
                            record_failure(self._graph.report, stage, CellFailure(message, message), root=self._root)

    def _interrupt(self, pool: Pool) -> None:
        """Have workers save what they have, and wait for them; a second signal does not wait."""
        working = pool.working()
        for gang in working:
            gang.tell_to_end()
        if working:
            self._say(f"{len(working)} workers save their states")
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
        done = [
            remove.options(num_cpus=0, max_retries=0, scheduling_strategy=affinity(node, soft=False)).remote(
                self._host.own_folder, node
            )
            for node in sorted(self._used & alive)
        ]
        self._ray.wait(done, num_returns=len(done), timeout=SECONDS_TO_SAVE) if done else None

    def _say(self, text: str) -> None:
        if self._machine.progress:
            tell(text)


def _no_needs(stage: AnyStage) -> StageNeeds:
    return StageNeeds()
