"""Lines of predictions.jsonl, some thousands at a time, and what is kept of them beside their statistics.

seen = SeenLines()
for block in blocks_of_lines(lines):
    seen.add(block)
seen.check(1190)                 # UserError unless so many examples were there, each once and with gold
seen.counts(), seen.label_spread()
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from harness.api.errors import UserError

BLOCK = 4096
"Lines that lie in memory at a time."


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What a reader of the score must know about the predictions."""

    examples: int
    "Examples scored."
    missing: int
    "Examples without a prediction, scored as wrong."
    truncated_examples: int
    "Examples of which the model did not see all."
    truncated_tokens: int
    "Tokens it did not see."
    notes: dict[str, int]
    "Examples by remark of the task type."


def blocks_of_lines(lines: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """The lines, some thousands at a time: a line takes more memory than what is kept of it."""
    everything = iter(lines)
    while block := list(islice(everything, BLOCK)):
        yield block


class SeenLines:
    """What is kept of lines beside their statistics."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.bare: list[str] = []
        "Ids of lines without gold."
        self.missing = 0
        self.truncated: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        "Predicted ones, where gold is one label."

    def add(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Look at some more lines."""
        self.ids += [line["id"] for line in lines]
        self.bare += [line["id"] for line in lines if line["gold"] is None]
        self.missing += sum(line["prediction"] is None for line in lines)
        cut = [line["num_truncated"] for line in lines if line["num_truncated"]]
        self.truncated.update(examples=len(cut), tokens=sum(cut))
        self.notes.update(note for line in lines for note in dict.fromkeys(line["notes"]))
        self.labels.update(
            line["prediction"] for line in lines if isinstance(line["prediction"], str) and isinstance(line["gold"], str)
        )

    def check(self, num_expected: int) -> None:
        """Raise UserError unless every expected example was there once, with gold."""
        check_lines(self.ids, bare=self.bare, num_expected=num_expected)

    def counts(self) -> Counts:
        """Missing and truncated predictions, and the notes of the task type."""
        return Counts(
            examples=len(self.ids),
            missing=self.missing,
            truncated_examples=self.truncated["examples"],
            truncated_tokens=self.truncated["tokens"],
            notes=dict(sorted(self.notes.items())),
        )

    def label_spread(self) -> tuple[float | None, bool | None]:
        """Entropy in bits of the predicted labels, and whether there is only one; None unless all are labels."""
        number = self.labels.total()
        if not number:
            return None, None
        return math.fsum(n / number * math.log2(number / n) for n in self.labels.values()), len(self.labels) == 1


def check_lines(ids: Sequence[str], *, bare: Sequence[str], num_expected: int) -> None:
    """Raise UserError unless every expected example is there once; `bare` are the ids of those without gold."""
    todo, number = "predict this cell again", len(ids)
    if not number or number != num_expected:
        raise UserError("predictions are not complete", expected=f"{num_expected} lines", found=f"{number} lines", todo=todo)
    if len(set(ids)) < number:
        twice = [key for key, count in Counter(ids).items() if count > 1]
        raise UserError(f"{len(twice)} ids come more than once", found=f"'{twice[0]}', for example", todo=todo)
    if bare:
        raise UserError(
            f"{len(bare)} examples have no gold and cannot be scored",
            found=f"'{bare[0]}', for example",
            todo="name a split with labels as the task's test data",
        )
