"""Rows that occur both in training or selection data and in test data, found by a hash of their texts.

    found = overlaps([item_set(mnli_train, "classification")], [item_set(xnli_test, "classification")])
    kept, num_removed = without(mnli_train.examples, found[0].hashes, "classification")

Two rows are the same item if the type's `texts` are, after NFC and squeezing of white space; labels and offsets do not matter.
"""

import hashlib
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from harness.data.examples import ExampleSet
from harness.protocols import Example
from harness.registry import TASK_TYPES


@dataclass(frozen=True, kw_only=True)
class ItemSet:
    """Hashes of the examples of one split, by language; plain data, worth keeping under `fingerprint`."""

    task: str
    split: str
    fingerprint: str
    hashes: dict[str, dict[str, list[str]]]
    "Language -> hash -> ids of its examples."


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Items of a training (or selection) split that are test items of a task in a language."""

    train_task: str
    train_split: str
    test_task: str
    test_lang: str
    num: int
    "Test examples concerned."
    train_ids: tuple[str, ...]
    test_ids: tuple[str, ...]
    hashes: tuple[str, ...]
    "Sorted; what `without` takes."


def text_hash(texts: Sequence[str]) -> str:
    """16 hex digits for texts as one item."""
    plain = "\0".join(" ".join(unicodedata.normalize("NFC", text).split()) for text in texts)
    return hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def example_hashes(examples: Iterable[Example], task_type: str) -> list[str]:
    """A hash per example, of the texts that the type says make it the same item."""
    texts = TASK_TYPES.load(task_type).texts
    return [text_hash(texts(example)) for example in examples]


def item_set(found: ExampleSet, task_type: str) -> ItemSet:
    """The hashes of a loaded split."""
    hashes: dict[str, dict[str, list[str]]] = {}
    for example, digest in zip(found.examples, example_hashes(found.examples, task_type)):
        hashes.setdefault(example.lang, {}).setdefault(digest, []).append(example.id)
    return ItemSet(task=found.task, split=found.split, fingerprint=found.fingerprint, hashes=hashes)


def overlaps(train_sets: Sequence[ItemSet], test_sets: Sequence[ItemSet]) -> list[Overlap]:
    """Every pair of training split and test language that shares items, in the order given."""
    found = []
    for train in train_sets:
        train_ids: dict[str, list[str]] = {}
        for by_hash in train.hashes.values():
            for digest, ids in by_hash.items():
                train_ids.setdefault(digest, []).extend(ids)
        for test in test_sets:
            for lang, by_hash in test.hashes.items():
                shared = sorted(train_ids.keys() & by_hash.keys())
                if shared:
                    found.append(_overlap(train, train_ids, test, lang, shared))
    return found


def _overlap(train: ItemSet, train_ids: dict[str, list[str]], test: ItemSet, lang: str, shared: list[str]) -> Overlap:
    test_ids = tuple(id_ for digest in shared for id_ in test.hashes[lang][digest])
    return Overlap(
        train_task=train.task,
        train_split=train.split,
        test_task=test.task,
        test_lang=lang,
        num=len(test_ids),
        train_ids=tuple(id_ for digest in shared for id_ in train_ids[digest]),
        test_ids=test_ids,
        hashes=tuple(shared),
    )


def without(examples: Sequence[Example], hashes: Collection[str], task_type: str) -> tuple[list[Example], int]:
    """The examples whose hash is none of `hashes`, and how many were left out."""
    if not hashes:
        return list(examples), 0
    unwanted = frozenset(hashes)
    kept = [example for example, digest in zip(examples, example_hashes(examples, task_type)) if digest not in unwanted]
    return kept, len(examples) - len(kept)
