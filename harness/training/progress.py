"""How far a training run has come: what must survive a kill, and the log that a user watches.

log = Log(folder / "log.jsonl", progress)     # lines after the step that training resumes from are taken back
log.write()       # appends what is new: {"step": 12, "loss": 0.71}, {"step": 12, "english_score": 63.4}
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.runtime.interruption import held
from harness.runtime.stages import write_text
from harness.training.trackers import Trackers


@dataclass(kw_only=True)
class Progress:
    """What changes while training; plain JSON."""

    best_step: int | None = None
    best_score: float | None = None
    evaluations_since_best: int = 0
    losses: list[float] = field(default_factory=list)
    "Loss of every step so far."
    evaluations: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    "(steps done, English score by task); their mean chooses the checkpoint."
    stopped_early: bool = False

    @property
    def so_far(self) -> tuple[int, int]:
        """How many losses and evaluations there are."""
        return len(self.losses), len(self.evaluations)

    def lines(self, losses: int = 0, evaluations: int = 0) -> list[dict[str, Any]]:
        """Log lines behind the first so many losses and evaluations, the evaluation of a step behind its loss."""
        scores = dict(self.evaluations[evaluations:])
        lines: list[dict[str, Any]] = []
        for step in range(losses, len(self.losses) + 1):  # the last loss may be written and its evaluation not
            if step > losses:
                lines.append({"step": step, "loss": self.losses[step - 1]})
            if step in scores:
                own = {"by_task": scores[step]} if len(scores[step]) > 1 else {}
                lines.append({"step": step, "english_score": mean_score(scores[step]), **own})
        return lines


def mean_score(by_task: Mapping[str, float]) -> float:
    """Every task of a mixture counts alike (jiant's EqualMetricAggregator)."""
    return math.fsum(by_task.values()) / len(by_task)


class Log:
    """A file of the losses and scores so far; `trackers` are told the same."""

    def __init__(self, path: Path, progress: Progress, *, trackers: Trackers | None = None) -> None:
        """Begin, or go on behind the last step of `progress`."""
        self._path, self._progress, self._trackers = path, progress, trackers
        self._written = progress.so_far
        write_text(path, _text(progress.lines()))

    def write(self) -> None:
        """Append what is new."""
        lines = self._progress.lines(*self._written)
        with held():  # told to end in between, a tracker would lack lines or show them twice
            self._written = self._progress.so_far  # whatever becomes of it: nothing is written twice
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_text(lines))
            if self._trackers:
                self._trackers.log(lines)

    def close(self) -> None:
        """The training ends here."""
        if self._trackers:
            self._trackers.finish()


def _text(lines: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)
