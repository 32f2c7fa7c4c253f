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
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from harness.api.errors import UserError
from harness.api.protocols import Feature
from harness.task_types.tokens.sequences import special_ids, token_ids, unknown_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ENGLISH = "en"
MOST_UNKNOWN = 0.5
"Share of English words from which on a tokenizer is refused."
EXAMPLES = 1000
"Of so many examples words are looked up."
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
    features: Sequence[Feature],
    *,
    num_embeddings: int | None,
    tokenizer: PreTrainedTokenizerFast,
    where: str,
    also: Sequence[int] = (),
) -> None:
    """Raise UserError if a feature (or one of `also`) holds an id that the model has no vector for."""
    if num_embeddings is None:
        return
    largest = max(also, default=-1)
    for feature in features:
        for ids in (feature.input_ids, *(feature.continuations or ())):
            largest = max(largest, max(ids, default=-1))
        if isinstance(feature.labels, list):
            largest = max(largest, max(feature.labels, default=-1))
    if largest >= num_embeddings:
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
    elif kind.english_from(example) is not None:
        yield from texts[1:]


def count_tokens(
    features: Sequence[Feature], examples: Sequence[Any], *, kind: Any, tokenizer: PreTrainedTokenizerFast
) -> TokenCounts:
    """Count tokens of texts and unknown ones, the English side of pairs left out, and features without any text."""
    unknown, special = unknown_id(tokenizer), special_ids(tokenizer)
    english = [kind.english_from(example) for example in examples]
    num_text = num_unknown = num_empty = 0
    for feature in features:
        ids = [token for ids in (feature.input_ids, *(feature.continuations or ())) for token in ids if token not in special]
        num_empty += not ids
        first = english[feature.example]
        if first is None or feature.part < first:
            num_text += len(ids)
            num_unknown += sum(token == unknown for token in ids)
    return TokenCounts(text_tokens=num_text, unknown_tokens=num_unknown, empty_inputs=num_empty)
