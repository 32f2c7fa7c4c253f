"""What lifts are averaged over: a target, a category, a group of languages, XTREME's mean; cells with weights.

    cells = (StudyCell("xnli", "en"), StudyCell("xnli", "sw"), StudyCell("panx", "sw"))
    outcome_groups(cells, categories={"xnli": "classification"}, covered=("sw",))
    equal_weights(cells, lambda cell: cell.lang == "sw")       # mean over languages, then over targets

English is the language of training: it has a group of its own for each target and is in no zero-shot group.  XTREME's mean holds
it, as the benchmark does.  Cells whose target is the intermediate task itself are no transfer between tasks: they stand apart.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness.data.languages import GROUPINGS, groups

ENGLISH = "en"


class StudyCell(NamedTuple):
    """A column of a table of scores."""

    task: str
    lang: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeGroup:
    """Cells that are averaged to one number."""

    kind: str
    "zero_shot, english, xtreme, target, category, same_task, or a grouping of languages."
    name: str
    weights: tuple[float, ...]
    "One a cell of the table, 0 for cells outside; they add up to 1."


def equal_weights(cells: Sequence[StudyCell], chosen: Callable[[StudyCell], bool]) -> tuple[float, ...]:
    """Weights of the mean over the languages of each target, then over targets; all 0 where nothing is chosen."""
    tasks = {cell.task for cell in cells if chosen(cell)}
    sizes = {task: sum(cell.task == task and chosen(cell) for cell in cells) for task in tasks}
    return tuple(1 / (len(tasks) * sizes[cell.task]) if chosen(cell) else 0.0 for cell in cells)


def outcome_groups(
    cells: Sequence[StudyCell],
    *,
    categories: Mapping[str, str],
    covered: Collection[str] | None,
    same_task: Collection[str] = (),
) -> list[OutcomeGroup]:
    """All groups that a table of these cells has.

    categories: target -> category; covered: languages of the backbone's pretraining, None = not recorded; same_task: targets that
    the intermediate phase trains on.
    """

    def group(kind: str, name: str, chosen: Callable[[StudyCell], bool]) -> list[OutcomeGroup]:
        weights = equal_weights(cells, chosen)
        return [OutcomeGroup(kind=kind, name=name, weights=weights)] if any(weights) else []

    def zero_shot(cell: StudyCell) -> bool:
        return cell.lang != ENGLISH and cell.task not in same_task

    found = group("zero_shot", "all targets", zero_shot)
    found += group("english", "all targets", lambda cell: cell.lang == ENGLISH and cell.task not in same_task)
    found += group("xtreme", "all targets", lambda cell: True)
    found += group("same_task", "all targets", lambda cell: cell.lang != ENGLISH and cell.task in same_task)
    for task in dict.fromkeys(cell.task for cell in cells):
        found += group("target", task, lambda cell, task=task: cell.task == task and cell.lang != ENGLISH)  # type: ignore[misc]
        found += group("english", task, lambda cell, task=task: cell.task == task and cell.lang == ENGLISH)  # type: ignore[misc]
    for name in dict.fromkeys(categories[cell.task] for cell in cells if cell.task in categories):
        found += group("category", name, lambda cell, name=name: zero_shot(cell) and categories.get(cell.task) == name)  # type: ignore[misc]
    codes = list(dict.fromkeys(cell.lang for cell in cells if cell.lang != ENGLISH))
    for by in GROUPINGS:
        if by != "covered" or covered is not None:
            for name, members in groups(by, codes, covered=covered).items():
                found += group(by, name, lambda cell, members=members: zero_shot(cell) and cell.lang in members)  # type: ignore[misc]
    return found


def as_array(group: OutcomeGroup) -> np.ndarray:
    """The weights [C]."""
    return np.array(group.weights)
