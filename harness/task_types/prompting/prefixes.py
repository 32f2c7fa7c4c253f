"""Continuations that begin another one: by the sum of their log-probabilities they never score below it.

beginnings(features, labels=task.labels, tokenizer=tokenizer)[0]     # Beginning('no', "maybe ('no idea')", examples=9)

The likelihood of the longer one is that of the shorter one times that of what follows, so that it cannot be chosen, whatever the
row says.  Divided by tokens, characters or bytes it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

from harness.api.protocols import Feature

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MOST = 5
"Pairs that are named: choices that differ from row to row may have many."


class Beginning(NamedTuple):
    """Two choices of which the longer one cannot win."""

    shorter: str
    "By its label and, where that is another, its text in the first example of this kind."
    longer: str
    examples: int
    "In which it is so."


def beginnings(features: Sequence[Feature], *, labels: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> list[Beginning]:
    """The pairs of continuations of which one has the first tokens of the other, or all of them, the most frequent first.

    `labels` name the continuations in their order; without labels their texts do.
    """
    found: dict[tuple[int, int], tuple[Feature, set[int]]] = {}
    for feature in features:
        for pair in _pairs(feature.continuations or ()):
            found.setdefault(pair, (feature, set()))[1].add(feature.example)

    def name(feature: Feature, number: int) -> str:
        text = str(tokenizer.decode((feature.continuations or [])[number])).strip()
        if number >= len(labels):
            return repr(text)
        return labels[number] if labels[number] == text else f"{labels[number]} ({text!r})"

    most = sorted(found.items(), key=lambda item: (-len(item[1][1]), item[0]))[:MOST]
    return [
        Beginning(name(feature, shorter), name(feature, longer), len(examples)) for (shorter, longer), (feature, examples) in most
    ]


def _pairs(continuations: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Numbers of those that begin another one; of equal ones the first, which is chosen, begins the second."""
    return [
        (a, b)
        for a, b in permutations(range(len(continuations)), 2)
        if continuations[a]
        and list(continuations[b][: len(continuations[a])]) == list(continuations[a])
        and (a < b or len(continuations[a]) < len(continuations[b]))
    ]
