"""The course of every training: losses and English validation scores by step, from log.jsonl of the run folders.

curves, without = training_curves(board, [Path("runs/x")])
curves[0]["loss"]         # [[1, 1.92], [5, 1.85], ...], thinned to some sixty points
without                   # stages whose log is not in these folders

A log that is damaged is as good as none: the board's own numbers do not rest on it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.api.json_text import parse_json
from harness.api.protocols import Json
from harness.report.page.texts import short

LOG_FILE = "log.jsonl"
_RAN_AWAY = 1e300
"A loss beyond this, or that is no number, is not drawn."
_POINTS = 60
"Of a curve; each is the mean over the steps since the one before."


def training_curves(board: Mapping[str, Json], folders: Sequence[Path]) -> tuple[list[dict[str, Any]], list[str]]:
    """A curve for each training stage that has a log here, and the names of those that have none."""
    uses = _uses(board)
    curves, without = [], []
    for name, stage in board["stages"].items():
        if not name.startswith("train/"):
            continue
        log = _log(name, folders)
        if log is None:
            without.append(name)
            continue
        facts = stage["facts"]
        kept = facts.get("best_step") or facts.get("steps")
        curves.append({"stage": name, "task": _task(board, name), **uses.get(name, _BACKBONE), "kept": kept, **log})
    return sorted(curves, key=lambda curve: _PHASES.index(curve["phase"])), without


_PHASES = ("target", "intermediate", "pretraining")
_BACKBONE = {"model": "several models", "setting": "pretraining", "phase": "pretraining", "seed": None}


def _uses(board: Mapping[str, Json]) -> dict[str, dict[str, Any]]:
    """What each training of the board is for: the last of a row is its target's, those before are intermediate phases."""
    found: dict[str, dict[str, Any]] = {}
    models: dict[str, set[str]] = {}
    for row in board["rows"]:
        for at, name in enumerate(row["stages"]["train"]):
            is_target = at == len(row["stages"]["train"]) - 1 and _task(board, name) == row["task"]
            phase = "target" if is_target else "intermediate"
            own = {"model": row["model"], "setting": row["intermediate"], "phase": phase, "seed": row["seed"]}
            found.setdefault(name, own)
        below = row["stages"]["train"][0] if row["stages"]["train"] else row["stages"]["predict"]
        for name in board["stages"].get(below, {}).get("inputs", ()):
            models.setdefault(name, set()).add(row["model"])
    for name, names in models.items():
        if name not in found and len(names) == 1:
            found[name] = {**_BACKBONE, "model": next(iter(names))}
    return found


def _task(board: Mapping[str, Json], name: str) -> str:
    return str(board["stages"].get(name, {}).get("facts", {}).get("task", "?"))


def _log(name: str, folders: Sequence[Path]) -> dict[str, Any] | None:
    """Losses and English scores of the first folder that has them."""
    for folder in folders:
        path = folder / name / LOG_FILE
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            entries = [parse_json(line, where=str(path)) for line in lines if line.strip()]
            return {"loss": _thinned(_points(entries, "loss")), "english": _points(entries, "english_score")}
        except (OSError, UnicodeDecodeError, UserError):
            continue
    return None


def _points(entries: Sequence[Any], key: str) -> list[tuple[int, float]]:
    """Step and value of the entries that have one, without losses that ran away; raises UserError for what no training wrote."""
    found = []
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("step"), int):
            raise UserError("not the log of a training", expected="a step in every line")
        if isinstance(entry.get(key), int | float) and abs(entry[key]) < _RAN_AWAY:
            found.append((entry["step"], float(entry[key])))
    return found


def _thinned(points: Sequence[tuple[int, float]]) -> list[list[float | None]]:
    """The same curve with fewer points."""
    width = -(-len(points) // _POINTS) if points else 1
    parts = [points[start : start + width] for start in range(0, len(points), width)]
    return [[part[-1][0], short(sum(value for _, value in part) / len(part))] for part in parts]
