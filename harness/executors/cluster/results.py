"""What becomes of stages that were given away: finished, failed, lost with their worker, or damaged in the store.

results = Results(graph, options)
results.done(unit, outcome, where)          # what a worker has finished counts, what failed is recorded
results.died(unit, died, where)             # what is lost is begun again, up to `retries` times
results.score(stages)                       # the driver's own work
"""

import contextlib
import time
from collections import Counter
from collections.abc import Sequence

from harness.api.progress import tell
from harness.executors.cluster.gangs import Died
from harness.executors.cluster.graph import ClusterGraph
from harness.executors.cluster.options import ClusterOptions
from harness.executors.cluster.units import Unit
from harness.executors.cluster.worker import UnitOutcome
from harness.executors.graph.report import forget_failure, record_failure, recorded
from harness.executors.graph.verbs import done_line
from harness.executors.graph.work import Order, do_work, tidy_up
from harness.prediction.failures import CellFailure
from harness.runtime.locks import lock
from harness.runtime.stages import AnyStage

SECONDS_TO_SEE = 90.0
"Within which a file that a worker wrote is seen here: network file systems remember for a while that there was none."


class Results:
    """Takes what came of units, under their locks."""

    def __init__(self, graph: ClusterGraph, options: ClusterOptions) -> None:
        """`options` say how often what was lost is begun again."""
        self._graph, self._root, self._machine, self._options = graph, graph.root, graph.machine, options
        self._deaths: Counter[str] = Counter()

    def done(self, unit: Unit, told: UnitOutcome, where: str) -> None:
        """What a worker has finished counts, what failed is recorded."""
        seconds = told.seconds if len(unit.todo) == 1 else None
        for stage in unit.todo:
            failure = told.failures.get(stage.key)
            if failure is None and self._graph.store is not None and not self._graph.fetch(stage):
                self.damaged(unit, stage.name, "")
            elif failure is None and self._seen(stage):
                self._finish(stage, where, seconds, told.went_on_from)
            else:
                unseen = f"what {where} wrote is not seen here after {SECONDS_TO_SEE:.0f} seconds"
                record_failure(self._graph.report, stage, failure or CellFailure(unseen, unseen), root=self._root)

    def died(self, unit: Unit, died: Died, where: str) -> None:
        """What was done before counts, the rest is begun again, up to so many times."""
        store = self._graph.store
        there = store.finished() if store is not None else set()
        for stage in unit.todo:
            if stage.name in there:
                self._graph.fetch(stage)
            if (store is None or stage.name in there) and self._graph.is_served(stage):
                self._finish(stage, where, None)
                continue
            self._deaths[stage.key] += 1
            number = self._deaths[stage.key]
            if number > self._options.retries:
                message = f"its worker died {number} times, the last time on {where}: {died.why}"
                record_failure(self._graph.report, stage, CellFailure(message, message), root=self._root)
            else:
                self.say(f"lost: {stage.name} on {where}; begun again ({number} of {self._options.retries}): {died.why}")

    def damaged(self, unit: Unit, name: str, why: str) -> None:
        """A copy is not as it was written: its stage is made again, and what wanted it waits."""
        self._deaths[name] += 1
        if self._deaths[name] > self._options.retries:
            message = f"the copy of {name} at {self._options.copy_to} is damaged again and again: {why}"
            for stage in unit.todo:
                if stage.key not in self._graph.report.settled():
                    record_failure(self._graph.report, stage, CellFailure(message, message), root=self._root)
        elif why:
            self._graph.take_back_named(name, why)

    def score(self, scores: Sequence[AnyStage]) -> bool:
        """Score predictions here: no work for a node of its own; whether anything was settled."""
        graph = self._graph
        before = len(graph.report.settled())
        for stage in scores:
            with lock(stage.folder(self._root), wait=False) as held:
                if held and not stage.is_done(self._root):
                    begun = time.monotonic()
                    with recorded(graph.report, [stage], root=self._root):
                        do_work(Order("score", (stage.key,), (stage.key,)), [stage], root=self._root, machine=self._machine)
                        graph.push(stage)
                        self._finish(stage, "the driver", time.monotonic() - begun)
        return len(graph.report.settled()) > before

    def _finish(self, stage: AnyStage, where: str, seconds: float | None, state: str = "") -> None:
        """A stage is done."""
        tidy_up(Order(stage.verb, (), (stage.key,)), [stage], root=self._root, machine=self._machine)
        forget_failure(stage, root=self._root)
        self._graph.report.done.append(stage)
        more = f" on {where}" + (f", from {state}" if state else "")
        self.say(done_line(stage, folder=stage.folder(self._root), seconds=seconds) + more)

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

    def say(self, text: str) -> None:
        """A line of progress."""
        if self._machine.progress:
            tell(text)
