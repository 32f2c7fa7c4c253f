"""The graph of a run on a cluster: the schedule that all executors share, with a store beside the folder, and what is ready.

graph = ClusterGraph(stages=stages, root=root, machine=machine, store=store)
graph.bring_finished()
found = graph.ready(busy=keys, needs_of=needs_of)         # units for gangs, scores for the driver
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness.api.errors import OutputFailed
from harness.api.progress import tell
from harness.executors.cluster.needs import needs_together
from harness.executors.cluster.store import DamagedCopy, StageStore, StoreFailed
from harness.executors.cluster.units import Unit
from harness.executors.graph.schedule import Readiness, Schedule
from harness.runtime.locks import lock
from harness.runtime.needs import StageNeeds
from harness.runtime.stages import AnyStage


class Ready(NamedTuple):
    """What can be done now."""

    units: list[Unit]
    scores: list[AnyStage]


@dataclass(kw_only=True)
class ClusterGraph(Schedule):
    """A schedule that may grow, and whose stages a store may hold as well."""

    store: StageStore | None = None

    @property
    def shares_node(self) -> bool:
        """Whether processes that work together must lie on one node: those that use a store see no folder together."""
        return self.store is not None

    def add(self, stages: Iterable[AnyStage]) -> list[AnyStage]:
        """Take more stages, inputs first; those that are new."""
        known = {stage.key for stage in self.stages}
        new = [stage for stage in {stage.key: stage for stage in stages}.values() if stage.key not in known]
        if new:
            self.stages = [*self.stages, *new]
            self.bring_finished(new)
        return new

    def open(self) -> list[AnyStage]:
        """Stages that are not settled."""
        settled = self.report.settled()
        return [stage for stage in self.stages if stage.key not in settled]

    def ready(self, *, busy: Collection[str], needs_of: Callable[[AnyStage], StageNeeds]) -> Ready:
        """Settle what needs no work; what can be done now and nobody here does."""
        bundles: dict[str, list[AnyStage]] = {}
        scores = []
        for stage in self.open():
            if stage.key in busy or self.look_at(stage) != Readiness.READY:
                continue
            if stage.verb == "score":
                scores.append(stage)
            else:
                bundles.setdefault(self.bundle_of(stage)[0].key, []).append(stage)
        units = [
            Unit(stages=tuple(self.bundle_of(todo[0])), todo=todo, needs=needs_together(needs_of(stage) for stage in todo))
            for todo in bundles.values()
        ]
        return Ready(units, scores)

    def has_weights(self, stage: AnyStage) -> bool:
        """Whether what a finished training made can still be loaded, here or by workers from the store."""
        return super().has_weights(stage) or (self.store is not None and self.store.has_weights(stage.name))

    def take_back(self, stage: AnyStage, why: str) -> None:
        """Take the word `done` from a stage here and in the store; only under its lock."""
        super().take_back(stage, why)
        if self.store is not None:
            self.store.forget(stage.name)

    def take_back_named(self, name: str, why: str) -> bool:
        """The same of a stage that a worker found damaged; whether this process could lock it."""
        for stage in self.stages:
            if stage.name == name:
                with lock(stage.folder(self.root), wait=False) as held:
                    if held:
                        self.take_back(stage, why)
                    return held
        return False

    def drop(self, stage: AnyStage) -> None:
        """Remove the weights of a finished training, here and in the store."""
        super().drop(stage)
        if self.store is not None:
            self.store.drop_weights(stage.name)

    def bring_finished(self, stages: Sequence[AnyStage]) -> None:
        """Fetch what is done in the store and not here, without weights; copy there what is done here and not there."""
        if self.store is None:
            return
        there = self.store.finished()
        for stage in stages:
            here = stage.is_done(self.root)
            if here and stage.name not in there:
                self.store.push(stage.name, root=self.root)
            elif not here and stage.name in there:
                with lock(stage.folder(self.root), wait=False) as held:
                    if held and not stage.is_done(self.root):
                        self.fetch(stage)

    def fetch(self, stage: AnyStage) -> bool:
        """Fetch a finished stage without weights, under its lock; whether it was as it was written (else it is forgotten)."""
        assert self.store is not None
        try:
            self.store.fetch(stage.name, root=self.root, weights=False)
        except DamagedCopy as damaged:
            self.take_back(stage, damaged.why)
            return False
        return True

    def push(self, stage: AnyStage) -> None:
        """Copy a finished stage of the driver to the store."""
        if self.store is not None:
            self.store.push(stage.name, root=self.root)


def lost_store(error: StoreFailed, root: Path) -> OutputFailed:
    """What ends a run whose results can be copied no more."""
    tell(str(error))
    return OutputFailed("stages cannot be copied", where=str(root), found=str(error), todo="then give the same command again")
