"""Which lines of a board may be compared as models, and on which languages of a task.

    for comparable in comparable_lines(lines): ...           # same intermediate setting, recipe, limit and way of asking
    shared = shared_cells("xnli", comparable, scored)        # shared.ranked, shared.languages, and why others are not among them

A score counts where every ranked line has one.  What was never asked of a line, or cannot be had (its data are missing), costs
the language; what was asked of it and is not finished costs the line its rank, until it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.report.board.lifts import ScoredCell
from harness.report.board.means import Arm, TaskNumbers
from harness.report.board.number_format import collected, listed
from harness.report.record.gather import CellRecord
from harness.report.record.newest import CellKey

NOT_TRAINED = "not trained for it, as others are"
OTHER_EXAMPLES = "test examples differ between models"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelLine:
    """A line of the board as one of several models."""

    arm: Arm
    family: str
    "Of the backbone; its name, where that is not known."
    is_fake: bool
    cells: Mapping[str, Sequence[CellRecord]]
    "Task -> all that was asked for."
    numbers: Mapping[str, TaskNumbers]
    "Task -> means over what it has."

    def is_trained(self, task: str) -> bool:
        """Whether its cells of a task rest on trainings."""
        return any(cell.key.recipe is not None for cell in self.cells[task])


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparableLines:
    """Lines that differ in the model alone."""

    key: Arm
    "What they have in common; its model is empty."
    lines: Sequence[ModelLine]
    "In the order of the board: small models first."

    @property
    def models(self) -> list[ModelLine]:
        """Those of real models, which take ranks."""
        return [line for line in self.lines if not line.is_fake]


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedCells:
    """A task of comparable lines."""

    task: str
    ranked: Sequence[ModelLine]
    languages: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    "Language that some line has -> why it does not count."
    unranked: Mapping[str, str] = field(default_factory=dict)
    "Model -> why it takes no rank."


def comparable_lines(lines: Sequence[ModelLine]) -> list[ComparableLines]:
    """Sets of lines of at least two real models; a line without recipe (nothing is trained) stands in those of every recipe."""
    sets: dict[Arm, list[ModelLine]] = {line.arm._replace(model=""): [] for line in lines}
    trained = {key._replace(recipe=None) for key in sets if key.recipe is not None}
    found = []
    for key in sets:
        if key.recipe is not None or key not in trained:
            own = [line for line in lines if line.arm._replace(model="") in (key, key._replace(recipe=None))]
            found.append(ComparableLines(key=key, lines=own))
    return [comparable for comparable in found if len(comparable.models) > 1]


def shared_cells(task: str, comparable: ComparableLines, scored: Mapping[CellKey, ScoredCell]) -> SharedCells:
    """The languages of a task on which its models are compared, and the models that take a rank."""
    unranked = {line.arm.model: "not asked for it" for line in comparable.models if not line.cells.get(task)}
    asked = [line for line in comparable.models if line.arm.model not in unranked]
    if len({line.is_trained(task) for line in asked}) > 1:
        unranked |= {line.arm.model: NOT_TRAINED for line in asked if not line.is_trained(task)}
    had = {line.arm.model: _finished(line, task, scored) for line in asked}
    somewhere = {lang for langs in had.values() for lang in langs}
    for line in asked:
        unfinished = _unfinished(line, task, scored, of=somewhere)
        if unfinished:
            unranked.setdefault(line.arm.model, unfinished)
        elif not had[line.arm.model]:
            unranked.setdefault(line.arm.model, "no score")
    ranked = [line for line in asked if line.arm.model not in unranked]
    languages, left_out = [], {}
    for lang in dict.fromkeys(lang for line in ranked for lang in line.numbers[task].languages):
        lacking = [line.arm.model for line in ranked if lang not in had[line.arm.model]]
        if lacking:
            left_out[lang] = f"no score of {', '.join(lacking)}"
        elif len({items_of(line, task, lang) for line in ranked}) > 1:
            left_out[lang] = OTHER_EXAMPLES
        else:
            languages.append(lang)
    if not languages:
        unranked |= {line.arm.model: "no language in common" for line in ranked}
        ranked = []
    return SharedCells(task=task, ranked=ranked, languages=tuple(languages), left_out=left_out, unranked=unranked)


def _finished(line: ModelLine, task: str, scored: Mapping[CellKey, ScoredCell]) -> set[str]:
    """Languages of which a line has all that it was asked for."""
    cells = line.cells.get(task, ())
    lacking = {cell.key.lang for cell in cells if cell.key not in scored}
    return {cell.key.lang for cell in cells} - lacking


def items_of(line: ModelLine, task: str, lang: str) -> frozenset[str]:
    """The set of test examples behind a line's score of a language."""
    return frozenset(cell.items for cell in line.numbers[task].cells if cell.asked.key.lang == lang)


def _unfinished(line: ModelLine, task: str, scored: Mapping[CellKey, ScoredCell], *, of: set[str]) -> str:
    """What of some languages was asked of a line, can be had and is not there, with the reasons; empty if nothing."""
    lacking = [cell for cell in line.cells[task] if cell.key.lang in of and cell.key not in scored and cell.score]
    reasons = collected((cell.reason, cell.key.lang) for cell in lacking)
    return "; ".join(f"{listed(langs)} {reason}" for reason, langs in reasons.items())
