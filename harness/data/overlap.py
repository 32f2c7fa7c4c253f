"""Rows that occur both in training or selection data and in test data, found by a hash of their texts.

    shared = set(example_hashes(train.examples, "classification")) & set(example_hashes(test.examples, "classification"))
    kept, num_removed = without(train.examples, shared, "classification")

Two rows are the same item if the type's `texts` are, after NFC and squeezing of white space; labels and offsets do not matter.
"""

import hashlib
import unicodedata
from collections.abc import Collection, Iterable, Sequence

from harness.api.protocols import Example
from harness.api.registry import TASK_TYPES


def text_hash(texts: Sequence[str]) -> str:
    """16 hex digits: the hash of several texts as one item."""
    plain = "\0".join(" ".join(unicodedata.normalize("NFC", text).split()) for text in texts)
    return hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def example_hashes(examples: Iterable[Example], task_type: str) -> list[str]:
    """A hash per example, of the texts that the type says make it the same item."""
    texts = TASK_TYPES.load(task_type).texts
    return [text_hash(texts(example)) for example in examples]


def without(examples: Sequence[Example], hashes: Collection[str], task_type: str) -> tuple[list[Example], int]:
    """The examples whose hash is none of `hashes`, and how many were left out."""
    if not hashes:
        return list(examples), 0
    unwanted = frozenset(hashes)
    kept = [example for example, digest in zip(examples, example_hashes(examples, task_type)) if digest not in unwanted]
    return kept, len(examples) - len(kept)
