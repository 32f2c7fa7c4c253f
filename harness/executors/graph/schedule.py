"""Which stages of a graph can run now, which are done and can be believed, and which are done together.

schedule = Schedule(stages=plan.stages, root=root, machine=machine)
schedule.distrust(verify=False)
schedule.look_at(stage)         # Readiness.READY: its inputs are there, and it is not
schedule.bundle_of(stage)       # all predictions of the checkpoint of a prediction
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from harness.executors.graph.report import Report
from harness.prediction.finishing import clean
from harness.runtime.arguments import PredictArguments
from harness.runtime.folders import sweep
from harness.runtime.integrity import TEMPORARY
from harness.runtime.locks import lock
from harness.runtime.machine import Machine
from harness.runtime.stages import AnyStage, Stage, canonical, forget, wrong_with
from harness.runtime.weights import drop_weights, has_weights
from harness.training.loop import tidy


class Readiness(StrEnum):
    """What can be done with a stage now."""

    SETTLED = "settled"
    "Nothing any more."
    WAITING = "waiting"
    "It needs what is not done yet."
    READY = "ready"


@dataclass(kw_only=True)
class Schedule:
    """The stages of a run, inputs first, and what has become of them."""

    stages: Sequence[AnyStage]
    root: Path
    machine: Machine
    report: Report = field(default_factory=Report)
    _index: "_Index" = field(default_factory=lambda: _Index(), repr=False)

    def has_weights(self, stage: AnyStage) -> bool:
        """Whether what a finished training made can still be loaded."""
        return has_weights(stage, self.root)

    def take_back(self, stage: AnyStage, why: str) -> None:
        """Take the word `done` from a stage that is not as it was written; only under its lock."""
        forget(stage.folder(self.root))
        self.report.take_back(stage, why)

    def distrust(self, *, verify: bool) -> None:
        """Take the word `done` from finished stages that will be read and are not as they were written, the last ones first."""
        undone = {stage.key for stage in self.stages if not stage.is_done(self.root)}
        readers: dict[str, set[str]] = {}
        for stage in self.stages:
            for parent in stage.inputs:
                readers.setdefault(parent.key, set()).add(stage.key)
        for stage in reversed(self.stages):
            own = readers.get(stage.key, set())
            if stage.key in undone or not (verify or not own or undone & own):
                continue
            with lock(stage.folder(self.root), wait=False) as held:
                wrong = wrong_with(stage.folder(self.root), deep=verify) if held else ""
                if wrong:
                    self.take_back(stage, wrong)
                    undone.add(stage.key)

    def look_at(self, stage: AnyStage) -> Readiness:
        """What can be done with a stage; settles it where that takes no work: its input failed, or it is done."""
        settled = self.report.settled()
        if stage.key in settled:
            return Readiness.SETTLED
        if any(parent.key in self.report.broken() for parent in stage.inputs):
            self.report.not_run.append(stage)
            return Readiness.SETTLED
        if self.is_served(stage):
            self.reuse(stage)
            return Readiness.SETTLED
        ready = all(parent.key in settled or parent.is_done(self.root) for parent in stage.inputs)
        return Readiness.READY if ready else Readiness.WAITING

    def reuse(self, stage: AnyStage) -> None:
        """Take a finished stage as it is, and remove what a process that was killed right then has left."""
        self.report.reused.append(stage)
        folder = stage.folder(self.root)
        if not any(path.name.startswith(TEMPORARY) for path in folder.iterdir()):
            return
        with lock(folder, wait=False) as held:
            if held:
                sweep(folder)
                clean(folder)
                tidy(stage, root=self.root, machine=self.machine)

    def is_served(self, stage: AnyStage) -> bool:
        """Whether a stage is done, and enough as it is."""
        return stage.is_done(self.root) and self.serves(stage)

    def serves(self, stage: AnyStage) -> bool:
        """Whether a finished stage is enough: its weights, if they were removed, are not needed by anything still to do."""
        if self.has_weights(stage):
            return True
        return all(other.is_done(self.root) and self.serves(other) for other in self.readers(stage))

    def readers(self, stage: AnyStage) -> Sequence[AnyStage]:
        """The stages that read a stage's result."""
        return self._indexed().readers.get(stage.key, ())

    def bundle_of(self, first: AnyStage) -> Sequence[AnyStage]:
        """All predictions of one checkpoint, whose weights are loaded once for them; of another stage, itself alone."""
        index = self._indexed()
        return index.bundles[index.bundle_keys[first.key]]

    def with_keys(self, keys: Iterable[str]) -> list[AnyStage]:
        """The stages of some keys."""
        by_key = self._indexed().by_key
        return [by_key[key] for key in keys]

    def _indexed(self) -> "_Index":
        """The index, with the stages that have been added since: it is asked for each of thousands of stages."""
        for stage in self.stages[self._index.num_stages :]:
            self._index.add(stage)
        return self._index

    def drop_weights(self) -> None:
        """Remove checkpoints whose results all stand, if --keep none."""
        if self.machine.keep != "none":
            return
        for stage in self.stages:
            readers = self.readers(stage)
            if stage.verb == "train" and readers and all(other.is_done(self.root) for other in readers):
                self.drop(stage)

    def drop(self, stage: AnyStage) -> None:
        """Remove the weights of a finished training."""
        drop_weights(stage, self.root)


@dataclass(kw_only=True)
class _Index:
    """Stages by what is asked of them, so that no question goes over all of them."""

    num_stages: int = 0
    by_key: dict[str, AnyStage] = field(default_factory=dict)
    readers: dict[str, list[AnyStage]] = field(default_factory=dict)
    bundles: dict[object, list[AnyStage]] = field(default_factory=dict)
    bundle_keys: dict[str, object] = field(default_factory=dict)
    "By the key of a stage."

    def add(self, stage: AnyStage) -> None:
        """Take one more."""
        self.num_stages += 1
        self.by_key[stage.key] = stage
        for key in {parent.key for parent in stage.inputs}:
            self.readers.setdefault(key, []).append(stage)
        self.bundle_keys[stage.key] = checkpoint_key(stage) if stage.verb == "predict" else stage.key
        self.bundles.setdefault(self.bundle_keys[stage.key], []).append(stage)


def checkpoint_key(stage: Stage[PredictArguments]) -> tuple[tuple[str, ...], str]:
    """What cells must share to be predicted together."""
    return tuple(parent.key for parent in stage.inputs), canonical(stage.args.model.json())
