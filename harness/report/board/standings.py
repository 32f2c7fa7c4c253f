"""Models against each other: for each task, each group and over all tasks their scores and ranks, with intervals.

    entries = standings(arms, numbers, material=material, scored=scored, task_order=task_order)     # for leaderboard.json

One entry for each set of lines that differ in the model alone (same intermediate setting, recipe, limit, way of asking), if it
has at least two models.  Fakes stand beside them without a rank.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from harness.api.protocols import Json
from harness.report.board.json_parts import interval
from harness.report.board.lifts import ScoredCell
from harness.report.board.means import Arm, TaskNumbers, group_numbers, task_numbers
from harness.report.board.model_ranks import ALPHA, SeedEstimates, rank_models
from harness.report.board.number_format import listed
from harness.report.board.shared_cells import (
    NOT_TRAINED,
    OTHER_EXAMPLES,
    ComparableLines,
    ModelLine,
    SharedCells,
    comparable_lines,
    items_of,
    shared_cells,
)
from harness.report.record.gather import CellRecord, Material
from harness.report.record.newest import CellKey
from harness.scoring.bootstrap import BootstrapEstimate, mean_of

MADE_UP = "made-up answers"
ALONE = "no other model to compare with"
Languages: TypeAlias = Mapping[str, Sequence[str]]
"Task -> its languages that count."
Number: TypeAlias = Callable[[Mapping[str, TaskNumbers]], BootstrapEstimate | None]
"What a column shows of the tasks of one seed."


def standings(
    arms: Mapping[Arm, Sequence[CellRecord]],
    numbers: Mapping[Arm, Mapping[str, TaskNumbers]],
    *,
    material: Material,
    scored: Mapping[CellKey, ScoredCell],
    task_order: Sequence[str],
) -> list[Json]:
    """The entry of each set of comparable lines; `numbers` has them in the order of the board."""
    lines = [_line(arm, arms[arm], numbers[arm], material) for arm in numbers]
    return [_Standing(comparable, material, scored).entry(task_order) for comparable in comparable_lines(lines)]


def _line(arm: Arm, cells: Sequence[CellRecord], numbers: Mapping[str, TaskNumbers], material: Material) -> ModelLine:
    model = material.models.get(arm.model)
    by_task: dict[str, list[CellRecord]] = {}
    for cell in cells:
        by_task.setdefault(cell.key.task, []).append(cell)
    family = (model.family if model else "") or arm.model
    is_fake = model is not None and model.adapter == "fake"
    return ModelLine(arm=arm, family=family, is_fake=is_fake, cells=by_task, numbers=numbers)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Compared:
    """What a column compares."""

    kind: str
    name: str
    languages: Languages
    ranked: Sequence[ModelLine]
    unranked: Mapping[str, str]
    left_out: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class _Standing:
    """One set of comparable lines."""

    def __init__(self, comparable: ComparableLines, material: Material, scored: Mapping[CellKey, ScoredCell]) -> None:
        self._comparable, self._material, self._scored = comparable, material, scored
        self._seeds: dict[tuple[str, str, tuple[str, ...]], dict[int | None, TaskNumbers]] = {}

    def entry(self, task_order: Sequence[str]) -> Json:
        """The entry of leaderboard.json."""
        tasks = [task for task in task_order if any(task in line.cells for line in self._comparable.models)]
        shared = [shared_cells(task, self._comparable, self._scored) for task in tasks]
        columns = [self._of_task(found) for found in shared]
        columns += [column for name in self._material.groups for column in self._of_group(name)]
        columns += self._of_all([found for found in shared if len(found.ranked) > 1])
        key = self._comparable.key._asdict()
        lines = [{"model": line.arm.model, "recipe": line.arm.recipe, "fake": line.is_fake} for line in self._comparable.lines]
        common = {name: value for name, value in key.items() if name != "model"}
        return {**common, "alpha": ALPHA, "lines": lines, "columns": columns}

    def _of_task(self, shared: SharedCells) -> Json:
        compared = _Compared(
            kind="task",
            name=shared.task,
            languages={shared.task: shared.languages},
            ranked=shared.ranked,
            unranked=shared.unranked,
            left_out={shared.task: shared.left_out} if shared.left_out else {},
        )
        return self._column(compared, lambda numbers: numbers[shared.task].score)

    def _of_group(self, name: str) -> list[Json]:
        """The column of a group of several tasks, if it has a number on two lines: then nothing is missing in either."""
        tasks, groups = self._material.tasks, self._material.groups
        members = groups[name].tasks

        def number(numbers: Mapping[str, TaskNumbers]) -> BootstrapEstimate | None:
            return group_numbers(name, groups=groups, tasks=tasks, numbers=numbers).score

        models = self._comparable.models
        ranked = [line for line in models if number(line.numbers) is not None]
        unranked = {line.arm.model: "some of its tasks or languages are missing" for line in models if line not in ranked}
        if len(members) < 2 or len(ranked) < 2:
            return []
        untrained = [line for line in ranked for task in members if not line.is_trained(task) and _any_trained(ranked, task)]
        unranked |= {line.arm.model: NOT_TRAINED for line in untrained}
        ranked = [line for line in ranked if line.arm.model not in unranked]
        languages = {task: tasks[task].languages for task in members}
        if any(len({items_of(line, task, lang) for line in ranked}) > 1 for task in members for lang in languages[task]):
            unranked |= {line.arm.model: OTHER_EXAMPLES for line in ranked}
            ranked = []
        compared = _Compared(kind="group", name=name, languages=languages, ranked=ranked, unranked=unranked)
        return [self._column(compared, number)]

    def _of_all(self, shared: Sequence[SharedCells]) -> list[Json]:
        """The column of the mean over all tasks that are compared, if those are several."""
        if len(shared) < 2:
            return []
        unranked: dict[str, str] = {}
        for line in self._comparable.models:
            lacking = [found.task for found in shared if line not in found.ranked]
            if lacking:
                unranked[line.arm.model] = f"not ranked in {listed(lacking)}"
        compared = _Compared(
            kind="all",
            name=f"all {len(shared)} tasks",
            languages={found.task: found.languages for found in shared},
            ranked=[line for line in self._comparable.models if line.arm.model not in unranked],
            unranked=unranked,
        )
        return [self._column(compared, lambda numbers: mean_of([found.score for found in numbers.values() if found.score]))]

    def _column(self, compared: _Compared, number: Number) -> Json:
        """Scores and ranks of a column, a line each."""
        lines = self._comparable.lines
        seeds = {line.arm.model: self._estimates(line, compared.languages, number) for line in lines}
        unranked = {line.arm.model: MADE_UP for line in lines if line.is_fake} | dict(compared.unranked)
        unranked |= {line.arm.model: "no seed has all its cells" for line in compared.ranked if not seeds[line.arm.model]}
        ranked = [line for line in compared.ranked if line.arm.model not in unranked]
        if len(ranked) == 1:
            unranked[ranked[0].arm.model] = ALONE
        entries: dict[str, dict[str, Json]] = {}
        for line in lines:
            own, why = seeds[line.arm.model], unranked.get(line.arm.model, "")
            score = interval(mean_of(own)) if own and why in (MADE_UP, ALONE) else None
            entries[line.arm.model] = {"model": line.arm.model, "score": score, "num_seeds": len(own), "rank": None, "why": why}
        found = None
        if len(ranked) > 1:
            found = rank_models([SeedEstimates(line.arm.model, line.family, seeds[line.arm.model]) for line in ranked])
            for line, ranked_score, rank in zip(ranked, found.scores, found.ranks, strict=True):
                place = {"value": rank.rank, "best": rank.best, "worst": rank.worst}
                entries[line.arm.model] |= {"score": ranked_score._asdict(), "rank": place}
        return {
            "kind": compared.kind,
            "name": compared.name,
            "languages": {task: list(langs) for task, langs in compared.languages.items()},
            "left_out": {task: dict(why) for task, why in compared.left_out.items()},
            "over_seeds": bool(found and found.over_seeds),
            "entries": list(entries.values()),
        }

    def _estimates(self, line: ModelLine, languages: Languages, number: Number) -> tuple[BootstrapEstimate, ...]:
        """The column's number for each seed that has all its cells; one where nothing is trained."""
        by_task = {task: self._task_seeds(line, task, tuple(langs)) for task, langs in languages.items()}
        trained = sorted({seed for found in by_task.values() for seed in found if seed is not None})
        seeds: Sequence[int | None] = trained or (None,)
        rows = [{task: found.get(seed, found.get(None)) for task, found in by_task.items()} for seed in seeds]
        whole = [{task: found for task, found in row.items() if found} for row in rows]
        estimates = [number(row) for row in whole if len(row) == len(languages)]
        return tuple(estimate for estimate in estimates if estimate)

    def _task_seeds(self, line: ModelLine, task: str, languages: tuple[str, ...]) -> dict[int | None, TaskNumbers]:
        """Seed -> the means of a task over some languages, for seeds that have all of them."""
        key = (line.arm.model, task, languages)
        if key not in self._seeds:
            cells = [cell for cell in line.cells.get(task, ()) if cell.key.lang in languages and cell.key in self._scored]
            spec = self._material.tasks[task].model_copy(update={"languages": languages})
            self._seeds[key] = {}
            for seed in {cell.key.seed for cell in cells}:
                own = [cell for cell in cells if cell.key.seed in (seed, None)]
                if languages and {cell.key.lang for cell in own} == set(languages):
                    self._seeds[key][seed] = task_numbers(spec, asked=own, scored=self._scored)
        return self._seeds[key]


def _any_trained(lines: Sequence[ModelLine], task: str) -> bool:
    return any(line.is_trained(task) for line in lines)
