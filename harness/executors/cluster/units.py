"""What is handed to a gang at once: a training, a backbone, all predictions of a checkpoint; and the locks of its stages.

unit = Unit(stages=bundle, todo=todo, needs=needs)
claim = claim_unit(unit, graph=graph, end_workers=end)     # None where other processes hold all of it
claim.release()
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.executors.graph.schedule import Schedule
from harness.executors.graph.work import Order
from harness.runtime.locks import lock
from harness.runtime.needs import StageNeeds
from harness.runtime.stages import AnyStage, write_text


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Stages that are done together by the same processes."""

    stages: Sequence[AnyStage]
    "The one stage, or the whole bundle."
    todo: Sequence[AnyStage]
    needs: StageNeeds

    @property
    def name(self) -> str:
        """What is said of it."""
        more = f" and {len(self.todo) - 1} more of its checkpoint" if len(self.todo) > 1 else ""
        return self.todo[0].name + more

    def order(self) -> Order:
        """What its processes are told."""
        keys, todo = (tuple(stage.key for stage in stages) for stages in (self.stages, self.todo))
        return Order(self.todo[0].verb, keys, todo)


@dataclass(kw_only=True)
class UnitClaim:
    """A unit whose locks this driver holds."""

    unit: Unit
    root: Path
    locks: contextlib.ExitStack

    def write_workers(self, text: str) -> None:
        """Note who works on it, for a driver that finds the locks free because this one was killed."""
        for stage in self.unit.todo:
            write_text(workers_file(stage, self.root), text)

    def release(self) -> None:
        """Let other processes have it."""
        for stage in self.unit.todo:
            workers_file(stage, self.root).unlink(missing_ok=True)
        self.locks.close()


def claim_unit(unit: Unit, *, graph: Schedule, end_workers: Callable[[str], None]) -> UnitClaim | None:
    """Take the locks of what of a unit no other process holds and none has done meanwhile; None where nothing is left.

    `end_workers` is given what a driver that is no more wrote of its workers, which may still be writing.
    """
    free = set()
    with contextlib.ExitStack() as locks:
        for stage in sorted(unit.todo, key=lambda stage: stage.name):
            if locks.enter_context(lock(stage.folder(graph.root), wait=False)):
                with contextlib.suppress(OSError):
                    end_workers(workers_file(stage, graph.root).read_text(encoding="utf-8"))
                if not graph.is_served(stage):
                    free.add(stage.key)
        todo = [stage for stage in unit.todo if stage.key in free]
        if not todo:
            return None
        return UnitClaim(unit=replace(unit, todo=todo), root=graph.root, locks=locks.pop_all())


def workers_file(stage: AnyStage, root: Path) -> Path:
    """Where a driver notes who works on a stage."""
    return root / "logs" / f"{stage.verb}-{stage.key}.workers"
