"""Runs stages one after the other, under their locks; several runs may share one folder.

    report = execute(plan.stages, root=Path("runs"), machine=machine)
    report.failed       # [(stage, message)]: their descendants were not run, everything else was

Under torchrun the first process decides what is done next, holds the locks and writes; the others train and predict with it.
"""

import contextlib
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from harness.api.errors import OutputFailed
from harness.api.progress import is_terminal, tell
from harness.executors.verbs import done_line, make_backbone, score_predictions
from harness.prediction.failures import CellFailure, message_of
from harness.prediction.loop import clean, predict_bundle
from harness.runtime.arguments import InitArguments, PredictArguments, ScoreArguments, TrainArguments
from harness.runtime.folders import sweep
from harness.runtime.integrity import TEMPORARY
from harness.runtime.locks import lock
from harness.runtime.machine import Machine
from harness.runtime.outputs import output_failure
from harness.runtime.processes import SharedFailure, from_first, join, leave, num_ranks, rank
from harness.runtime.provenance import provenance
from harness.runtime.stages import AnyStage, Stage, begin, canonical, forget, mark_done, write_text, wrong_with
from harness.runtime.weights import drop_weights, has_weights
from harness.training.loop import tidy, train


@dataclass(kw_only=True)
class Report:
    """What became of the stages of a run."""

    done: list[AnyStage] = field(default_factory=list)
    reused: list[AnyStage] = field(default_factory=list)
    "Done before this run."
    failed: list[tuple[AnyStage, str]] = field(default_factory=list)
    not_run: list[AnyStage] = field(default_factory=list)
    "Because a stage that they need failed."
    made_again: list[tuple[AnyStage, str]] = field(default_factory=list)
    "Stages that said they were done, and why they were not believed."

    def settled(self) -> set[str]:
        """Keys of all stages that need no more attention."""
        stages = [*self.done, *self.reused, *self.not_run, *(stage for stage, _ in self.failed)]
        return {stage.key for stage in stages}

    def broken(self) -> set[str]:
        """Keys of stages whose results will not come."""
        return {stage.key for stage in (*self.not_run, *(stage for stage, _ in self.failed))}


@dataclass(kw_only=True)
class _Run:
    stages: Sequence[AnyStage]
    root: Path
    machine: Machine
    report: Report = field(default_factory=Report)


def execute(stages: Sequence[AnyStage], *, root: Path, machine: Machine, verify: bool = False) -> Report:
    """Run every stage that is not done; stages must come inputs first.  Reports of all but the first process are empty.

    What a finished stage wrote is checked before it is read; where it is not as it was written, it is made again.  `verify`
    checks all of it, what nothing reads any more included.
    """
    join(machine.device)
    run = _Run(stages=stages, root=root, machine=machine if rank() == 0 else replace(machine, progress=False))
    if rank() > 0:
        _follow(run)
    else:
        _distrust(run, verify=verify)
        while any(stage.key not in run.report.settled() for stage in stages):
            if not _progress(run, wait=False):
                _progress(run, wait=True)
        _drop_weights(run)
        from_first(lambda: None)
    leave()
    return run.report


def _distrust(run: _Run, *, verify: bool) -> None:
    """Take the word `done` from finished stages that will be read and are not as they were written, the last ones first."""
    undone = {stage.key for stage in run.stages if not stage.is_done(run.root)}
    readers: dict[str, set[str]] = {}
    for stage in run.stages:
        for parent in stage.inputs:
            readers.setdefault(parent.key, set()).add(stage.key)
    for stage in reversed(run.stages):
        own = readers.get(stage.key, set())
        if stage.key in undone or not (verify or not own or undone & own):
            continue
        with lock(stage.folder(run.root), wait=False) as held:
            wrong = wrong_with(stage.folder(run.root), deep=verify) if held else ""
            if wrong:
                forget(stage.folder(run.root))
                undone.add(stage.key)
                run.report.made_again.append((stage, wrong))


def _progress(run: _Run, *, wait: bool) -> bool:
    """Settle what no other run works on, or wait for one thing that another does; whether anything was settled."""
    before = len(run.report.settled())
    for stage in run.stages:
        _settle(run, stage, wait=wait)
        if wait and len(run.report.settled()) > before:
            break  # while this run waited, more may have become free
    return len(run.report.settled()) > before


class _Order(NamedTuple):
    """Work that all processes do together."""

    verb: str
    keys: tuple[str, ...]
    "The stage to train, or the whole bundle to predict."
    todo: tuple[str, ...] = ()


def _follow(run: _Run) -> None:
    """Work with the first process until it has no more orders."""
    while order := from_first(lambda: _Order("", ())):
        with contextlib.suppress(SharedFailure):  # the first process knows of it too, and records it
            _obey(run, order)


def _obey(run: _Run, order: _Order) -> dict[str, object]:
    """Do one piece of work that concerns all processes: facts of a training, or what failed of a prediction by stage key."""
    by_key = {stage.key: stage for stage in run.stages}
    stages, todo = ([by_key[key] for key in keys] for keys in (order.keys, order.todo))
    if order.verb == "train":
        return train(stages[0], root=run.root, machine=run.machine)
    return dict(predict_bundle(stages, todo=todo, root=run.root, machine=run.machine))


def _settle(run: _Run, stage: AnyStage, *, wait: bool) -> None:
    """Bring one stage (with its bundle, if it is a prediction) to its end, unless another process holds it."""
    report = run.report
    if stage.key in report.settled():
        return
    if any(parent.key in report.broken() for parent in stage.inputs):
        report.not_run.append(stage)
    elif stage.is_done(run.root) and _serves(run, stage):
        _reuse(run, stage)
    elif all(parent.key in report.settled() or parent.is_done(run.root) for parent in stage.inputs):
        if stage.verb == "predict":
            _predict(run, stage, wait=wait)
        else:
            _single(run, stage, wait=wait)


def _reuse(run: _Run, stage: AnyStage) -> None:
    """Take a finished stage as it is, and remove what a process that was killed right then has left."""
    run.report.reused.append(stage)
    folder = stage.folder(run.root)
    if not any(path.name.startswith(TEMPORARY) for path in folder.iterdir()):
        return
    with lock(folder, wait=False) as held:
        if held:
            sweep(folder)
            clean(folder)
            tidy(stage, root=run.root, machine=run.machine)


def _serves(run: _Run, stage: AnyStage) -> bool:
    """Whether a finished stage is enough: its weights, if they were removed, are not needed by anything still to do."""
    if has_weights(stage, run.root):
        return True
    readers = [other for other in run.stages if stage.key in {parent.key for parent in other.inputs}]
    return all(other.is_done(run.root) and _serves(run, other) for other in readers)


def _single(run: _Run, stage: AnyStage, *, wait: bool) -> None:
    """Train, score or make a backbone."""
    with lock(stage.folder(run.root), wait=wait) as held:
        if not held:
            return
        if stage.is_done(run.root) and _serves(run, stage):  # by another process, while this one waited
            run.report.reused.append(stage)
            return
        verbs: dict[str, Callable[[_Run, Any], dict[str, object]]] = {"init": _init, "train": _train, "score": _score}
        with _recorded(run, [stage], shared=stage.verb == "train"):
            sweep(begin(stage, run.root))
            begun = time.monotonic()
            facts = verbs[stage.verb](run, stage)
            mark_done(stage, run.root, {**facts, **provenance()})
            _say_done(run, [stage], seconds=time.monotonic() - begun)
            if stage.verb == "train":
                tidy(stage, root=run.root, machine=run.machine)
            _forget_error(run, stage)
            run.report.done.append(stage)


def _predict(run: _Run, first: AnyStage, *, wait: bool) -> None:
    """All cells of the checkpoint of a prediction stage: those that are free, or all after waiting for others."""
    bundle = [stage for stage in run.stages if stage.verb == "predict" and _checkpoint(stage) == _checkpoint(first)]
    with contextlib.ExitStack() as locks:
        free = set()
        # By name: two runs that wait for each other's locks, each in its own order, would wait for ever.
        for stage in sorted(bundle, key=lambda stage: stage.name):
            if stage.key in run.report.settled():
                continue
            if stage.is_done(run.root):
                _reuse(run, stage)
            elif locks.enter_context(lock(stage.folder(run.root), wait=wait)):
                if stage.is_done(run.root):
                    run.report.reused.append(stage)
                else:
                    sweep(begin(stage, run.root))
                    free.add(stage.key)
        todo = [stage for stage in bundle if stage.key in free]
        if todo:
            with _recorded(run, todo, shared=True):
                keys, asked = (tuple(stage.key for stage in stages) for stages in (bundle, todo))
                failures = _obey(run, from_first(lambda: _Order("predict", keys, asked)))
                for stage in todo:
                    if isinstance(failure := failures.get(stage.key), CellFailure):
                        _write_error(run, stage, failure.traceback)
                        run.report.failed.append((stage, failure.message))
            finished = [stage for stage in todo if stage.is_done(run.root)]
            for stage in finished:
                _forget_error(run, stage)
            _say_done(run, finished)
            run.report.done += finished


def _say_done(run: _Run, stages: Sequence[AnyStage], *, seconds: float | None = None) -> None:
    """In a log file, a line for each finished stage; on a terminal the bars stay that say so."""
    if run.machine.progress and not is_terminal():
        for stage in stages:
            tell(done_line(stage, folder=stage.folder(run.root), seconds=seconds))


def _checkpoint(stage: Stage[PredictArguments]) -> tuple[tuple[str, ...], str]:
    """What cells must share to be predicted together."""
    return tuple(parent.key for parent in stage.inputs), canonical(stage.args.model.json())


@contextlib.contextmanager
def _recorded(run: _Run, stages: Sequence[AnyStage], *, shared: bool) -> Iterator[None]:
    """Turn a failure into an entry of the report for each unfinished stage, with the traceback in its folder.

    Where nothing can be written any more, OutputFailed ends the run: every other stage would fail alike.
    """
    try:
        yield
    except Exception as error:
        if failure := output_failure(error, folder=run.root):
            raise failure from error
        for stage in stages:
            if not stage.is_done(run.root):
                _write_error(run, stage, traceback.format_exc())
                run.report.failed.append((stage, message_of(error)))
        if shared and num_ranks() > 1 and not isinstance(error, SharedFailure):
            raise  # the others do not know and would wait for ever: torchrun must end them


def _write_error(run: _Run, stage: AnyStage, text: str) -> None:
    """Put the traceback of a failure into the stage's folder; the report has its message where that fails."""
    with contextlib.suppress(OutputFailed):
        write_text(stage.folder(run.root) / "error.txt", text)


def _forget_error(run: _Run, stage: AnyStage) -> None:
    """Remove the traceback of an earlier run: the stage is done now."""
    (stage.folder(run.root) / "error.txt").unlink(missing_ok=True)


def _init(run: _Run, stage: Stage[InitArguments]) -> dict[str, object]:
    return make_backbone(stage, root=run.root, machine=run.machine)


def _train(run: _Run, stage: Stage[TrainArguments]) -> dict[str, object]:
    facts = _obey(run, from_first(lambda: _Order("train", (stage.key,))))
    return {**facts, "arithmetic": run.machine.arithmetic(stage.args.hyper_parameters.precision)}


def _score(run: _Run, stage: Stage[ScoreArguments]) -> dict[str, object]:
    score_predictions(stage, root=run.root, machine=run.machine)
    return {}


def _drop_weights(run: _Run) -> None:
    """Remove checkpoints whose results all stand, if --keep none."""
    if run.machine.keep != "none":
        return
    for stage in run.stages:
        readers = [other for other in run.stages if stage.key in {parent.key for parent in other.inputs}]
        if stage.verb == "train" and readers and all(other.is_done(run.root) for other in readers):
            drop_weights(stage, run.root)
