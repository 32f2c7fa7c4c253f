"""Pairs the cells of A with those of B, and says of every other cell why it has no partner.

    found = pair_up(a, b)
    found.units[0].pairs        # one pair of finished cells for each seed
    found.unpaired[0].reason    # 'A was not run with seed 3 (its seeds: 1, 2)'

A field in which each side has one value, or that a selector fixed, is what the sides differ in; in every other field a pair is
equal.  Cells that are not trained have no seed and no recipe: they stand against every seed and recipe.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple, TypeAlias

from harness.api.errors import UserError
from harness.report.comparison.systems import System, arm_value
from harness.report.record.gather import CellRecord

ARM_FIELDS = ("model", "intermediate", "recipe", "limit", "route")
Value: TypeAlias = str | int | None
_TASK_IDENTITY = ("type", "version", "score")


class ContrastSide(NamedTuple):
    """What one side of a contrast is; None in recipe and route = any."""

    model: Value
    intermediate: Value
    recipe: Value
    limit: Value
    route: Value


class Contrast(NamedTuple):
    """An arm of A against an arm of B."""

    a: ContrastSide
    b: ContrastSide


class Pair(NamedTuple):
    """Two cells of the same examples."""

    a: CellRecord
    b: CellRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedCell:
    """One contrast in one language of one task; its seeds are averaged."""

    contrast: Contrast
    task: str
    lang: str
    pairs: Sequence[Pair]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unpaired:
    """A cell without a partner, or two that cannot be compared."""

    contrast: Contrast
    side: str
    "Where it was asked for: 'A', 'B' or 'A, B'."
    cell: CellRecord
    "Of two, that of B."
    reason: str


@dataclass(kw_only=True, slots=True)
class Pairs:
    """All that two systems have in common, and all that they have not."""

    units: list[PairedCell] = field(default_factory=list)
    unpaired: list[Unpaired] = field(default_factory=list)


def pair_up(a: System, b: System) -> Pairs:
    """Find the pairs; raises UserError if A and B are the same cells throughout."""
    crossed = {name: values for name in ARM_FIELDS if (values := _crossed(name, a, b))}
    strict = [name for name in ("model", "intermediate", "limit") if name not in crossed]
    loose = [name for name in ("recipe", "route") if name not in crossed]
    across_seeds = bool(a.selectors.get("seed") and b.selectors.get("seed")) and all(len(s.values("seed")) == 1 for s in (a, b))
    found, all_same = Pairs(), True
    for choice in product(*(product(va, vb) for va, vb in crossed.values())):
        wanted = [dict(zip(crossed, values, strict=True)) for values in (zip(*choice, strict=True) if choice else ((), ()))]
        sides = [_by_place([c for c in s.cells if _matches_values(c, w)], strict) for s, w in zip((a, b), wanted, strict=True)]
        for place in dict.fromkeys([*sides[0], *sides[1]]):
            cells_a, cells_b = sides[0].get(place, []), sides[1].get(place, [])
            free = across_seeds or _seeds_mean_nothing(cells_a, cells_b, is_crossed="route" in crossed)
            pairs = _matches(cells_a, cells_b, loose=loose, across_seeds=free)
            pairs = [pair for pair in pairs if not _is_same_cell(pair)]
            if not pairs and any(_is_same_cell(Pair(x, y)) for x in cells_a for y in cells_b):
                continue
            all_same = False
            _add_pairs(found, _Place(a, b, cells_a, cells_b, wanted), pairs)
    if all_same:
        raise UserError("A and B are the same cells", expected="two systems that differ", todo="see compare --help for selectors")
    return found


class _Place(NamedTuple):
    """The cells of both sides that may be paired: of one task and language, and equal in every field that must be."""

    a: System
    b: System
    cells_a: Sequence[CellRecord]
    cells_b: Sequence[CellRecord]
    wanted: Sequence[Mapping[str, Value]]


def _crossed(name: str, a: System, b: System) -> tuple[list[Value], list[Value]] | None:
    """The values of either side if the sides may differ in this field, None if pairs must be equal in it."""
    values = a.values(name), b.values(name)
    least, most = sorted(map(len, values))
    chosen = name in a.selectors or name in b.selectors
    return values if most <= 1 or (chosen and least <= 1) else None


def _matches_values(cell: CellRecord, wanted: Mapping[str, Value]) -> bool:
    return all(_agree(name, arm_value(cell.key, name), value) for name, value in wanted.items())


def _agree(name: str, one: Value, other: Value) -> bool:
    return one == other or (name in ("recipe", "route") and None in (one, other))


def _by_place(cells: Iterable[CellRecord], strict: Sequence[str]) -> dict[tuple[Value, ...], list[CellRecord]]:
    found: dict[tuple[Value, ...], list[CellRecord]] = {}
    for cell in cells:
        place = (cell.key.task, cell.key.lang, *(arm_value(cell.key, name) for name in strict))
        found.setdefault(place, []).append(cell)
    return found


def _is_same_cell(pair: Pair) -> bool:
    """Whether both are the very same cell of the same run."""
    return pair.a is pair.b


def _seeds_mean_nothing(cells_a: Sequence[CellRecord], cells_b: Sequence[CellRecord], *, is_crossed: bool) -> bool:
    """Whether the sides are asked on other routes and trained with other seeds: a head and words share nothing by their seed."""
    seeds = [{cell.key.seed for cell in cells} - {None} for cells in (cells_a, cells_b)]
    routes = [{arm_value(cell.key, "route") for cell in cells} for cells in (cells_a, cells_b)]
    return is_crossed and all(seeds) and seeds[0] != seeds[1] and not routes[0] & routes[1]


def _matches(
    cells_a: Sequence[CellRecord], cells_b: Sequence[CellRecord], *, loose: Sequence[str], across_seeds: bool
) -> list[Pair]:
    """Each cell with that of the other side that has its seed and recipe, or else with the one that serves all.

    Across seeds each cell stands against each: the means over pairs are then the means over the seeds of either side.
    """

    def closeness(a: CellRecord, b: CellRecord) -> int:
        """0 = no pair."""
        fields = [(arm_value(a.key, name), arm_value(b.key, name)) for name in loose]
        fields += [] if across_seeds else [(a.key.seed, b.key.seed)]
        if any(one != other and None not in (one, other) for one, other in fields):
            return 0
        return 1 + sum(one == other for one, other in fields)

    pairs: dict[Pair, None] = {}
    if across_seeds:
        pairs = {Pair(a, b): None for a in cells_a for b in cells_b if closeness(a, b)}
    for own, others, turned in ((cells_b, cells_a, True), (cells_a, cells_b, False)) if not across_seeds else ():
        for cell in own:
            best = max(others, key=lambda other: closeness(cell, other), default=None)
            if best is not None and closeness(cell, best):
                pairs[Pair(best, cell) if turned else Pair(cell, best)] = None
    return sorted(pairs, key=lambda pair: (pair.a.key.seed or 0, pair.b.key.seed or 0))


def _add_pairs(found: Pairs, place: _Place, pairs: Sequence[Pair]) -> None:
    """Add the finished pairs as units, one for each contrast, and say of all other cells why they are in none."""
    units: dict[Contrast, list[Pair]] = {}
    for pair in pairs:
        contrast = _contrast(pair, place.wanted)
        reason = _obstacle(pair, place)
        if reason:
            found.unpaired.append(Unpaired(contrast=contrast, side="A, B", cell=pair.b, reason=reason))
        else:
            units.setdefault(contrast, []).append(pair)
    for contrast, members in units.items():
        key = members[0].a.key
        found.units.append(PairedCell(contrast=contrast, task=key.task, lang=key.lang, pairs=members))
    paired = {id(cell) for pair in pairs for cell in pair}
    sides = (("A", place.cells_a, place.b, place.cells_b), ("B", place.cells_b, place.a, place.cells_a))
    for side, cells, other, partners in sides:
        for cell in cells:
            if id(cell) not in paired:
                contrast = _contrast(Pair(cell, cell), place.wanted)
                reason = _why_unpaired(cell, other, partners, crossed=place.wanted[0])
                found.unpaired.append(Unpaired(contrast=contrast, side=side, cell=cell, reason=reason))


def _contrast(pair: Pair, wanted: Sequence[Mapping[str, Value]]) -> Contrast:
    """The arms of a pair: what the contrast says, and in all other fields what the pair has in common."""
    arms = []
    for chosen in wanted:
        values = []
        for name in ARM_FIELDS:
            own = [arm_value(cell.key, name) for cell in pair]
            values.append(chosen[name] if name in chosen else own[0] if own[0] is not None else own[1])
        arms.append(ContrastSide(*values))
    return Contrast(*arms)


def _obstacle(pair: Pair, place: _Place) -> str:
    """Why two cells that belong together cannot be compared; '' if they can."""
    for side, cell in zip("AB", pair, strict=True):
        if cell.folder is None:
            return f"{side}: {cell.reason}"
    task, other = (system.material.tasks[pair.a.key.task] for system in (place.a, place.b))
    for name in _TASK_IDENTITY:
        if getattr(task, name) != getattr(other, name):
            return f"the task's {name} differs: {getattr(task, name)} in A, {getattr(other, name)} in B"
    data = [
        system.material.stages.get(cell.predict or "", {}).get("data", {}).get("data")
        for system, cell in zip(place[:2], pair, strict=True)
    ]
    if None not in data and data[0] != data[1]:
        return f"other test data: fingerprint {data[0]} in A, {data[1]} in B"
    return ""


def _why_unpaired(cell: CellRecord, other: System, partners: Sequence[CellRecord], *, crossed: Collection[str]) -> str:
    """Why the other side has no partner for a cell."""
    if partners:
        seeds = sorted({str(partner.key.seed) for partner in partners})
        if str(cell.key.seed) not in seeds:
            return f"{other.name} was not run with seed {cell.key.seed} (its seeds: {', '.join(seeds)})"
        return f"{other.name} has it with another recipe or route"
    if all(asked.key.task != cell.key.task for asked in other.cells):
        return f"{other.name} lacks the task"
    if all((asked.key.task, asked.key.lang) != (cell.key.task, cell.key.lang) for asked in other.cells):
        return f"{other.name} lacks the language"
    for name in ("model", "intermediate", "limit"):
        if name not in crossed and arm_value(cell.key, name) not in other.values(name):
            return f"{other.name} has no {name} {arm_value(cell.key, name)}"
    return f"{other.name} has no such cell"
