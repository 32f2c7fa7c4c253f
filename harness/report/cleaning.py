"""Which stages of a run folder are to go: those of some cells, so that they are made again, and those that nothing asks for.

    found = find_removable(Path("runs/x"), tasks=["xnli"], languages=["de"], older=False)
    outcome = remove(found)            # under the locks of the stages; what a running process holds or reads stays

A stage goes with its cells only where no other cell of the folder rests on it.  Stages have the keys of what they do, so the same
command makes them again, to the same bytes.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from harness.api.errors import UserError, did_you_mean, raise_all
from harness.report.record.gather import request_files
from harness.report.record.newest import CellKey, FoundRequest, Settled, settle
from harness.report.record.schema import read_request
from harness.runtime.locks import LOCK_FILE, is_held, lock
from harness.runtime.stages import VERSIONS, forget, read_json

NOT_ASKED = "nothing asks for it"


class Removable(NamedTuple):
    """A stage's folder, or a request file, that is to go."""

    path: Path
    name: str
    "Below the run folder."
    why: str
    "The cells that it is of, or that nothing asks for it."
    num_bytes: int
    in_use: str
    "Why it stays all the same; empty where it does not."


@dataclass(kw_only=True, slots=True)
class Removal:
    """What became of it."""

    removed: list[Removable]
    kept: list[Removable]
    "What a running process holds or reads."


def find_removable(root: Path, *, tasks: Sequence[str], languages: Sequence[str], older: bool) -> list[Removable]:
    """The folders that serve only the cells of some tasks (names, globs, groups of the run; none = all) and languages.

    With `older` also all that no request of today rests on; with neither tasks nor languages nothing but that.  Raises UserError
    for a folder that is no run, and for names that no cell has.
    """
    errors: list[UserError] = []
    found = [FoundRequest(root, path, read_request(path)) for path in request_files(root)]
    settled = settle(found, errors)
    raise_all(errors)
    serves = _serves(root, settled)
    chosen = _chosen(settled, tasks, languages) if tasks or languages else set()
    used = dict.fromkeys(_held(root), "a running process holds it")
    used |= {name: "a running process reads it" for name in _with_inputs(root, used) if name not in used}
    shared = {name for request in settled.requests for name in _shared(root, request)}
    doomed: dict[str, str] = {}
    for name in sorted(_on_disk(root)):  # what a request file names is looked up here, never taken for a path
        if name not in serves and older:
            doomed[name] = NOT_ASKED
        elif name not in shared and serves.get(name) and serves[name] <= chosen:
            doomed[name] = _cells(serves[name])
    folders = [Removable(root / name, name, why, _size(root / name), used.get(name, "")) for name, why in doomed.items()]
    kept = {request.path for request in settled.requests}
    files = [request.path for request in found if request.path not in kept] if older else []
    return folders + [Removable(path, f"requests/{path.name}", NOT_ASKED, path.stat().st_size, "") for path in files]


def remove(found: Iterable[Removable]) -> Removal:
    """Remove what is not in use, the word that it is done first."""
    outcome = Removal(removed=[], kept=[])
    for each in found:
        if each.in_use:
            outcome.kept.append(each)
        elif each.path.is_file():
            each.path.unlink()
            outcome.removed.append(each)
        else:
            with lock(each.path, wait=False) as held:
                if held:
                    forget(each.path)
                    shutil.rmtree(each.path)
            (outcome.removed if held else outcome.kept).append(each)
    return outcome


def _serves(root: Path, settled: Settled) -> dict[str, set[CellKey]]:
    """Name of each stage that a request of today rests on -> the cells that it serves; what makes a backbone serves them all."""
    serves: dict[str, set[CellKey]] = {}
    for key, cell in settled.cells.items():
        asked = cell.asked
        names = [name for name in (*asked.train, asked.predict, asked.score) if name]
        for name in (*_with_inputs(root, names), *_shared(root, cell.request)):
            serves.setdefault(name, set()).add(key)
    return serves


def _shared(root: Path, request: FoundRequest) -> set[str]:
    """What all cells of a request rest on: the stages that make its backbone, those that chose its learning rates."""
    return {*request.content.backbone, *_with_inputs(root, request.content.rests_on)}


def _with_inputs(root: Path, names: Iterable[str]) -> set[str]:
    """Some stages and all that they read, as far as they have begun."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _inputs(root / name)
    return found


def _inputs(folder: Path) -> list[str]:
    try:
        return [str(name) for name in read_json(folder / "args.json")["inputs"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _chosen(settled: Settled, tasks: Sequence[str], languages: Sequence[str]) -> set[CellKey]:
    """The cells of today of some tasks and languages; each name must fit one."""
    groups = {name: group.tasks for name, group in settled.groups}
    chosen = set(settled.cells)
    for field, flag, names in (("task", "--tasks", tasks), ("lang", "--languages", languages)):
        fitting: set[CellKey] = set()
        for name in names:
            patterns = groups.get(name, (name,)) if field == "task" else (name,)
            own = {key for key in settled.cells if any(fnmatchcase(getattr(key, field), pattern) for pattern in patterns)}
            if not own:
                known = [*(getattr(key, field) for key in settled.cells), *(groups if field == "task" else ())]
                raise UserError(f"no cell of the run has the {field} '{name}'", where=flag, todo=did_you_mean(name, known))
            fitting |= own
        chosen = chosen & fitting if names else chosen
    if not chosen:
        raise UserError("no cell of the run has these tasks in these languages", where="--tasks, --languages")
    return chosen


def _cells(keys: Iterable[CellKey]) -> str:
    """The tasks of some cells, with their languages where they are few."""
    langs: dict[str, dict[str, None]] = {}
    for key in sorted(keys, key=str):
        langs.setdefault(key.task, {})[key.lang] = None
    return "; ".join(f"{task} in {', '.join(own) if len(own) <= 5 else f'{len(own)} languages'}" for task, own in langs.items())


def _on_disk(root: Path) -> Iterator[str]:
    """Names of all stages that have a folder; a link is nobody's to remove."""
    for verb in VERSIONS:
        for folder in (root / verb).glob("*"):
            if folder.is_dir() and not folder.is_symlink():
                yield f"{verb}/{folder.name}"


def _held(root: Path) -> list[str]:
    """Stages whose lock some process has."""
    return [name for name in _on_disk(root) if (root / name / LOCK_FILE).is_file() and is_held(root / name)]


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
