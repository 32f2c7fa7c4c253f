"""What a study has found, as plain tables: all that its results are made of.

    scores = StudyScores(arms=("none", "mnli"), members=(Member(rung=Rung("xlmr-base", "XLM-R", 8.6e7), ...),), ...)
    scores.estimates[ScoreKey("mnli", "xlmr-base", StudyCell("xnli", "de"), 1)]

Nothing here knows of run folders: the report fills these tables, and tests write them by hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.scoring.bootstrap import BootstrapEstimate
from harness.study.statistics.effects import ScoreKey
from harness.study.statistics.evidence import Rung
from harness.study.statistics.outcome_groups import StudyCell


class TrainingKey(NamedTuple):
    """A target training; for a target that is not trained, the checkpoint that is asked."""

    arm: str
    backbone: str
    task: str
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenRate:
    """A learning rate that English development rows chose."""

    arm: str
    backbone: str
    task: str
    "The target; empty for the intermediate phases."
    rate: float
    trials: Mapping[float, float]
    "Learning rate -> development score, mean over the trial seeds; at most one where nothing was to be chosen."

    @property
    def is_at_edge(self) -> bool:
        """Whether it is the smallest or largest of several, so that a better one may lie outside."""
        return len(self.trials) > 1 and self.rate in (min(self.trials), max(self.trials))


class LayerScore(NamedTuple):
    """Retrieval at one layer; the mean over seeds, then over languages."""

    setting: str
    backbone: str
    target: str
    fraction: float
    "Of the depth; 1 = the last layer."
    score: float | None
    "None where a cell is missing."
    languages: int
    missing: int
    "Cells without a score."


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A backbone as a study trains it."""

    rung: Rung
    "Its name is unique in the study: a backbone trained by a second method has the method in its name."
    model: str
    "Name on the board."
    method: str
    bridges: str = ""
    "Name of the member with the same backbone by its family's own method; empty = it is that. A bridge is in no line."
    covered: tuple[str, ...] | None = None
    "Languages of its pretraining; None = not recorded."
    contamination: str = "unknown"
    "Of its family's pretraining: none, known, unknown."
    facts: Mapping[str, str] = field(default_factory=dict)
    "What may differ between backbones beside size, in words: method, recipe, number format, licence of a claim."


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyScores:
    """Scores of a study with their replicates over the same draws of test items."""

    arms: tuple[str, ...]
    "Intermediate settings, the baseline `none` first."
    members: tuple[Member, ...]
    cells: tuple[StudyCell, ...]
    seeds: tuple[int, ...]
    estimates: Mapping[ScoreKey, BootstrapEstimate]
    "By arm, name of the member, cell and seed; seed None where nothing is trained."
    examples: Mapping[StudyCell, int]
    "Test examples of a cell."
    development: Mapping[TrainingKey, float]
    "Best score of a target training on its English development rows; what has none is not there."
    degenerate: frozenset[TrainingKey] = frozenset()
    "Seeds that learnt nothing, in the target's training or before it."
    missing: Mapping[ScoreKey, str] = field(default_factory=dict)
    "Cells that were asked for and have no score -> why."
    left_out: Mapping[str, str] = field(default_factory=dict)
    "A cell or setting whose data are not here for any backbone -> why; in no table, and not missing."
    categories: Mapping[str, str] = field(default_factory=dict)
    "Target -> category."
    same_task: frozenset[tuple[str, str]] = frozenset()
    "(arm, target) where the intermediate phase trains on the target's own data."
    rates: tuple[ChosenRate, ...] = ()
    not_chosen: tuple[str, ...] = ()
    "Trainings whose learning rate no trial chose, and why."
    layers: tuple[LayerScore, ...] = ()
    "Retrieval at other layers."
    available: float = 1.0
    "How many times as many test examples there are (where a limit left some out)."
    synthetic: bool = False
    partial: bool = False
    "Some cells have a sample of their test rows only."
    fingerprint: str = ""
    "Of the scores: the same data again are no new look."
