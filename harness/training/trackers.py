"""Losses and scores of a training beside its log, in what people watch trainings with: accelerate's trackers.

    check_trackers(("tensorboard", "wandb"))                       # UserError for a name or a package that is not there
    trackers = Trackers(("tensorboard",), folder=folder, start=300, settings={"learning_rate": 2e-5})
    trackers.log([{"step": 301, "loss": 0.71}]); trackers.finish()

TensorBoard's files lie in tensorboard/<stage> beside the stages, W&B's runs have the stage's name in the project `xlift` (its own
variables, WANDB_MODE=offline for one, say where they go).  Nothing that a run computes or resumes from depends on them: where one
fails, that is told once, and the training goes on without it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from harness.api.errors import UserError, did_you_mean
from harness.api.progress import tell

PROJECT = "xlift"
KINDS = ("tensorboard", "wandb")
"Names for --track; the package of each has the same name."


def check_trackers(names: Sequence[str]) -> None:
    """Raise UserError for an unknown name, and where a package is missing."""
    for name in names:
        if name not in KINDS:
            raise UserError(f"unknown tracker '{name}'", where="--track", todo=did_you_mean(name, KINDS))
        if importlib.util.find_spec(name) is None:
            raise UserError(f"the package {name} is not installed", where=f"--track {name}", todo=f"pip install {name}")


class Trackers:
    """The trackers of one training, in its first process."""

    def __init__(self, names: Sequence[str], *, folder: Path, start: int, settings: Mapping[str, Any]) -> None:
        """`folder`: the stage's; `start`: steps that are done, whose lines are there but for an evaluation that is due."""
        self._running: list[Any] = []
        self._name = folder.name
        for name in names:
            self._try(name, partial(self._begin, name, folder=folder, start=start, settings=settings))

    def _begin(self, name: str, **how: Any) -> None:
        self._running.append(_started(name, **how))

    def log(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Pass on lines of the log: {"step": 12, "loss": 0.71}, {"step": 12, "english_score": 63.4, "by_task": {...}}."""
        for line in lines:
            values = {name: value for name, value in line.items() if name not in ("step", "by_task")}
            values |= {f"english_score/{task}": score for task, score in line.get("by_task", {}).items()}
            for tracker in tuple(self._running):
                self._try(tracker.name, partial(tracker.log, values, step=line["step"]), tracker)

    def finish(self) -> None:
        """Write what is not yet written."""
        for tracker in tuple(self._running):
            self._try(tracker.name, tracker.finish, tracker)
        self._running.clear()

    def _try(self, name: str, action: Callable[[], Any], tracker: Any = None) -> None:
        try:
            action()
        except Exception as error:  # of another program's network, disk or service
            self._running = [one for one in self._running if one is not tracker]
            tell(f"note on {self._name}: {name} has failed and is left out: {type(error).__name__}: {error}"[:300])


def _started(name: str, *, folder: Path, start: int, settings: Mapping[str, Any]) -> Any:
    import torch
    from accelerate import PartialState
    from accelerate.tracking import TensorBoardTracker, WandBTracker

    PartialState(cpu=not torch.cuda.is_available())  # what its trackers ask whether this is the first process
    root = folder.parent.parent
    tracker: Any
    if name == "tensorboard":
        tracker = TensorBoardTracker(folder.name, root / "tensorboard", purge_step=start + 1)
        tracker.start()
        if not start:
            tracker.writer.add_text("settings", "\n".join(f"    {key}: {value}" for key, value in settings.items()))
    else:
        tracker = WandBTracker(PROJECT, name=folder.name, id=folder.name, dir=str(root), resume="allow")
        tracker.start()
        tracker.store_init_configuration(dict(settings))
    return tracker
