"""Runs stages one after the other, under their locks; several runs may share one folder.

    report = execute(plan.stages, root=Path("runs"), machine=machine)
    report.failed       # [(stage, message)]: their descendants were not run, everything else was

Under torchrun the first process decides what is done next, holds the locks and writes; the others train and predict with it.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.api.progress import is_terminal, tell
from harness.executors.graph.report import Report, forget_failure, record_failure, recorded
from harness.executors.graph.schedule import Readiness, Schedule
from harness.executors.graph.verbs import done_line, score_beside
from harness.executors.graph.work import Order, do_work, tidy_up
from harness.prediction.failures import CellFailure
from harness.runtime.arguments import PredictArguments
from harness.runtime.locks import lock
from harness.runtime.machine import Machine
from harness.runtime.processes import SharedFailure, from_first, join, leave, num_ranks, rank
from harness.runtime.stages import AnyStage, Stage

__all__ = ["Report", "execute"]


def execute(stages: Sequence[AnyStage], *, root: Path, machine: Machine, verify: bool = False) -> Report:
    """Run every stage that is not done; stages must come inputs first.  Reports of all but the first process are empty.

    What a finished stage wrote is checked before it is read; where it is not as it was written, it is made again.  `verify`
    checks all of it, what nothing reads any more included.
    """
    join(machine.device)
    run = Schedule(stages=stages, root=root, machine=machine if rank() == 0 else replace(machine, progress=False))
    if rank() > 0:
        _follow(run)
    else:
        run.distrust(verify=verify)
        while any(stage.key not in run.report.settled() for stage in stages):
            if not _progress(run, wait=False):
                _progress(run, wait=True)
        run.drop_weights()
        from_first(lambda: None)
    leave()
    return run.report


def _progress(run: Schedule, *, wait: bool) -> bool:
    """Settle what no other run works on, or wait for one thing that another does; whether anything was settled."""
    before = len(run.report.settled())
    for stage in run.stages:
        if run.look_at(stage) == Readiness.READY:
            if stage.verb == "predict":
                _predict(run, stage, wait=wait)
            else:
                _single(run, stage, wait=wait)
        if wait and len(run.report.settled()) > before:
            break  # while this run waited, more may have become free
    return len(run.report.settled()) > before


def _follow(run: Schedule) -> None:
    """Work with the first process until it has no more orders."""
    while order := from_first(lambda: Order("", ())):
        with contextlib.suppress(SharedFailure):  # the first process knows of it too, and records it
            do_work(order, run.with_keys(order.keys), root=run.root, machine=run.machine)


def _command(run: Schedule, order: Order, *, on_done: Callable[[AnyStage], None] = lambda _: None) -> Mapping[str, CellFailure]:
    """Have all processes do what an order says; what is for one process alone the first one does."""
    shared = from_first(lambda: order)
    return do_work(shared, run.with_keys(shared.keys), root=run.root, machine=run.machine, on_done=on_done)


def _single(run: Schedule, stage: AnyStage, *, wait: bool) -> None:
    """Train, score or make a backbone."""
    with lock(stage.folder(run.root), wait=wait) as held:
        if not held:
            return
        if run.is_served(stage):  # by another process, while this one waited
            run.report.reused.append(stage)
            return
        with _recorded(run, [stage], shared=stage.verb == "train"):
            begun = time.monotonic()
            order = Order(stage.verb, (stage.key,), (stage.key,))
            _command(run, order)
            _say_done(run, [stage], seconds=time.monotonic() - begun)
            tidy_up(order, [stage], root=run.root, machine=run.machine)
            forget_failure(stage, root=run.root)
            run.report.done.append(stage)


def _predict(run: Schedule, first: Stage[PredictArguments], *, wait: bool) -> None:
    """All cells of the checkpoint of a prediction stage: those that are free, or all after waiting for others."""
    bundle = run.bundle_of(first)
    scored: dict[str, float] = {}
    with contextlib.ExitStack() as locks:
        free = set()
        # By name: two runs that wait for each other's locks, each in its own order, would wait for ever.
        for stage in sorted(bundle, key=lambda stage: stage.name):
            if stage.key in run.report.settled():
                continue
            if stage.is_done(run.root):
                run.reuse(stage)
            elif locks.enter_context(lock(stage.folder(run.root), wait=wait)):
                if stage.is_done(run.root):
                    run.report.reused.append(stage)
                else:
                    free.add(stage.key)
        todo = [stage for stage in bundle if stage.key in free]
        if todo:
            with _recorded(run, todo, shared=True):
                keys, asked = (tuple(stage.key for stage in stages) for stages in (bundle, todo))
                order = Order("predict", keys, asked)
                failures = _command(run, order, on_done=lambda done: scored.update(_scored_beside(run, done)))
                for stage in todo:
                    if stage.key in failures:
                        record_failure(run.report, stage, failures[stage.key], root=run.root)
            finished = [stage for stage in todo if stage.is_done(run.root)]
            for stage in finished:
                forget_failure(stage, root=run.root)
            _say_done(run, finished)
            run.report.done += finished
    readers = [reader for stage in bundle for reader in run.readers(stage)]
    for stage in [stage for stage in readers if stage.key in scored and stage.key not in run.report.settled()]:
        _say_done(run, [stage], seconds=scored[stage.key])
        forget_failure(stage, root=run.root)
        run.report.done.append(stage)


def _scored_beside(run: Schedule, predicted: AnyStage) -> Mapping[str, float]:
    """Score what has just been predicted while the model goes on; seconds by stage key."""
    return score_beside(run.readers(predicted), predicted, root=run.root, machine=run.machine)


def _say_done(run: Schedule, stages: Sequence[AnyStage], *, seconds: float | None = None) -> None:
    """In a log file, a line for each finished stage; on a terminal the bars stay that say so."""
    if run.machine.progress and not is_terminal():
        for stage in stages:
            tell(done_line(stage, folder=stage.folder(run.root), seconds=seconds))


@contextlib.contextmanager
def _recorded(run: Schedule, stages: Sequence[AnyStage], *, shared: bool) -> Iterator[None]:
    """Record a failure; where the other processes do not know of it, torchrun must end them: they would wait for ever."""
    failure: Exception | None = None
    with recorded(run.report, stages, root=run.root):
        try:
            yield
        except Exception as error:
            # Only where it is raised again: its traceback holds this frame, and so itself and the model that it failed with.
            failure = error if shared and num_ranks() > 1 and not isinstance(error, SharedFailure) else None
            raise
    if failure is not None:
        raise failure
