"""Which request has the last word on each cell of a run folder: the newest; what older ones had in its place is kept apart.

    settled = settle([FoundRequest(root, path, read_request(path)) for ...])
    settled.cells[key].asked, settled.older[0].newer

A folder survives a change of mind: a row, a prompt or a dtype is edited and the same command is given again.  Within a folder the
newest request of a cell wins, by the date that request files hold; two folders must not contradict each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from harness.api.errors import UserError
from harness.report.record.schema import RequestedCell, RequestedGroup, RequestedModel, RequestedTask, RequestFile
from harness.report.record.stage_facts import portable
from harness.specs.limit import Limit
from harness.specs.model import Spec

MODEL_IDENTITY = ("adapter", "fingerprint", "dtype")
"In what two entries of a model's name must agree to share a board."
TASK_IDENTITY = ("type", "version", "score", "chance")


class CellKey(NamedTuple):
    """What a score is of; one row of the board."""

    model: str
    intermediate: str
    task: str
    lang: str
    seed: int | None
    recipe: str | None
    route: str
    limit: Limit | None


class FoundRequest(NamedTuple):
    """A request file of a run folder."""

    root: Path
    path: Path
    content: RequestFile

    @property
    def age(self) -> tuple[str, str]:
        """What requests are sorted by, the newest last; those of earlier versions have no date and come first."""
        return self.content.date, self.path.name


class AskedCell(NamedTuple):
    """A cell as one request asks for it."""

    asked: RequestedCell
    request: FoundRequest


class OlderCell(NamedTuple):
    """A cell of an older request that stands on no board any more."""

    cell: AskedCell
    newer: AskedCell | None
    "What stands in its place; None where nothing does: its model or task is another one now."
    changed: tuple[str, ...]
    "How model and task differ from those of today, e.g. 'model tiny: dtype float32 → bfloat16'."


@dataclass(kw_only=True, slots=True)
class Settled:
    """What counts of some requests."""

    cells: dict[CellKey, AskedCell] = field(default_factory=dict)
    older: list[OlderCell] = field(default_factory=list)
    models: list[tuple[str, RequestedModel]] = field(default_factory=list)
    "Name and entry of every request that has one of today, by its portable name."
    tasks: list[tuple[str, RequestedTask]] = field(default_factory=list)
    groups: list[tuple[str, RequestedGroup]] = field(default_factory=list)
    requests: list[FoundRequest] = field(default_factory=list)
    "Those of which at least one cell counts, in the order of their files."


def cell_key(cell: RequestedCell) -> CellKey:
    """The row of the board; without training the recipe means nothing, and a seed is that of what is drawn for prompts."""
    trained = bool(cell.train) or (cell.score is None and cell.seed is not None)
    return CellKey(
        model=portable(cell.model),
        intermediate=cell.intermediate,
        task=cell.task,
        lang=cell.lang,
        seed=cell.seed,
        recipe=cell.recipe if trained else None,
        route=cell.route,
        limit=cell.limit,
    )


def settle(found: Sequence[FoundRequest], errors: list[UserError]) -> Settled:
    """The newest word on each cell of each folder; contradictions that no date decides are added to `errors`."""
    whole = Settled()
    folders: list[dict[CellKey, AskedCell]] = []
    for root in dict.fromkeys(request.root for request in found):
        own = sorted((request for request in found if request.root == root), key=lambda request: request.age, reverse=True)
        folders.append(_settle_folder(own, whole, errors))
    given_up = {(cell_key(old.cell.asked), old.cell.asked.score) for old in whole.older}
    for cells in folders:
        for key, cell in cells.items():
            other = whole.cells.get(key)
            if other is None or other.asked.score is None:
                whole.cells[key] = cell
            elif cell.asked.score not in (None, other.asked.score):
                if (key, other.asked.score) in given_up:  # a copy of what its own folder has given up since
                    whole.cells[key] = cell
                elif (key, cell.asked.score) not in given_up:
                    errors.append(_contradiction(key, cell, other))
    used = {cell.request.path for cell in whole.cells.values()}
    whole.requests = [request for request in found if request.path in used or not request.content.cells]
    return whole


def _settle_folder(newest_first: Sequence[FoundRequest], whole: Settled, errors: list[UserError]) -> dict[CellKey, AskedCell]:
    """The cells of one folder; models, tasks, groups and older cells are added to the whole."""
    cells: dict[CellKey, AskedCell] = {}
    models: dict[str, RequestedModel] = {}
    tasks: dict[str, RequestedTask] = {}
    groups: dict[str, RequestedGroup] = {}
    undated: set[str] = set()
    for request in newest_first:
        content = request.content
        changed = {
            **_changed("model", {portable(name): model for name, model in content.models.items()}, models, MODEL_IDENTITY),
            **_changed("task", content.tasks, tasks, TASK_IDENTITY),
        }
        if not content.date and undated & set(changed):
            changed = {}  # nothing says which is the newer one: that they differ is an error elsewhere
        for asked in content.cells:
            key, cell = cell_key(asked), AskedCell(asked, request)
            about = tuple(changed[name] for name in (f"model {key.model}", f"task {key.task}") if name in changed)
            newer = cells.get(key)
            if not about and (newer is None or (newer.asked.score is None and asked.score is not None)):
                cells[key] = cell  # where the newer request cannot have it, nothing comes in the place of what was had
            elif about or (newer is not None and asked.score not in (None, newer.asked.score)):
                if newer is not None and not newer.request.content.date:
                    errors.append(_contradiction(key, cell, newer))
                else:
                    whole.older.append(OlderCell(cell, newer, about))
        kept = [(kind, name) for kind, names in (("model", content.models), ("task", content.tasks)) for name in names]
        undated |= {f"{kind} {portable(name)}" for kind, name in kept} if not content.date else set()
        for name, model in content.models.items():
            if f"model {portable(name)}" not in changed:
                models.setdefault(portable(name), model)
                whole.models.append((portable(name), model))
        for name, task in content.tasks.items():
            if f"task {name}" not in changed:
                tasks.setdefault(name, task)
                whole.tasks.append((name, task))
        for name, group in content.groups.items():
            if groups.setdefault(name, group).aggregate == group.aggregate or not content.date:
                whole.groups.append((name, group))
    return cells


def _changed(kind: str, own: Mapping[str, Spec], newer: Mapping[str, Spec], identity: Sequence[str]) -> dict[str, str]:
    """`kind name` -> how an entry differs from the newer one of its name, for those that do."""
    found: dict[str, str] = {}
    for name, entry in own.items():
        pairs = [(field, getattr(entry, field), getattr(newer[name], field)) for field in identity] if name in newer else []
        texts = [f"{field} {_text(old)} → {_text(new)}" for field, old, new in pairs if None not in (old, new) and old != new]
        if texts:
            found[f"{kind} {name}"] = f"{kind} {name}: {', '.join(texts)}"
    return found


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _contradiction(key: CellKey, cell: AskedCell, other: AskedCell) -> UserError:
    named = ", ".join(f"{name} {value}" for name, value in key._asdict().items() if value is not None)
    return UserError(
        f"two different results for one cell: {named}",
        where=str(cell.request.path),
        expected=f"{other.asked.score}, as in {other.request.path}",
        found=str(cell.asked.score),
        todo="data, tasks or settings differ: give the right command once more (the newest counts), or make a board for each",
    )
