"""The chunker and micro-averaged chunk scores behind `chunk_f1` and `entity_f1`.

    chunks(["B-PER", "I-PER", "O", "B-LOC"])   # {("PER", 0, 1), ("LOC", 3, 3)}
    chunks(["NOUN", "NOUN", "VERB"])           # {("NOUN", 0, 1), ("VERB", 2, 2)}

The rules are those of seqeval 0.0.12, which XTREME's scores rest on.  seqeval 1.2.2 agrees for B-/I-/O tags but not for bare
ones: it reads the type of a tag without a dash from its second letter on, so CCONJ and SCONJ become one type.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from harness.api.errors import UserError


class Chunk(NamedTuple):
    """A typed run of tokens, both ends included."""

    kind: str
    first: int
    last: int


@cache
def _parts(tag: str) -> tuple[str, str]:
    """Position letter and type of a tag: its first letter, whatever that is, and what follows its last dash (or all of it)."""
    return tag[0], tag.rsplit("-", 1)[-1]


def chunks(tags: Sequence[str]) -> set[Chunk]:
    """Find the chunks of one sentence.

    Bare tags go by the same rules as B-/I-/E-/S- ones, so their first letter counts: equal neighbours merge, except those whose
    name begins with B, E or S (SCONJ, SYM), which stay single.
    """
    found: set[Chunk] = set()
    first, before, kind_before = 0, "O", "O"
    for position, tag in enumerate([*tags, "O"]):
        here, kind = _parts(tag)
        changed = kind != kind_before
        if before in "ES" or (before in "BI" and here in "BSO") or (changed and before not in "O."):
            found.add(Chunk(kind_before, first, position - 1))
        if here in "BS" or (before in "ES" and here in "EI") or (changed and here not in "O."):
            first = position
        before, kind_before = here, kind
    return found


def check_lengths(prediction: Sequence[str], gold: Sequence[str]) -> None:
    """Raise UserError unless every word has exactly one predicted tag."""
    if len(prediction) != len(gold):
        raise UserError(
            "prediction and gold differ in length",
            expected=f"{len(gold)} tags, one for each word",
            found=f"{len(prediction)} tags",
            todo="predict this cell again; a word without a prediction needs a tag too",
        )


def stats(prediction: Sequence[str] | None, gold: Sequence[str], *, lang: str) -> tuple[int, int, int]:
    """Count the chunks of one sentence that are (correct, predicted, gold); a missing prediction predicts none."""
    wanted = chunks(gold)
    if prediction is None:
        return 0, 0, len(wanted)
    check_lengths(prediction, gold)
    given = chunks(prediction)
    return len(given & wanted), len(given), len(wanted)
