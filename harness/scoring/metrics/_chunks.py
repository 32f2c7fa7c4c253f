"""The chunker and chunk counts behind `chunk_f1` and `entity_f1`, each of which reads the type of a tag in its own way.

    chunks(["B-PER", "I-PER", "O", "B-LOC"], read=after_last_hyphen)   # {("PER", 0, 1), ("LOC", 3, 3)}
    chunks(["NOUN", "NOUN", "VERB"], read=after_last_hyphen)           # {("NOUN", 0, 1), ("VERB", 2, 2)}

Where a chunk begins and ends goes by the rules of seqeval, the same in 0.0.12, on which XTREME's scores rest, and in 1.2.2.
What differs between the two is the type: `B-location-other` is of type `other` for 0.0.12 and of `location-other` for 1.2.2,
which reads a bare CCONJ or SCONJ from its second letter on and makes one type of both.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple, TypeAlias

from harness.api.errors import UserError


class Chunk(NamedTuple):
    """A typed run of tokens, both ends included."""

    kind: str
    first: int
    last: int


ReadTag: TypeAlias = Callable[[str], tuple[str, str]]
"A tag -> its letter and type."
OUTSIDE = ("O", "O")
"What stands before and after a sentence."


@cache
def after_last_hyphen(tag: str) -> tuple[str, str]:
    """Letter and type as seqeval 0.0.12 reads them: the first letter, and what follows the last hyphen (or all of the tag)."""
    if not tag:
        raise UserError("a tag is an empty text", todo="give every word a tag")
    return tag[0], tag.rsplit("-", 1)[-1]


@cache
def after_first_hyphen(tag: str) -> tuple[str, str]:
    """Letter and type of an entity tag as seqeval 1.2.2 reads them; raises UserError for what is no entity tag."""
    if not is_entity_tag(tag):
        raise UserError(
            f"'{tag}' is no entity tag",
            expected="O, or B, I, E or S, a hyphen and the type (B-PER, I-location-other)",
            todo="name the tags so, or take chunk_f1 (runs of bare tags) or token_accuracy as the metric",
        )
    return tag[0], tag[2:] or "_"


def is_entity_tag(tag: str) -> bool:
    """Whether a tag is O, or one of B, I, E and S, alone or with a hyphen and what follows it."""
    return tag == "O" or (tag[:1] in ("B", "I", "E", "S") and tag[1:2] in ("", "-"))


def chunks(tags: Sequence[str], *, read: ReadTag) -> set[Chunk]:
    """Find the chunks of one sentence.

    Bare tags go by the same rules as B-/I-/E-/S- ones, so their first letter counts: equal neighbours merge, except those whose
    name begins with B, E or S (SCONJ, SYM), which stay single.
    """
    found: set[Chunk] = set()
    first, before = 0, OUTSIDE
    for position, here in enumerate([*map(read, tags), OUTSIDE]):
        if ends_chunk(before, here):
            found.add(Chunk(before[1], first, position - 1))
        if begins_chunk(before, here):
            first = position
        before = here
    return found


def ends_chunk(before: tuple[str, str], here: tuple[str, str]) -> bool:
    """Whether a chunk ends between two tags, each a letter and a type."""
    changed = before[1] != here[1]
    return before[0] in "ES" or (before[0] in "BI" and here[0] in "BSO") or (changed and before[0] not in "O.")


def begins_chunk(before: tuple[str, str], here: tuple[str, str]) -> bool:
    """Whether a chunk begins with the second of two tags."""
    changed = before[1] != here[1]
    return here[0] in "BS" or (before[0] in "ESO" and here[0] in "EI") or (changed and here[0] not in "O.")


def check_tags(prediction: Sequence[str], gold: Sequence[str]) -> None:
    """Raise UserError unless both are lists of tags, and every word has exactly one predicted tag."""
    for tags in (prediction, gold):
        if isinstance(tags, str) or not isinstance(tags, Sequence) or not all(isinstance(tag, str) for tag in tags):
            raise UserError("this is no list of tags", expected="a list of texts, one for each word", found=f"{tags!r:.80}")
    if len(prediction) != len(gold):
        raise UserError(
            "prediction and gold differ in length",
            expected=f"{len(gold)} tags, one for each word",
            found=f"{len(prediction)} tags",
            todo="predict this cell again; a word without a prediction needs a tag too",
        )


def chunk_stats(prediction: Sequence[str] | None, gold: Sequence[str], *, read: ReadTag) -> tuple[int, int, int]:
    """Count the chunks of one sentence that are (correct, predicted, gold); a missing prediction predicts none."""
    check_tags(gold if prediction is None else prediction, gold)
    wanted = chunks(gold, read=read)
    if prediction is None:
        return 0, 0, len(wanted)
    given = chunks(prediction, read=read)
    return len(given & wanted), len(given), len(wanted)
