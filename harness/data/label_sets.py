"""The labels of tasks whose YAML says `labels_from: train`: those of their training rows, found once and remembered.

    labels = label_set(spec, place=place, task_folder=catalog.folder("task", spec.task))     # sorted
    spec = spec.model_copy(update={"labels": labels})

Read again only if the rows are others (their fingerprint) or are read in another way; else a small file of the cache folder.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.api.cache import cache_folder, recall, remember
from harness.api.errors import UserError
from harness.data.examples import data_fingerprint, load_examples
from harness.data.locations import DataPlace
from harness.data.values import READING
from harness.specs.portable import portable
from harness.specs.task import TaskSpec


def label_set(spec: TaskSpec, *, place: DataPlace, task_folder: str | Path | None = None) -> tuple[str, ...]:
    """The task's own `labels`, or with `labels_from: train` the sorted set of the labels of its training rows.

    Raises MissingData if these rows are not here, UserError if they cannot be read or hold no label.
    """
    if not spec.labels_from:
        return spec.labels
    langs = spec.train_languages
    fingerprint = data_fingerprint(spec, split="train", langs=langs, place=place, task_folder=task_folder)
    store = cache_folder() / "label_sets" / f"{_key(spec, fingerprint)}.json"
    known = recall(store).get("labels")
    if known:
        return tuple(known)
    unlabelled = spec.model_copy(update={"labels": ()})
    found = load_examples(unlabelled, split="train", langs=langs, place=place, task_folder=task_folder)
    labels = sorted(set(_labels(example.gold for example in found.examples)))
    if not labels:
        raise UserError(f"the training rows of task '{spec.task}' hold no label", where="labels_from: train", found=found.origin)
    remember(store, {"labels": labels})
    return tuple(labels)


def _labels(golds: Iterable[Any]) -> Iterable[str]:
    """Every label of the rows; a row has one, a list of them, or none."""
    for gold in golds:
        yield from gold if isinstance(gold, list) else () if gold is None else (gold,)


def _key(spec: TaskSpec, fingerprint: str) -> str:
    """The cache key, 16 hex digits: the rows, and how the task reads them."""
    content = json.dumps([READING, fingerprint, portable(spec.model_copy(update={"labels": ()}), split="train")], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
