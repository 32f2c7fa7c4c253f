"""Which cells share batches, and of what size: written down when they begin, so that an interrupted bundle goes on as it began.

shared = shared_batches(stages, todo=todo, root=root, sizes=BatchSizes(4096, first=1))     # [SharedBatches(stages=[...]), ...]
ceiling = recorded_ceiling(lambda: folders, tokens=4096, rank=0, lock=lock)                # what was learnt where memory ran out
"""

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from harness.prediction.cell import PredictStage
from harness.runtime.budget import Ceiling
from harness.runtime.stages import read_json, write_json

BUNDLE_FILE = "bundle.json"
"Keys of the cells whose features are put into batches with those of this cell, and the sizes of these."
CEILING_FILE = "bundle-ceiling-{rank}.json"
"Where memory ran out in a process: number of the batch, and the tokens of a forward pass from there on."


class BatchSizes(NamedTuple):
    """How features are put into batches."""

    tokens: int
    "Padded tokens of a batch."
    first: int
    "Batches of the first portion of cells (encoding.py); 0 = all cells are one portion."


class SharedBatches(NamedTuple):
    """Cells whose features share batches."""

    stages: list[PredictStage]
    sizes: BatchSizes


def shared_batches(
    stages: Sequence[PredictStage], *, todo: Sequence[PredictStage], root: Path, sizes: BatchSizes, wanted: bool = False
) -> list[SharedBatches]:
    """The groups of cells that share batches, and that hold all of `todo`.

    An interrupted group comes again as it was, finished cells included, so that the rest gets the batches it would have had.
    What has not begun is a group of its own: a language added later does not touch the others.  `sizes` are those of batches
    where nothing is written down; with `wanted` (--batch_tokens) their tokens count in any case.
    """
    by_key = {stage.key: stage for stage in stages}
    groups: list[tuple[list[str], BatchSizes]] = []
    waiting = {stage.key: stage for stage in todo}
    asked = set(waiting)
    for stage in todo:
        if stage.key not in waiting:
            continue  # of a group that has been read
        keys, had = _recorded(stage.folder(root))
        # Of a bundle that another run began with some of its cells, these belong to that one: no cell is in two.
        if had is not None and stage.key in keys and by_key.keys() >= set(keys) and waiting.keys() >= asked & set(keys):
            groups.append((keys, had._replace(tokens=sizes.tokens) if wanted else had))
            for key in keys:
                waiting.pop(key, None)
    if waiting:
        groups.append((list(waiting), sizes))
    for keys, own in groups:
        _record([by_key[key].folder(root) for key in keys if key in asked], keys, own)
    return [SharedBatches([by_key[key] for key in keys], own) for keys, own in groups]


def forget_cells(groups: Sequence[SharedBatches], *, lost: Collection[str], todo: Sequence[PredictStage], root: Path) -> None:
    """Write down that cells which cannot be predicted share no batches."""
    folders = {stage.key: stage.folder(root) for stage in todo}
    for group in groups:
        keys = [stage.key for stage in group.stages]
        left = [key for key in keys if key not in lost]
        if len(left) < len(keys):
            _record([folders[key] for key in left if key in folders], left, group.sizes)
            for key in keys:
                if key in lost and key in folders:
                    remove_bundle_files(folders[key])
                    _record([folders[key]], [key], group.sizes)


def recorded_ceiling(
    folders: Callable[[], Sequence[Path]], *, tokens: int, rank: int, lock: AbstractContextManager[Any]
) -> Ceiling:
    """What a process has learnt of its memory with the cells of some folders.

    What it learns is written into those that `folders` gives then; nobody finishes a cell meanwhile who takes the `lock`.
    """
    name = CEILING_FILE.format(rank=rank)
    known = max((_learnt(folder / name) for folder in folders()), key=len, default=[])

    def write_down(learnt: Sequence[tuple[int, int]]) -> None:
        with lock:
            for folder in folders():
                write_json(folder / name, [list(one) for one in learnt])

    return Ceiling(tokens, learnt=known, on_learning=write_down)


def remove_bundle_files(folder: Path) -> None:
    """Remove what only unfinished cells need of this."""
    for path in folder.glob("bundle*.json"):
        path.unlink(missing_ok=True)


def _record(folders: Sequence[Path], keys: Sequence[str], sizes: BatchSizes) -> None:
    """Write into each folder which cells share batches: one file with as many names, else each of n cells would write n keys."""
    source = None
    for folder in folders:
        path = folder / BUNDLE_FILE
        if source is None or not _is_linked(source, path):
            write_json(path, {"keys": list(keys), **sizes._asdict()})
            source = path


def _is_linked(source: Path, path: Path) -> bool:
    """Give a file one more name by rename; False where the file system cannot, or where it has too many already."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, temporary)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        return False
    return True


def _recorded(folder: Path) -> tuple[list[str], BatchSizes | None]:
    """The keys and the sizes of a bundle; none where nothing (or nothing that can be read) is written down."""
    found = _read(folder / BUNDLE_FILE)
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        return [], None
    tokens, first = found.get("tokens"), found.get("first")
    return (found["keys"], BatchSizes(tokens, first)) if isinstance(tokens, int) and isinstance(first, int) else ([], None)


def _learnt(path: Path) -> list[tuple[int, int]]:
    found = _read(path)
    try:
        return [(int(batch), int(tokens)) for batch, tokens in found or []]
    except (TypeError, ValueError):
        return []


def _read(path: Path) -> Any:
    try:
        return read_json(path) if path.is_file() else None
    except ValueError:  # torn by a fault of the disk: the bundle begins again
        return None
