"""The two sides of a comparison: system A, the baseline, and system B, each a selection of the cells of a run.

a, b = find_systems(["runs/x"])                                     # none against every other intermediate setting
a, b = find_systems(["runs/base:intermediate=mnli", "runs/large:intermediate=mnli"])
parse_selectors("intermediate=mnli,seed=1", where="--b")            # {"intermediate": ("mnli",), "seed": ("1",)}
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple, TypeAlias

from harness.api.errors import UserError, did_you_mean
from harness.report.board.number_format import NONE
from harness.report.record.gather import CellRecord, Material, gather
from harness.report.record.newest import CellKey

FIELDS = ("model", "intermediate", "recipe", "route", "limit", "seed")
"What a selector can name."
Selectors: TypeAlias = Mapping[str, tuple[str, ...]]
"Field -> patterns, of which one must fit."
_UNTRAINED = ("recipe", "seed")  # None in these means that nothing was trained: such a cell serves every recipe and seed


class Scope(NamedTuple):
    """The tasks and languages that a comparison is limited to; empty = all of them."""

    tasks: Sequence[str] = ()
    "Names, globs or groups."
    languages: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class System:
    """One side of a comparison."""

    name: str
    "A or B."
    run: Path
    material: Material
    cells: Sequence[CellRecord]
    selectors: Selectors
    narrowed: bool = False
    "Whether the user asked for some languages only."

    def values(self, field: str) -> list[str | int | None]:
        """The values of a field among its cells; what serves every value is left out unless there is nothing else."""
        found = {arm_value(cell.key, field) for cell in self.cells}
        return sorted(
            found - {None} if field != "limit" and found != {None} else found, key=lambda value: (str(type(value)), value)
        )


def arm_value(key: CellKey, field: str) -> str | int | None:
    """What a cell is in a field; None where it serves every value: untrained cells any recipe, retrieval any route."""
    if field == "route" and key.route == "embedding":
        return None
    value: str | int | None = getattr(key, field)
    return value


def split_run(word: str) -> tuple[Path, Selectors]:
    """`folder:model=...,seed=...` -> the folder and its selectors."""
    found = re.match(rf"(.*?):((?:{'|'.join(FIELDS)})=.*)$", word)
    if found:
        return Path(found[1]), parse_selectors(found[2], where=word)
    if not Path(word).is_dir() and (typo := re.match(r"(.*?):(\w+)=", word)):
        raise _unknown(typo[2], where=word)
    return Path(word), {}


def parse_selectors(text: str, *, where: str) -> Selectors:
    """`field=value,...`; of a field that comes twice either value fits, `*` stands for anything.  Raises UserError for others."""
    found: dict[str, tuple[str, ...]] = {}
    for part in re.split(r",(?=\s*\w+=)", text) if text else []:
        field, sign, value = (word.strip() for word in part.partition("="))
        if not sign or not value:
            raise UserError("no selector", where=where, expected="e.g. intermediate=mnli,seed=1", found=part)
        if field not in FIELDS:
            raise _unknown(field, where=where)
        found[field] = (*found.get(field, ()), value)
    return found


def find_systems(words: Sequence[str], *, a: str = "", b: str = "", scope: Scope | None = None) -> tuple[System, System]:
    """Systems A and B of one run, or of two; of one, A is `none` and B everything else where selectors do not say otherwise.

    Selectors after the name of the only run hold for both sides.  Raises UserError where a selector fits no cell, or a folder
    is no run.
    """
    runs = [split_run(word) for word in words]
    chosen_a, chosen_b = parse_selectors(a, where="--a"), parse_selectors(b, where="--b")
    if len(runs) == 2:
        chosen_a, chosen_b = _merged(runs[0][1], chosen_a), _merged(runs[1][1], chosen_b)
        same = runs[0][0].resolve() == runs[1][0].resolve()
        materials = [gather([runs[0][0]])] * 2 if same else [gather([run]) for run, _ in runs]
        cells = [cells_in_scope(material, scope) for material in materials]
    else:
        materials = [gather([runs[0][0]])] * 2
        common = chosen_cells(cells_in_scope(materials[0], scope), runs[0][1], where=words[0])
        cells = [common, common]
        if not chosen_a and set(chosen_b) - {"intermediate"}:
            raise UserError("what is B set against?", where="--b", found=b, todo="say it with --a, e.g. --a model=...")
        chosen_a = chosen_a or {"intermediate": (NONE,)}
    side_a = chosen_cells(cells[0], chosen_a, where=f"A, {words[0]}")
    if len(runs) == 1 and set(chosen_a) - set(chosen_b):
        # What A names and B leaves open is everything else of the run.
        taken = {cell.key for cell in side_a}
        cells[1] = [cell for cell in cells[1] if cell.key not in taken]
        if not cells[1]:
            raise UserError("there is nothing but A in this run", where=words[0], todo=_other_sides(common))
    side_b = chosen_cells(cells[1], chosen_b, where=f"B, {words[-1]}")
    narrowed = bool(scope and scope.languages)
    return (
        System(name="A", run=runs[0][0], material=materials[0], cells=side_a, selectors=chosen_a, narrowed=narrowed),
        System(name="B", run=runs[-1][0], material=materials[1], cells=side_b, selectors=chosen_b, narrowed=narrowed),
    )


def _other_sides(cells: Sequence[CellRecord]) -> str:
    """What else the cells of a run may be set against each other by."""
    for field in ("route", "model", "recipe", "limit"):
        values = sorted({_text(value) for cell in cells if (value := arm_value(cell.key, field)) is not None})
        if len(values) > 1:
            a, b = (f'"{field}={value}"' for value in values[:2])
            return f"name another run, or the sides: --a {a} --b {b}"
    return "name another run, or run more settings"


def _merged(first: Selectors, second: Selectors) -> Selectors:
    return {field: (*first.get(field, ()), *second.get(field, ())) for field in {**first, **second}}


def cells_in_scope(material: Material, scope: Scope | None) -> Sequence[CellRecord]:
    """The cells of the tasks (names, globs, groups of the run) and languages asked for; each name must fit something."""
    cells: Sequence[CellRecord] = material.cells
    for field, patterns in (("task", scope.tasks if scope else ()), ("lang", scope.languages if scope else ())):
        wanted = set()
        for pattern in patterns:
            members = material.groups[pattern].tasks if field == "task" and pattern in material.groups else (pattern,)
            fitting = {
                name for cell in cells for name in [getattr(cell.key, field)] if any(fnmatchcase(name, m) for m in members)
            }
            if not fitting:
                known = {getattr(cell.key, field) for cell in cells} | (set(material.groups) if field == "task" else set())
                raise UserError(f"no cell has the {field} '{pattern}'", todo=did_you_mean(pattern, known))
            wanted |= fitting
        cells = [cell for cell in cells if getattr(cell.key, field) in wanted] if patterns else cells
    return cells


def chosen_cells(cells: Sequence[CellRecord], selectors: Selectors, *, where: str) -> Sequence[CellRecord]:
    """The cells that fit every selector; each must fit some cell."""
    for field, patterns in selectors.items():
        known = {_text(getattr(cell.key, field)) for cell in cells}
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in known):
                raise UserError(f"no cell has the {field} '{pattern}'", where=where, todo=did_you_mean(pattern, known))
    found = [cell for cell in cells if all(_fits(cell.key, field, patterns) for field, patterns in selectors.items())]
    if not found:
        raise UserError("no cell fits all of these", where=where, found=", ".join(selectors), todo="leave one of them out")
    return found


def _fits(key: CellKey, field: str, patterns: Sequence[str]) -> bool:
    value = getattr(key, field)
    return (value is None and field in _UNTRAINED) or any(fnmatchcase(_text(value), pattern) for pattern in patterns)


def _text(value: str | int | None) -> str:
    return NONE if value is None else str(value)


def _unknown(field: str, *, where: str) -> UserError:
    return UserError(f"unknown selector '{field}'", where=where, todo=did_you_mean(field, FIELDS))
