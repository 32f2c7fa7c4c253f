"""Which test rows of a run occur in its training or selection rows.

    find_overlaps(plan, root=root, machine=machine)     # [{'train': 'mnli train', 'test': 'xnli', 'lang': 'en', 'n': 37}, ...]

Hashes are kept in the user's cache folder by what made them, so that each split is read for this once.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.api.cache import cache_folder, recall_bytes, remember_bytes
from harness.api.progress import progress_over
from harness.data.examples import Split, load_examples
from harness.data.overlap import example_hashes
from harness.data.values import READING
from harness.planning.plan import Plan
from harness.runtime.arguments import PredictArguments, SplitRows, TrainArguments, file_of
from harness.runtime.machine import Machine
from harness.runtime.stages import AnyStage, canonical
from harness.specs.task import TaskSpec


def find_overlaps(plan: Plan, *, root: Path, machine: Machine) -> list[dict[str, Any]]:
    """One entry per (training or selection split, test task, language) that share rows; splits with none are left out.

    Only rows that finished stages have read: there is no number for the others, and their rows may not be readable.
    """
    finished = [stage for stage in plan.stages if stage.is_done(root)]
    splits = _training_splits(finished)
    predicted = [stage.args for stage in finished if isinstance(stage.args, PredictArguments)]
    tests = {(args.task, args.lang): args.rows for args in predicted}
    found: list[dict[str, Any]] = []
    seen = {name: _hashes(rows, split, machine=machine) for name, (split, rows) in splits.items()}
    for (task, lang), rows in progress_over(tests.items(), "overlaps", unit="split", shown=machine.progress):
        own = _hashes(rows, "test", machine=machine)
        for name, hashes in seen.items():
            shared = int(np.isin(own, hashes).sum())
            if shared:
                found.append({"train": name, "test": task, "lang": lang, "n": shared})
    for name, (split, _) in splits.items():  # rows that choose the checkpoint must not have trained it
        for other, (other_split, _) in splits.items():
            shared = int(np.isin(seen[name], seen[other]).sum())
            if split == "validation" and other_split == "train" and shared:
                found.append({"train": other, "test": name, "lang": "en", "n": shared})
    return found


def _training_splits(stages: Sequence[AnyStage]) -> dict[str, tuple[Split, SplitRows]]:
    """Name -> the splits that stages have trained or selected on."""
    splits: dict[str, tuple[Split, SplitRows]] = {}
    for stage in stages:
        for component in stage.args.tasks if isinstance(stage.args, TrainArguments) else ():
            splits[f"{component.task} train"] = ("train", component)
            if component.validation:
                splits[f"{component.validation.task} validation"] = ("validation", component.validation)
    return splits


def _hashes(rows: SplitRows, split: Split, *, machine: Machine) -> np.ndarray:
    """uint64 hashes of the rows of a split, one per row."""
    spec = rows.task_spec
    content = canonical([READING, rows.task, dict(rows.spec), dict(rows.data), split])
    digest = hashlib.sha256(content.encode()).hexdigest()[:24]
    store = cache_folder() / "overlaps" / f"{digest}.u64"
    known = recall_bytes(store)
    if known is not None:
        return np.frombuffer(known, dtype="<u8")
    hashes = _read(spec, split, list(rows.data), machine)
    remember_bytes(store, hashes.astype("<u8").tobytes())
    return hashes


def _read(spec: TaskSpec, split: Split, langs: list[str], machine: Machine) -> np.ndarray:
    folder = machine.task_folders.get(file_of(spec.task))
    found = load_examples(spec, split=split, langs=langs, place=machine.place, task_folder=folder)
    return np.array([int(digest, 16) for digest in example_hashes(found.examples, spec.type)], dtype=np.uint64)
