"""Which finished predictions of a run go into a submission: those of one model, intermediate setting, recipe and seed.

picked = choose([Path("runs/x")], Wanted(intermediate="mnli", seed=1), partial=False)
picked["xnli"].cells["de"].folder        # runs/x/predict/...

A run may hold several of each; the user says which.  A submission is made of whole test sets: samples (`--limit`) are no part
of it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.api.errors import UserError, did_you_mean, raise_all
from harness.report.record.gather import CellRecord, gather
from harness.report.record.newest import CellKey
from harness.report.record.stage_facts import portable
from harness.report.submission.xtreme_format import TASKS, OfficialTask

_PLURALS = {"model": "models", "intermediate": "intermediate settings", "recipe": "recipes", "seed": "training seeds"}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the user chose; None leaves open what the run has only one of."""

    model: str | None = None
    intermediate: str | None = None
    recipe: str | None = None
    seed: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PickedCell:
    """The predictions of one language."""

    asked: CellRecord
    folder: Path
    "The finished predict stage."


@dataclass(frozen=True, kw_only=True, slots=True)
class PickedTask:
    """The predictions that fill one folder of the submission."""

    task: OfficialTask
    source: str
    "Task of this project."
    cells: Mapping[str, PickedCell]
    "By language, in the order of XTREME's script."
    missing: Mapping[str, str]
    "Language -> why it is left out; empty unless partial."


def choose(runs: Sequence[Path], wanted: Wanted, *, partial: bool) -> dict[str, PickedTask]:
    """The cells of all nine tasks in all their languages; with `partial` whatever of them is complete.

    Raises UserError for everything that is ambiguous or missing, listing what there is.
    """
    names = {source for task in TASKS.values() for source in _sources(task)}
    cells = [cell for cell in gather(runs).cells if cell.key.task in names]
    if not cells:
        raise UserError("no task of XTREME in this run", where=_shown(runs), expected="one of " + ", ".join(sorted(names)))
    cells = _narrowed(cells, wanted, finished={cell.key for cell in cells if _finished(cell, runs)})
    picked: dict[str, PickedTask] = {}
    errors: list[UserError] = []
    absent = []
    for task in TASKS.values():
        found = _pick(task, cells, runs, errors)
        if found is None:
            absent.append(task.name)
        elif found.missing and not partial:
            errors.append(_incomplete(found))
        elif found.cells:
            picked[task.name] = found
    if absent and not partial:
        todo = "run them into the same --output_path, or give several runs, or export what is there with --partial"
        message = f"{len(absent)} of the {len(TASKS)} tasks of XTREME are not in the run"
        errors.insert(0, UserError(message, where=_shown(runs), found="no " + ", ".join(absent), todo=todo))
    raise_all(errors)
    if not picked:
        raise UserError("nothing in this run is complete", where=_shown(runs), todo="a submission needs runs without --limit")
    return picked


def _sources(task: OfficialTask) -> tuple[str, ...]:
    return task.sources or (task.name,)


def _shown(runs: Sequence[Path]) -> str:
    return ", ".join(map(str, runs))


def _narrowed(cells: Sequence[CellRecord], wanted: Wanted, *, finished: Collection[CellKey]) -> list[CellRecord]:
    """The cells of one model, setting, recipe and seed; what was not trained belongs to every recipe and seed.

    A run that was killed before it had predicted anything leaves nothing to choose from: what no finished cell has is no choice.
    """
    errors: list[UserError] = []
    kept = list(cells)
    for field, plural in _PLURALS.items():
        chosen: Any = getattr(wanted, field)
        if field == "model" and chosen is not None:
            chosen = portable(chosen)
        values = _values(kept, field)
        there = _values([cell for cell in kept if cell.key in finished], field)
        if chosen is None and len(there) == 1 and len(values) > 1:
            kept = [cell for cell in kept if getattr(cell.key, field) in (there[0], None)]
        elif chosen is None and len(values) > 1:
            values = there or values
            found = ", ".join(map(str, sorted(values)))
            errors.append(
                UserError(f"the run holds {len(values)} {plural}", found=found, todo=f"choose one, e.g. --{field} {values[0]}")
            )
        elif chosen is not None and chosen not in values:
            todo = did_you_mean(str(chosen), map(str, values))
            errors.append(UserError(f"no predictions with {field} '{chosen}' in the run", where=f"--{field}", todo=todo))
        elif chosen is not None:
            kept = [cell for cell in kept if getattr(cell.key, field) in (chosen, None)]
    raise_all(errors)
    return kept


def _values(cells: Sequence[CellRecord], field: str) -> list[Any]:
    """The values of a field among some cells, each once; what serves every value is left out."""
    return list(dict.fromkeys(value for cell in cells if (value := getattr(cell.key, field)) is not None))


def _pick(task: OfficialTask, cells: Sequence[CellRecord], runs: Sequence[Path], errors: list[UserError]) -> PickedTask | None:
    """The cells of one task, of the first of its sources that has any finished; None if it was not asked for."""
    found: list[PickedTask] = []
    for source in _sources(task):
        own = [cell for cell in cells if cell.key.task == source]
        if own:
            found.append(_of_source(task, source, own, runs, errors))
    return next((one for one in found if one.cells), found[0] if found else None)


def _of_source(
    task: OfficialTask, source: str, cells: Sequence[CellRecord], runs: Sequence[Path], errors: list[UserError]
) -> PickedTask:
    picked: dict[str, PickedCell] = {}
    missing: dict[str, str] = {}
    for lang in task.languages:
        own = [cell for cell in cells if cell.key.lang == lang]
        whole = [cell for cell in own if cell.key.limit is None]
        folders = {cell: folder for cell in whole if (folder := _finished(cell, runs))}
        if len(folders) > 1:
            found = "; ".join(", ".join(f"{name} {value}" for name, value in cell.key._asdict().items()) for cell in folders)
            todo = "export from a run folder that holds one of them"
            errors.append(UserError(f"several predictions for {source} in {lang}", found=found, todo=todo))
        if folders:
            asked, folder = next(iter(folders.items()))
            picked[lang] = PickedCell(asked=asked, folder=folder)
        elif whole:
            missing[lang] = whole[0].reason or "not finished"
        else:
            missing[lang] = f"only a part of its rows (--limit {own[0].key.limit})" if own else "not in the run"
    return PickedTask(task=task, source=source, cells=picked, missing=missing)


def _finished(cell: CellRecord, runs: Sequence[Path]) -> Path | None:
    """The folder of a cell's predictions, if they are complete in one of the runs."""
    folders = [run / cell.predict for run in runs if cell.predict]
    return next((folder for folder in folders if (folder / "done.json").is_file()), None)


def by_reason(missing: Mapping[str, str]) -> str:
    """'fr, ru (not in the run); zh (not finished)'."""
    reasons: dict[str, list[str]] = {}
    for lang, reason in missing.items():
        reasons.setdefault(reason, []).append(lang)
    return "; ".join(f"{', '.join(langs)} ({reason})" for reason, langs in reasons.items())


def _incomplete(picked: PickedTask) -> UserError:
    message = f"{len(picked.missing)} of {len(picked.task.languages)} languages of {picked.source} are not complete"
    return UserError(message, found=by_reason(picked.missing), todo="run them, or export the rest with --partial")
