"""The counts of `_chunks.py` for many sentences at once, as operations on arrays of all their tags.

    chunk_counts([["B-PER", "O"]], [["B-PER", "I-PER"]], read=after_first_hyphen)      # [[0, 1, 1]]: correct, predicted, gold
    sequence_counts(np.array([1, 2, 0]), np.array([1, 1, 0]), ["", "NOUN", "VERB"], read=after_last_hyphen)      # (0, 2, 1)

All sentences stand behind each other, an O after each of them: what begins and ends at a tag depends on that tag and the one
before it, so that a table of all pairs of tags says what `chunks` finds out tag by tag.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, product
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from harness.api.errors import UserError
from harness.scoring.metrics._chunks import OUTSIDE, ReadTag, begins_chunk, chunk_stats, ends_chunk

MOST_TAGS = 255
"Different tags that are counted in arrays of bytes; more are counted sentence by sentence."
BLOCK = 4096
"Sentences that are counted at once: their tags fit the processor's caches."
FIRST = 64
"Sentences of a block in which tags are looked for at first: mostly there are no others."
_ENDS, _BEGINS = 1, 2


def chunk_counts(predictions: Sequence[Sequence[str] | None], golds: Sequence[Sequence[str]], *, read: ReadTag) -> np.ndarray:
    """Count the chunks of each sentence that are (correct, predicted, gold): float64 [n, 3]; a missing prediction predicts none.

    Raises UserError where `chunk_stats` would for one of the sentences, without saying which.
    """
    blocks = [slice(first, first + BLOCK) for first in range(0, len(golds), BLOCK)]
    if not blocks:
        raise UserError("there is no sentence")
    return np.concatenate([_block_counts(predictions[block], golds[block], read=read) for block in blocks])


def _block_counts(predictions: Sequence[Sequence[str] | None], golds: Sequence[Sequence[str]], *, read: ReadTag) -> np.ndarray:
    """The counts of some sentences, at least one."""
    given = [gold if prediction is None else prediction for prediction, gold in zip(predictions, golds, strict=True)]
    lengths = _lengths(given, golds)
    numbers = {"O": 1}  # 0 is the O that stands after each sentence
    texts = [_numbered(sentences, numbers) for sentences in (golds, given)]
    if len(numbers) > MOST_TAGS:
        return np.array([chunk_stats(*both, read=read) for both in zip(predictions, golds)], dtype=np.float64)
    meanings = (OUTSIDE, *map(read, numbers))
    stops = np.cumsum(lengths + 1) - 1
    wanted, found = (_ends(_with_stops(own, stops), stops[:-1] + 1, meanings=meanings) for own in texts)
    correct = np.zeros(len(wanted.is_end), dtype=bool)
    correct[_equal_ends(found, wanted, meanings)] = True
    counts = [np.add.reduceat(flags, stops - lengths, dtype=np.float64) for flags in (correct, found.is_end, wanted.is_end)]
    table = np.stack(counts, axis=1)
    table[[prediction is None for prediction in predictions], :2] = 0
    return table


def sequence_counts(given: np.ndarray, gold: np.ndarray, texts: Sequence[str], *, read: ReadTag) -> tuple[int, int, int]:
    """Count the chunks of one sequence that are (correct, predicted, gold); its tags are numbers [n] in `texts`.

    Number 0, whatever its text, is an O that ends a sentence; it has to be the last tag of both.
    """
    if len(texts) > MOST_TAGS:
        as_text = {0: "O", **dict(enumerate(texts[1:], start=1))}
        return chunk_stats(*([as_text[number] for number in side.tolist()] for side in (given, gold)), read=read)
    meanings = (OUTSIDE, *map(read, texts[1:]))
    found, wanted = (_ends(side.astype(np.uint8), np.array([], dtype=np.int64), meanings=meanings) for side in (given, gold))
    num_correct = len(_equal_ends(found, wanted, meanings))
    return num_correct, int(np.count_nonzero(found.is_end)), int(np.count_nonzero(wanted.is_end))


def _lengths(given: Sequence[Sequence[str]], golds: Sequence[Sequence[str]]) -> np.ndarray:
    """Words of each sentence; UserError unless both sides are lists of equal lengths."""
    if {*map(type, given), *map(type, golds)} <= {list, tuple}:
        lengths = list(map(len, golds))
        if list(map(len, given)) == lengths:
            return np.array(lengths, dtype=np.int64)
    raise UserError("these are no lists of tags in pairs of equal lengths")


def _numbered(sentences: Sequence[Sequence[str]], numbers: dict[str, int]) -> Sequence[int]:
    """The numbers of the tags of all sentences, behind those of two O; new tags get the next ones."""
    _add_tags(sentences[:FIRST], numbers)
    try:
        # itemgetter asks for a row of keys at once, which is the fastest there is; of a single key it would give no tuple.
        return itemgetter("O", "O", *chain.from_iterable(sentences))(numbers)
    except (KeyError, TypeError):
        _add_tags(sentences, numbers)
    return itemgetter("O", "O", *chain.from_iterable(sentences))(numbers)


def _add_tags(sentences: Sequence[Sequence[str]], numbers: dict[str, int]) -> None:
    """Number the tags that have no number yet; UserError for what is no text."""
    try:
        new = set().union(*sentences) - numbers.keys()
    except TypeError as error:
        raise UserError("a tag is no text", found=str(error)) from error
    if not all(isinstance(tag, str) for tag in new):
        raise UserError("a tag is no text")
    numbers |= {tag: number for number, tag in enumerate(sorted(new), start=len(numbers) + 1)}


@lru_cache(maxsize=64)
def _kinds(meanings: tuple[tuple[str, str], ...]) -> np.ndarray:
    """A number for the type of each tag [T], equal for equal types."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(kind, len(numbers)) for _, kind in meanings])


@lru_cache(maxsize=64)
def _bounds(meanings: tuple[tuple[str, str], ...]) -> np.ndarray:
    """_ENDS and _BEGINS for each tag behind each other one: uint8 [T * T], T * before + here."""
    bounds = [_ENDS * ends_chunk(*pair) + _BEGINS * begins_chunk(*pair) for pair in product(meanings, repeat=2)]
    return np.array(bounds, dtype=np.uint8)


class _Ends(NamedTuple):
    """The tags of all sentences, and where chunks end: at a position the chunk that ended with the tag before it is meant."""

    tags: np.ndarray
    is_end: np.ndarray
    firsts: np.ndarray
    "Where the chunk began that each position's own tag lies in."


def _with_stops(numbered: Sequence[int], stops: np.ndarray) -> np.ndarray:
    """The tags uint8 of all sentences, a 0 at the end of each."""
    return np.insert(np.frombuffer(bytes(numbered), dtype=np.uint8)[2:], stops - np.arange(len(stops)), 0)


def _ends(tags: np.ndarray, restarts: np.ndarray, *, meanings: tuple[tuple[str, str], ...]) -> _Ends:
    """The ends of the chunks of sentences with an O after each; what nothing begins goes back to the last of `restarts`."""
    steps = tags.astype(np.uint16)  # the first one is behind an O, too
    steps[1:] += tags[:-1] * np.uint16(len(meanings))
    bound = _bounds(meanings)[steps]
    is_begin = bound >= _BEGINS
    is_begin[restarts] = True
    firsts = np.maximum.accumulate(np.arange(len(tags), dtype=np.int32) * is_begin)
    return _Ends(tags, (bound & _ENDS).astype(bool), firsts)


def _equal_ends(found: _Ends, wanted: _Ends, meanings: tuple[tuple[str, str], ...]) -> np.ndarray:
    """Where a chunk ends that both have: of the same type, and from the same word on."""
    kinds = _kinds(meanings)
    both = np.flatnonzero(wanted.is_end & found.is_end)
    last = both - 1
    equal = (kinds[wanted.tags[last]] == kinds[found.tags[last]]) & (wanted.firsts[last] == found.firsts[last])
    return both[equal]
