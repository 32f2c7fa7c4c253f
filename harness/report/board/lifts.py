"""Lifts: the bootstrap estimate of each finished cell minus that of the same cell without the intermediate phase.

    scored = score_cells(material.cells, material.tasks)
    scored[key].estimate, scored[key].lift       # lift: same backbone, target, language, recipe and seed, same draws of examples

A baseline that is not trained at all has no seed and no recipe: it serves every seed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.api.errors import UserError, raise_all
from harness.report.board.number_format import NONE
from harness.report.record.gather import CellRecord
from harness.report.record.newest import CellKey
from harness.report.record.schema import RequestedTask
from harness.scoring.bootstrap import BootstrapEstimate, CellStatistics, difference, estimates
from harness.scoring.score import score_table
from harness.scoring.score_files import read_score, read_stats

SEED = 0
"Seed of the board's bootstrap."


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredCell:
    """A finished cell with its estimate and lift."""

    asked: CellRecord
    result: Mapping[str, Any]
    "Content of score.json."
    estimate: BootstrapEstimate
    "The task's score."
    items: str
    "Name of its set of test examples; cells of one set are paired."
    lift: BootstrapEstimate | None
    "Score minus that of the baseline; None for a baseline itself or where there is none."
    unpaired: str = ""
    "Why there is no lift."


def score_cells(cells: Sequence[CellRecord], tasks: Mapping[str, RequestedTask]) -> dict[CellKey, ScoredCell]:
    """Read and resample every finished cell; raises UserError where stats and score.json disagree."""
    finished = [cell for cell in cells if cell.folder is not None]
    prepared = {cell.key: _prepare(cell, tasks[cell.key.task]) for cell in finished}
    found = estimates(list(prepared.values()), seed=SEED)
    results = {cell.key: read_score(cell.folder) for cell in finished if cell.folder}
    mismatches = [
        score_mismatch(cell.folder, computed=found[prepared[cell.key].name].value, recorded=results[cell.key])
        for cell in finished
        if cell.folder
    ]
    raise_all([error for error in mismatches if error])
    baselines: dict[tuple[object, ...], list[CellRecord]] = {}
    for cell in cells:
        if cell.key.intermediate == NONE:
            baselines.setdefault(_pairing(cell.key), []).append(cell)
    scored: dict[CellKey, ScoredCell] = {}
    for cell in finished:
        estimate = found[prepared[cell.key].name]
        lift, unpaired = None, ""
        if cell.key.intermediate != NONE:
            baseline = _baseline(cell, baselines.get(_pairing(cell.key), []))
            unpaired = _obstacle(cell, baseline, prepared)
            if baseline and not unpaired:
                lift = difference(estimate, found[prepared[baseline.key].name])
        scored[cell.key] = ScoredCell(
            asked=cell,
            result=results[cell.key],
            estimate=estimate,
            items=prepared[cell.key].items,
            lift=lift,
            unpaired=unpaired,
        )
    return scored


def score_mismatch(folder: Path, *, computed: float, recorded: Mapping[str, Any]) -> UserError | None:
    """The error for a finished cell whose score.json is not what its statistics give; None where the two agree."""
    if abs(computed - recorded["score"]["value"]) <= 1e-6:
        return None
    return UserError(
        "score and statistics do not belong together",
        where=str(folder),
        expected=str(computed),
        found=str(recorded["score"]["value"]),
        todo="the metric or the file was changed: remove the folder and run again",
    )


def _prepare(cell: CellRecord, task: RequestedTask) -> CellStatistics:
    """The cell's score as something to resample; by their ids the rows of equal sets of examples are aligned."""
    assert cell.folder is not None
    stats = read_stats(cell.folder)
    ids = stats.pop("ids")
    table, combine = score_table(stats, task.score)
    order = np.argsort(ids, kind="stable")
    digest = hashlib.sha256("\n".join(ids[order].tolist()).encode()).hexdigest()
    # Languages with the same ids are resampled together: right for parallel test sets, and harmless for others, whose
    # scores do not vary together.
    items = f"{cell.key.task}/{digest}"
    return CellStatistics(name=repr(tuple(cell.key)), stats=table, combine=combine, items=items, order=order)


def _pairing(key: CellKey) -> tuple[object, ...]:
    return key.model, key.task, key.lang, key.route, key.limit


def _baseline(cell: CellRecord, candidates: Sequence[CellRecord]) -> CellRecord | None:
    """The cell without intermediate phase: of the same seed and recipe, or untrained (with the same draws, where it has some)."""
    same = [c for c in candidates if (c.key.seed, c.key.recipe) == (cell.key.seed, cell.key.recipe)]
    return next(iter([*same, *(c for c in candidates if not c.train and c.key.seed in (None, cell.key.seed))]), None)


def _obstacle(cell: CellRecord, baseline: CellRecord | None, prepared: Mapping[CellKey, CellStatistics]) -> str:
    if baseline is None:
        return "no run without intermediate task"
    if baseline.folder is None:
        return "the run without intermediate task is not finished"
    if prepared[cell.key].items != prepared[baseline.key].items:
        return "the run without intermediate task has other test examples"
    return ""
