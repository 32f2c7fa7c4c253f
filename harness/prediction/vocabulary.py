"""What of a text reaches a model: ids that its table of words has, words that its tokenizer knows.

check_ids(features, num_embeddings=adapter.num_embeddings, tokenizer=tokenizer, where="task 'xnli' in de")
check_english(examples, kind=TASK_TYPES.load(spec.type), tokenizer=tokenizer, where="task 'xnli' in en")
count_tokens(features, examples, kind=TASK_TYPES.load(spec.type), tokenizer=tokenizer).unknown_tokens

A tokenizer that does not know a text gives no error but its unknown token, or nothing at all: a model then scores what nobody
wrote.  Where that may be so of a language, it is counted; where it is so of English, tokenizer or rows are not what they seem.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from harness.api.errors import UserError
from harness.api.later_tokenizer import known_of
from harness.api.protocols import Feature
from harness.prediction.features import PackedFeatures, largest_id
from harness.task_types.tokens.sequences import special_ids, token_ids, unknown_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ENGLISH = "en"
MOST_UNKNOWN = 0.5
"Share of English words from which on a tokenizer is refused."
EXAMPLES = 1000
"Of so many examples words are looked up."
BLOCK = 65536
"Features whose tokens are counted at a time."
NO_ID = -1
_KNOWN: WeakKeyDictionary[Any, dict[str, bool]] = WeakKeyDictionary()
"By tokenizer, whether it knows a word that was looked up before: parallel rows say the same in English in every language."
_WORD = re.compile(r"[^\W\d_]+")


class TokenCounts(NamedTuple):
    """What a tokenizer made of the rows of a cell."""

    text_tokens: int
    "Tokens of texts in the language of the cell, without special tokens."
    unknown_tokens: int
    "Those of them that stand for what the tokenizer does not know."
    empty_inputs: int
    "Features without a token of a text."


def check_ids(
    features: Iterable[Feature],
    *,
    num_embeddings: int | None,
    tokenizer: PreTrainedTokenizerFast,
    where: str,
    also: Sequence[int] = (),
) -> None:
    """Raise UserError if a feature (or one of `also`) holds an id that the model has no vector for."""
    if num_embeddings is not None:
        largest = max(chain(also, map(largest_id, features)), default=-1)
        check_largest_id(largest, num_embeddings=num_embeddings, tokenizer=tokenizer, where=where)


def check_largest_id(largest: int, *, num_embeddings: int | None, tokenizer: PreTrainedTokenizerFast, where: str) -> None:
    """The same where the largest id is known."""
    if num_embeddings is not None and largest >= num_embeddings:
        raise UserError(
            "a token has no vector in the model",
            where=where,
            expected=f"ids below {num_embeddings}, the rows of the model's embeddings",
            found=f"id {largest} ('{tokenizer.convert_ids_to_tokens(largest)}')",
            todo="take the tokenizer that belongs to the model, or weights whose embeddings were enlarged for the added tokens",
        )


def check_english(examples: Sequence[Any], *, kind: Any, tokenizer: PreTrainedTokenizerFast, where: str) -> None:
    """Raise UserError if over half of the words of the English texts among some examples are unknown to the tokenizer.

    `kind` is the task type; a word is unknown if one of its tokens is, or if it has none.
    """
    counts = Counter(word for example in examples[:EXAMPLES] for text in _english(example, kind) for word in _WORD.findall(text))
    if not counts:
        return
    known = _KNOWN.setdefault(tokenizer, {})
    fresh, unknown = [word for word in counts if word not in known], unknown_id(tokenizer)
    known |= {word: bool(ids) and unknown not in ids for word, ids in zip(fresh, token_ids(tokenizer, fresh), strict=True)}
    lost = [word for word in counts if not known[word]]
    total, num_lost = counts.total(), sum(counts[word] for word in lost)
    if num_lost > MOST_UNKNOWN * total:
        raise UserError(
            "the tokenizer does not know most English words",
            where=where,
            expected=f"at most {MOST_UNKNOWN:.0%} unknown",
            found=f"{num_lost:,} of {total:,} words: {', '.join(lost[:5])}",
            todo="check that the tokenizer files are those of the model, and that the rows are English",
        )


def _english(example: Any, kind: Any) -> Iterator[str]:
    """The English texts of an example."""
    texts = kind.texts(example)
    if example.lang == ENGLISH:
        yield from texts
    elif kind.english_from is not None:
        yield from texts[1:]


def count_tokens(
    features: Sequence[Feature], examples: Sequence[Any], *, kind: Any, tokenizer: PreTrainedTokenizerFast
) -> TokenCounts:
    """Count tokens of texts and unknown ones, the English side of pairs left out, and features without any text."""
    unknown, special = known_of(tokenizer, "no_text", lambda own: [unknown_id(own), sorted(special_ids(own))])
    # The part from which on the features of an example are English.
    firsts = np.full(len(examples), np.iinfo(np.int64).max)
    if kind.english_from is not None:
        firsts[:] = np.fromiter(map(kind.english_from, examples), dtype=np.int64, count=len(examples))
    found = np.zeros(3, dtype=np.int64)
    for tokens in _token_blocks(features):
        is_text = ~np.isin(tokens.ids, np.fromiter(special, dtype=np.int64))
        num_text = _by_feature(is_text, tokens.ends)
        num_unknown = _by_feature(is_text & (tokens.ids == (NO_ID if unknown is None else unknown)), tokens.ends)
        counted = tokens.parts < firsts[tokens.examples]
        found += (num_text[counted].sum(), num_unknown[counted].sum(), (num_text == 0).sum())
    return TokenCounts(text_tokens=int(found[0]), unknown_tokens=int(found[1]), empty_inputs=int(found[2]))


class _TokenBlock(NamedTuple):
    """Tokens of some features, continuations included."""

    ids: np.ndarray
    ends: np.ndarray
    "int [n + 1]: where each feature begins, and where the last one ends."
    examples: np.ndarray
    parts: np.ndarray


def _token_blocks(features: Sequence[Feature]) -> Iterator[_TokenBlock]:
    if isinstance(features, PackedFeatures) and not features.has_continuations:
        for begin in range(0, len(features), BLOCK):
            ends = np.asarray(features.ends[begin : begin + BLOCK + 1])
            own = slice(begin, begin + BLOCK)
            ids = np.asarray(features.ids[ends[0] : ends[-1]])
            yield _TokenBlock(ids, ends - ends[0], np.asarray(features.examples[own]), np.asarray(features.parts[own]))
        return
    for begin in range(0, len(features), BLOCK):
        some = features[begin : begin + BLOCK]
        ids_of = [[*feature.input_ids, *chain.from_iterable(feature.continuations or ())] for feature in some]
        yield _TokenBlock(
            np.fromiter(chain.from_iterable(ids_of), dtype=np.int64),
            np.cumsum([0, *map(len, ids_of)]),
            np.array([feature.example for feature in some]),
            np.array([feature.part for feature in some]),
        )


def _by_feature(marks: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """How many of its tokens are marked, for each feature."""
    sums = np.concatenate([[0], np.cumsum(marks, dtype=np.int64)])
    return np.asarray(np.diff(sums[ends]))
