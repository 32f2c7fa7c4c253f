"""Means over seeds, languages and tasks of each arm of a comparison, with lifts, transfer gaps and what is missing.

    arms = arms_of(material.cells)
    numbers = {(arm, task): task_numbers(...)}, then group_numbers(...)

An arm is a line of the board: a backbone, an intermediate task, a recipe.  The order of averaging is seeds, languages, tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.report.board.lifts import ScoredCell
from harness.report.record.gather import CellRecord
from harness.report.record.newest import CellKey
from harness.report.record.schema import RequestedGroup, RequestedTask
from harness.scoring.bootstrap import BootstrapEstimate, difference, mean_of
from harness.scoring.sums import ordered_mean
from harness.specs.limit import Limit

ENGLISH = "en"


class Arm(NamedTuple):
    """One line of the board."""

    model: str
    intermediate: str
    recipe: str | None
    limit: Limit | None
    prompt: str
    "How it was asked in words, or made vectors by another engine; empty for heads and embeddings."


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageNumbers:
    """A language of a task, mean over seeds."""

    score: BootstrapEstimate
    seeds: Mapping[int | None, float]
    "Score of each seed."
    lift: BootstrapEstimate | None
    lift_seeds: Sequence[int | None]
    "Seeds behind the lift."


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskNumbers:
    """A task of an arm, mean over languages."""

    cells: Sequence[ScoredCell]
    "Language by language, seed by seed."
    languages: Mapping[str, LanguageNumbers]
    score: BootstrapEstimate | None
    missing: Sequence[str]
    "Languages of the task without a score."
    complete: bool
    "Every language is there and nothing asked for is unfinished."
    gap: BootstrapEstimate | None
    "English minus the mean of the other languages."
    seeds: Mapping[int | None, float]
    "Mean over languages of each seed that has all languages that any seed has."
    lift: BootstrapEstimate | None
    lift_missing: Sequence[str]
    "Scored languages without a lift."


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupNumbers:
    """A group of tasks of an arm; `score` only if nothing is missing."""

    score: BootstrapEstimate | None = None
    lift: BootstrapEstimate | None = None
    seeds: Mapping[int | None, float] = field(default_factory=dict)
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    "Task -> languages that it lacks; empty lists where only seeds are unfinished."


def arms_of(cells: Sequence[CellRecord]) -> dict[Arm, list[CellRecord]]:
    """The cells of each arm; what is not trained has no recipe and stands in every arm of its backbone and intermediate."""
    arms: dict[Arm, list[CellRecord]] = {}
    loose: list[CellRecord] = []
    for cell in cells:
        if cell.key.recipe is None:
            loose.append(cell)
        else:
            arms.setdefault(_arm(cell.key), []).append(cell)
    homes: dict[Arm, list[Arm]] = {}
    for arm in arms:
        homes.setdefault(arm._replace(recipe=None), []).append(arm)
    for cell in loose:
        arm = _arm(cell.key)
        for home in homes.get(arm, [arm]):
            arms.setdefault(home, []).append(cell)
    return arms


def prompt_of(key: CellKey) -> str:
    """The route of a cell that was asked in words or by another engine than transformers, else an empty text."""
    return "" if key.route in ("head", "embedding") else key.route


def _arm(key: CellKey) -> Arm:
    return Arm(key.model, key.intermediate, key.recipe, key.limit, prompt_of(key))


def task_numbers(task: RequestedTask, *, asked: Sequence[CellRecord], scored: Mapping[CellKey, ScoredCell]) -> TaskNumbers:
    """Average the cells of one task of one arm."""
    cells = [scored[cell.key] for cell in asked if cell.key in scored]
    names = [*task.languages, *sorted({cell.asked.key.lang for cell in cells} - set(task.languages))]
    cells.sort(key=lambda cell: (names.index(cell.asked.key.lang), _seed_order(cell.asked.key.seed)))
    by_lang = {lang: [cell for cell in cells if cell.asked.key.lang == lang] for lang in names}
    languages = {lang: _language(found) for lang, found in by_lang.items() if found}
    missing = [lang for lang in task.languages if lang not in languages]
    lifts = [numbers.lift for numbers in languages.values() if numbers.lift]
    seeds = {seed for numbers in languages.values() for seed in numbers.seeds}
    others = [numbers.score for lang, numbers in languages.items() if lang != ENGLISH]
    return TaskNumbers(
        cells=cells,
        languages=languages,
        score=mean_of([numbers.score for numbers in languages.values()]) if languages else None,
        missing=missing,
        complete=not missing and len(cells) == len(asked),
        gap=difference(languages[ENGLISH].score, mean_of(others)) if ENGLISH in languages and others else None,
        seeds={
            seed: ordered_mean([numbers.seeds[seed] for numbers in languages.values()])
            for seed in sorted(seeds, key=_seed_order)
            if all(seed in numbers.seeds for numbers in languages.values())
        },
        lift=mean_of(lifts) if lifts else None,
        lift_missing=[lang for lang, numbers in languages.items() if numbers.lift is None],
    )


def _language(cells: Sequence[ScoredCell]) -> LanguageNumbers:
    lifted = [cell for cell in cells if cell.lift]
    lifts = [cell.lift for cell in lifted if cell.lift]
    return LanguageNumbers(
        score=mean_of([cell.estimate for cell in cells]),
        seeds={cell.asked.key.seed: cell.estimate.value for cell in cells},
        lift=mean_of(lifts) if lifts else None,
        lift_seeds=[cell.asked.key.seed for cell in lifted],
    )


def _seed_order(seed: int | None) -> tuple[bool, int]:
    return seed is not None, seed or 0


def group_numbers(
    name: str, *, groups: Mapping[str, RequestedGroup], tasks: Mapping[str, RequestedTask], numbers: Mapping[str, TaskNumbers]
) -> GroupNumbers:
    """Average the tasks or members of a group, if every one of them is complete."""
    group = groups[name]
    missing: dict[str, Sequence[str]] = {}
    for task in group.tasks:
        if task not in numbers:
            missing[task] = tasks[task].languages if task in tasks else ()
        elif not numbers[task].complete:
            missing[task] = numbers[task].missing
    if group.aggregate == "mean_of_members":
        missing |= {member: () for member in group.members if member not in groups and member not in group.tasks}
    if missing or group.aggregate == "none" or not group.tasks:
        return GroupNumbers(missing=missing)
    if group.aggregate == "mean_of_members":
        parts: list[TaskNumbers | GroupNumbers] = [
            group_numbers(member, groups=groups, tasks=tasks, numbers=numbers) if member in groups else numbers[member]
            for member in group.members
        ]
    else:
        parts = [numbers[task] for task in group.tasks]
    scores = [part.score for part in parts if part.score]
    lifts = [part.lift for part in parts if part.lift]
    if len(scores) < len(parts):
        return GroupNumbers(missing={})
    lifted = len(lifts) == len(parts) and not any(numbers[task].lift_missing for task in group.tasks)
    weights = [_size(numbers[task]) for task in group.tasks] if group.aggregate == "mean_by_size" else None
    return GroupNumbers(
        score=mean_of(scores, weights=weights),
        lift=mean_of(lifts, weights=weights) if lifted else None,
        seeds=_common_seeds(parts, weights or [1.0] * len(parts)),
    )


def _size(task: TaskNumbers) -> float:
    """Test examples of a task, those of each language once."""
    by_lang = {cell.asked.key.lang: cell.result["counts"]["examples"] for cell in task.cells}
    return float(sum(by_lang.values()))


def _common_seeds(parts: Sequence[TaskNumbers | GroupNumbers], weights: Sequence[float]) -> dict[int | None, float]:
    """Weighted mean of the parts for each seed; a part without seeds is the same for all."""
    seeds = {seed for part in parts for seed in part.seeds}
    wanted = sorted(seeds - {None} or seeds, key=_seed_order)
    found: dict[int | None, float] = {}
    for seed in wanted:
        values = [part.seeds.get(seed, part.seeds.get(None)) for part in parts]
        known = [value for value in values if value is not None]
        if len(known) == len(parts):
            found[seed] = ordered_mean(known, weights=weights)
    return found
