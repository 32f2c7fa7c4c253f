"""How far a study is, seen from outside: what is done, running, failed and waiting in its folder, and how long the rest takes.

    found = study_progress(stages_of, root=Path("runs/scaling"), now=time.time())      # stages_of: backbone -> its stages
    found.backbones["mt5-small"].counts["done"], found.seconds_left

Time is foretold from what finished: a kind of stage of a backbone takes the time during which some were at work, divided by how
many came of it, so that stages that run together count together.  Of a kind of which none has finished nothing is foretold.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.runtime.locks import is_held
from harness.runtime.stages import DONE_FILE, AnyStage, finished_stages

STATES = ("done", "running", "failed", "waiting")
RECENT = 600.0
"Seconds over which the pace is measured."


@dataclass(frozen=True, kw_only=True, slots=True)
class BackboneProgress:
    """The stages of one backbone."""

    counts: Mapping[str, int]
    "State -> stages."
    running: tuple[str, ...]
    "Names of those at work."
    failed: tuple[str, ...]
    seconds_left: float
    "Of one process, as far as it can be told."
    untold: int
    "Stages to come of a kind of which none has finished."


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyProgress:
    """All backbones."""

    backbones: Mapping[str, BackboneProgress]
    per_hour: float
    "Stages finished in the last ten minutes, as a number an hour."

    @property
    def counts(self) -> Counter[str]:
        """State -> stages of all backbones."""
        return sum((Counter(one.counts) for one in self.backbones.values()), Counter())

    @property
    def seconds_left(self) -> float:
        """Of one process, as far as it can be told."""
        return sum(one.seconds_left for one in self.backbones.values())

    @property
    def untold(self) -> int:
        """Stages of which nothing is foretold."""
        return sum(one.untold for one in self.backbones.values())


def study_progress(stages_of: Mapping[str, Sequence[AnyStage]], *, root: Path, now: float) -> StudyProgress:
    """Look at the folder once; `now` is the time of day in seconds."""
    done = finished_stages(root)
    failed = {f"{path.parent.parent.name}/{path.parent.name}" for path in root.glob("*/*/error.txt")} - done
    begun = {f"{path.parent.parent.name}/{path.parent.name}" for path in root.glob("*/*/args.json")} - done
    running = {name for name in begun if is_held(root / name)}
    ended = [_ended(root / stage.name) for stages in stages_of.values() for stage in stages if stage.name in done]
    recent = sum(now - when <= RECENT for when in ended)
    return StudyProgress(
        backbones={name: _of_backbone(stages, root, done, running, failed) for name, stages in stages_of.items()},
        per_hour=recent * 3600 / RECENT,
    )


def _of_backbone(stages: Sequence[AnyStage], root: Path, done: set[str], running: set[str], failed: set[str]) -> BackboneProgress:
    names = {stage.name: stage.verb for stage in stages}
    states = {
        name: "done" if name in done else "running" if name in running else "failed" if name in failed else "waiting"
        for name in names
    }
    counts = Counter(states.values())
    to_come = Counter(verb for name, verb in names.items() if states[name] in ("running", "waiting"))
    seconds, untold = 0.0, 0
    for verb, number in to_come.items():
        each = _seconds_each([root / name for name, own in names.items() if own == verb and name in done])
        seconds += 0.0 if each is None else each * number
        untold += number if each is None else 0
    return BackboneProgress(
        counts={state: counts[state] for state in STATES},
        running=tuple(name for name, state in states.items() if state == "running"),
        failed=tuple(name for name, state in states.items() if state == "failed"),
        seconds_left=seconds,
        untold=untold,
    )


def _seconds_each(folders: Iterable[Path]) -> float | None:
    """The time in which some of these stages were at work, divided by their number; None of none."""
    spans = sorted((_began(folder), _ended(folder)) for folder in folders)
    busy, until = 0.0, float("-inf")
    for began, ended in spans:
        busy += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return busy / len(spans) if spans else None


def _began(folder: Path) -> float:
    """When its last process began it."""
    return _time_of(folder / "args.json")


def _ended(folder: Path) -> float:
    return _time_of(folder / DONE_FILE)


def _time_of(path: Path) -> float:
    """When a file was written; a file that has just gone counts as written long ago."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
