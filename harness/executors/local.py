"""Runs stages one after the other in this process, under their locks; several such processes may share one folder.

report = execute(plan.stages, root=Path("runs"), machine=machine)
report.failed       # [(stage, message)]: their descendants were not run, everything else was
"""

import contextlib
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.checkpoints import sweep
from harness.devices import Machine
from harness.errors import UserError
from harness.loading import has_weights
from harness.predicting import predict_bundle, read_predictions
from harness.provenance import provenance
from harness.scoring import score_cell, write_score
from harness.stages import Stage, begin, lock, mark_done, read_json, write_text
from harness.training import tidy, train


@dataclass(kw_only=True)
class Report:
    """What became of the stages of a run."""

    done: list[Stage] = field(default_factory=list)
    reused: list[Stage] = field(default_factory=list)
    "Done before this run."
    failed: list[tuple[Stage, str]] = field(default_factory=list)
    not_run: list[Stage] = field(default_factory=list)
    "Because a stage that they need failed."

    def settled(self) -> set[str]:
        """Keys of all stages that need no more attention."""
        stages = [*self.done, *self.reused, *self.not_run, *(stage for stage, _ in self.failed)]
        return {stage.key for stage in stages}

    def broken(self) -> set[str]:
        """Keys of stages whose results will not come."""
        return {stage.key for stage in (*self.not_run, *(stage for stage, _ in self.failed))}


@dataclass(kw_only=True)
class _Run:
    stages: Sequence[Stage]
    root: Path
    machine: Machine
    report: Report = field(default_factory=Report)


def execute(stages: Sequence[Stage], *, root: Path, machine: Machine) -> Report:
    """Run every stage that is not done; stages must come inputs first."""
    run = _Run(stages=stages, root=root, machine=machine)
    for wait in (False, True):  # first what no other process works on, then what is left of it
        for stage in stages:
            _settle(run, stage, wait=wait)
    _drop_weights(run)
    return run.report


def _settle(run: _Run, stage: Stage, *, wait: bool) -> None:
    """Bring one stage (with its bundle, if it is a prediction) to its end, unless another process holds it."""
    report = run.report
    if stage.key in report.settled():
        return
    if any(parent.key in report.broken() for parent in stage.inputs):
        report.not_run.append(stage)
    elif stage.is_done(run.root) and _serves(run, stage):
        report.reused.append(stage)
    elif all(parent.key in report.settled() or parent.is_done(run.root) for parent in stage.inputs):
        if stage.verb == "predict":
            _predict(run, stage, wait=wait)
        else:
            _single(run, stage, wait=wait)


def _serves(run: _Run, stage: Stage) -> bool:
    """Whether a finished stage is enough: its weights may have been removed, and then no unfinished stage may need them."""
    if has_weights(stage, run.root):
        return True
    return all(other.is_done(run.root) for other in run.stages if stage.key in {parent.key for parent in other.inputs})


def _single(run: _Run, stage: Stage, *, wait: bool) -> None:
    """Train, score or make a backbone."""
    with lock(stage.folder(run.root), wait=wait) as held:
        if not held:
            return
        if stage.is_done(run.root) and _serves(run, stage):  # by another process, while this one waited
            run.report.reused.append(stage)
            return
        verbs: dict[str, Callable[[_Run, Stage], dict[str, object]]] = {"init": _init, "train": _train, "score": _score}
        with _recorded(run, [stage]):
            sweep(begin(stage, run.root))
            facts = verbs[stage.verb](run, stage)
            mark_done(stage, run.root, {**facts, **provenance()})
            if stage.verb == "train":
                tidy(stage, root=run.root, machine=run.machine)
            run.report.done.append(stage)


def _predict(run: _Run, first: Stage, *, wait: bool) -> None:
    """All cells of the checkpoint of a prediction stage: those that are free, or all after waiting for others."""
    bundle = [stage for stage in run.stages if stage.verb == "predict" and _checkpoint(stage) == _checkpoint(first)]
    with contextlib.ExitStack() as locks:
        todo = []
        for stage in bundle:
            if stage.key in run.report.settled():
                continue
            if stage.is_done(run.root):
                run.report.reused.append(stage)
            elif locks.enter_context(lock(stage.folder(run.root), wait=wait)):
                if stage.is_done(run.root):
                    run.report.reused.append(stage)
                else:
                    begin(stage, run.root)
                    todo.append(stage)
        if todo:
            with _recorded(run, todo):
                predict_bundle(bundle, todo=todo, root=run.root, machine=run.machine)
            failed = {stage.key for stage, _ in run.report.failed}
            run.report.done += [stage for stage in todo if stage.is_done(run.root) and stage.key not in failed]


def _checkpoint(stage: Stage) -> tuple[tuple[str, ...], str]:
    """What cells must share to be predicted together."""
    return tuple(parent.key for parent in stage.inputs), repr(sorted(stage.args["model"].items()))


@contextlib.contextmanager
def _recorded(run: _Run, stages: Sequence[Stage]):  # type: ignore[no-untyped-def]
    """Turn a failure into an entry of the report for each unfinished stage, with the traceback in its folder."""
    try:
        yield
    except Exception as error:
        for stage in stages:
            if not stage.is_done(run.root):
                write_text(stage.folder(run.root) / "error.txt", traceback.format_exc())
                message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
                run.report.failed.append((stage, message))


def _init(run: _Run, stage: Stage) -> dict[str, object]:
    """Make a backbone of random weights and the tokenizer that goes with it."""
    from harness.data.examples import load_examples
    from harness.registry import ADAPTERS, TASK_TYPES
    from harness.specs.portable import revive

    texts = stage.args["texts"]
    spec = revive(texts["task"], texts["spec"])
    place, folder = run.machine.place, run.machine.task_folders.get(spec.task)
    found = load_examples(spec, split="train", langs=spec.train_languages, place=place, task_folder=folder)
    module = TASK_TYPES.load(spec.type)
    adapter = ADAPTERS.load("encoder")
    lines = (text for example in found.examples for text in module.texts(example))
    tokenizer = adapter.train_tokenizer(lines, vocab_size=stage.args["vocab_size"])
    backbone = stage.folder(run.root) / "backbone"
    adapter.init_scratch(stage.args["config"], tokenizer=tokenizer, folder=backbone, seed=stage.args["seed"])
    return {"vocabulary": len(tokenizer)}


def _train(run: _Run, stage: Stage) -> dict[str, object]:
    return train(stage, root=run.root, machine=run.machine)


def _score(run: _Run, stage: Stage) -> dict[str, object]:
    """Score the predictions of the stage's one input."""
    predict = stage.inputs[0].folder(run.root)
    args = stage.args
    expected = read_json(predict / "done.json")["examples"]
    cell = score_cell(
        read_predictions(predict),
        metrics=args["metrics"],
        score=args["score"],
        lang=args["lang"],
        num_expected=expected,
        seed=args["seed"],
    )
    write_score(cell, stage.folder(run.root))
    return {}


def _drop_weights(run: _Run) -> None:
    """Remove checkpoints whose results all stand, if --keep none."""
    import shutil

    if run.machine.keep != "none":
        return
    for stage in run.stages:
        readers = [other for other in run.stages if stage.key in {parent.key for parent in other.inputs}]
        if stage.verb == "train" and readers and all(other.is_done(run.root) for other in readers):
            with lock(stage.folder(run.root), wait=False) as held:
                if held and has_weights(stage, run.root):
                    shutil.rmtree(stage.folder(run.root) / "checkpoint")
