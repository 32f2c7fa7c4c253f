"""Training seeds on the board: median, mean and standard deviation of each score, and the seeds that learnt nothing.

over_seeds({1: 71.0, 2: 72.0, 3: 33.3})     # {'n': 3, 'mean': 58.8, 'median': 71.0, 'sd': 22.1}
parts = seed_section(Lines(board))
"""

import statistics
from collections.abc import Mapping

from harness.api.protocols import Json
from harness.report.board.lifts import ScoredCell
from harness.report.board.means import TaskNumbers
from harness.report.board.number_format import INCOMPLETE, NOTHING, arm_text, listed
from harness.report.board.table_rows import Lines
from harness.report.record.gather import Material
from harness.report.record.newest import CellKey
from harness.scoring.sums import ordered_mean

SEEDS = (
    "Median over training seeds; mean with their standard deviation (sd); number of seeds. Degenerate seeds (training that "
    "learnt nothing, or one class predicted in every language) stay in all means; the median bears one of three."
)


def over_seeds(seeds: Mapping[int | None, float]) -> Json:
    """Number, mean, median and standard deviation (None below two) of the scores of seeds; None where there is none."""
    if not seeds:
        return None
    values = list(seeds.values())
    return {
        "n": len(values),
        "mean": ordered_mean(values),
        "median": statistics.median(values),
        "sd": statistics.stdev(values) if len(values) > 1 else None,
    }


def degenerate_seeds(found: TaskNumbers, material: Material) -> list[int]:
    """Seeds of a task whose training learnt nothing, or that predict one class in every language."""
    by_seed: dict[int, list[ScoredCell]] = {}
    for cell in found.cells:
        if cell.asked.key.seed is not None:
            by_seed.setdefault(cell.asked.key.seed, []).append(cell)
    return sorted(
        seed
        for seed, cells in by_seed.items()
        if any(_learnt_nothing(name, material) for cell in cells for name in cell.asked.train)
        or all(cell.result.get("single_class") for cell in cells)
    )


def degenerate_before(found: TaskNumbers, material: Material) -> list[int]:
    """Those of the degenerate seeds whose intermediate phase has learnt nothing, which is not the target's doing."""
    is_trained = any(cell.asked.train for cell in found.cells) and material.tasks[found.cells[0].asked.key.task].trained
    return sorted(
        {
            cell.asked.key.seed
            for cell in found.cells
            if cell.asked.key.seed is not None
            and any(_learnt_nothing(name, material) for name in (cell.asked.train[:-1] if is_trained else cell.asked.train))
        }
    )


def _learnt_nothing(stage: str, material: Material) -> bool:
    return stage in material.stages and bool(material.stages[stage]["facts"].get("degenerate"))


def degenerate_stages(material: Material, scored: Mapping[CellKey, ScoredCell]) -> list[Json]:
    """Training that learnt nothing, and cells in which one label was predicted throughout."""
    found: list[Json] = []
    for name, stage in material.stages.items():
        if stage["facts"].get("degenerate"):
            cells = sum(name in cell.train for cell in material.cells)
            found.append({"stage": name, "why": str(stage["facts"]["degenerate"]), "cells": cells})
    single = sorted({str(cell.asked.score) for cell in scored.values() if cell.result.get("single_class")})
    return [*found, *({"stage": name, "why": "one class is predicted throughout", "cells": 1} for name in single)]


def has_many_seeds(board: Mapping[str, Json]) -> bool:
    """Whether any task has more than one training seed."""
    return any(entry["over_seeds"] and entry["over_seeds"]["n"] > 1 for entry in board["task_scores"])


def seed_section(lines: Lines) -> list[str]:
    """Seeds of every task where there are several, and how many were degenerate; empty if there is one and nothing is wrong."""
    board = lines.board
    notes = degenerate_notes(board)
    if not (has_many_seeds(board) or notes):
        return []
    notes = [degenerate_counts(board), *notes]
    table = [SEEDS, lines.table(_seed_text, groups=True)] if has_many_seeds(board) else []
    return ["## Seeds", *table, "\n".join(f"- {note}" for note in notes)]


def degenerate_notes(board: Mapping[str, Json]) -> list[str]:
    """The lines of the board in which seeds learnt nothing, and the seeds that stand for others."""
    notes = [
        f"Degenerate: {arm_text(entry)}, {entry['task']}: {_seeds(entry['degenerate_seeds'])} of {entry['over_seeds']['n']}"
        f"{_before(entry)}."
        for entry in board["task_scores"]
        if entry["degenerate_seeds"]
    ]
    return notes + [_replacement(entry) for entry in board["replaced"]]


def degenerate_counts(board: Mapping[str, Json]) -> str:
    """How many seeds were degenerate and how many were replaced."""
    names = ("model", "intermediate", "recipe", "task")
    found = {(*(e[name] for name in names), seed) for e in board["task_scores"] for seed in e["degenerate_seeds"]}
    found |= {(*(entry[name] for name in names), entry["seed"]) for entry in board["replaced"]}
    return f"Degenerate seeds: {len(found)}, replaced: {sum(entry['by'] is not None for entry in board['replaced'])}."


def _seeds(seeds: list[int]) -> str:
    return ("seed " if len(seeds) == 1 else "seeds ") + listed([str(seed) for seed in seeds])


def _before(entry: Mapping[str, Json]) -> str:
    """That it was the intermediate phase which has learnt nothing, not the training on the target."""
    before = entry["degenerate_before"]
    if not before:
        return ""
    which = "" if before == entry["degenerate_seeds"] else f" with {_seeds(before)}"
    return f" (its intermediate phase has learnt nothing{which})"


def _replacement(entry: Mapping[str, Json]) -> str:
    done = "not replaced" if entry["by"] is None else f"replaced by seed {entry['by']}"
    target = f", {entry['task']}" if entry["task"] else ""
    why = f": {entry['why']}" if entry["why"] else ""
    return f"Seed {entry['seed']} of {arm_text(entry)}{target} {done}{why}."


def _seed_text(entry: Mapping[str, Json] | None) -> str:
    if entry is None or not entry["over_seeds"]:
        return NOTHING
    found = entry["over_seeds"]
    spread = "" if found["sd"] is None else f" sd {found['sd']:.1f}"
    mark = "" if entry.get("complete", True) else INCOMPLETE
    return f"{mark}{found['median']:.1f}; {mark}{found['mean']:.1f}{spread} ({found['n']})"
