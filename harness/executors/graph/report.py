"""What became of the stages of a run, and what is written and said of each.

report = Report()
report.failed       # [(stage, message)]: their descendants were not run, everything else was
with recorded(report, [stage], root=root): ...
"""

import contextlib
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from harness.api.errors import OutputFailed
from harness.prediction.failures import CellFailure, message_of
from harness.runtime.outputs import output_failure
from harness.runtime.stages import AnyStage, write_text

E = TypeVar("E")
"""An entry of one of the lists."""


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

    _noted: "_Noted" = field(default_factory=lambda: _Noted(), repr=False)

    def settled(self) -> set[str]:
        """Keys of all stages that need no more attention."""
        return self._note().settled

    def broken(self) -> set[str]:
        """Keys of stages whose results will not come."""
        return self._note().broken

    def _note(self) -> "_Noted":
        """The keys, with those that have been added since: both are asked for each of thousands of stages."""
        if self._noted.num_made_again != len(self.made_again):
            self._noted = _Noted(num_made_again=len(self.made_again))
        noted = self._noted
        for stages in (self.done, self.reused):
            noted.settled.update(stage.key for stage in noted.new(stages))
        broken = [stage.key for stage in noted.new(self.not_run)] + [stage.key for stage, _ in noted.new(self.failed)]
        noted.broken.update(broken)
        noted.settled.update(broken)
        return noted

    def take_back(self, stage: AnyStage, why: str) -> None:
        """A stage that counted as done is not as it was written: it is to be made again."""
        self.done = [other for other in self.done if other.key != stage.key]
        self.reused = [other for other in self.reused if other.key != stage.key]
        self.made_again.append((stage, why))


@dataclass(kw_only=True)
class _Noted:
    """Keys of the stages of a report, whose lists only grow until a stage is taken back."""

    settled: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    num_made_again: int = 0
    _numbers: dict[int, int] = field(default_factory=dict)
    "Of each list (by its identity), how many of its entries are noted."

    def new(self, entries: Sequence[E]) -> Sequence[E]:
        """What has come to a list since it was looked at."""
        before = self._numbers.get(id(entries), 0)
        self._numbers[id(entries)] = len(entries)
        return entries[before:]


@contextlib.contextmanager
def recorded(report: Report, stages: Sequence[AnyStage], *, root: Path) -> Iterator[None]:
    """Turn a failure into an entry of the report for each unfinished stage, with the traceback in its folder.

    Where nothing can be written any more, OutputFailed ends the run: every other stage would fail alike.
    """
    try:
        yield
    except Exception as error:
        if failure := output_failure(error, folder=root):
            raise failure from error
        found = CellFailure(message_of(error), traceback.format_exc())
        for stage in stages:
            if not stage.is_done(root):
                record_failure(report, stage, found, root=root)


def record_failure(report: Report, stage: AnyStage, failure: CellFailure, *, root: Path) -> None:
    """Say of a stage that it failed, in the report and in its folder; the report alone has it where that cannot be written."""
    with contextlib.suppress(OutputFailed):
        write_text(stage.folder(root) / "error.txt", failure.traceback)
    report.failed.append((stage, failure.message))


def forget_failure(stage: AnyStage, *, root: Path) -> None:
    """Remove the traceback of an earlier run: the stage is done now."""
    (stage.folder(root) / "error.txt").unlink(missing_ok=True)
