"""Windows over a context, answers between characters and tokens, and the best span of a window's logits.

contexts = tokenize_contexts(tokenizer, texts)                      # ids with character offsets
for window in windows(len(contexts[0].ids), room=300, step=128): ...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOO_LONG = "answer_longer_than_limit"
OFF_TOKENS = "answer_off_token_boundaries"
NOT_FOUND = "answer_not_in_context"
JOINERS = "\u200c\u200d"
"Zero width non-joiner and joiner."


class Context(NamedTuple):
    """A tokenized context."""

    text: str
    ids: list[int]
    starts: np.ndarray
    "int [N]: first character of each token, whitespace at its edges left out."
    ends: np.ndarray
    "int [N]: one past the last character; equal to the start for a token of whitespace only."


class Window(NamedTuple):
    """Token range [begin, end) of a context, and the tokens of it that may start an answer."""

    begin: int
    end: int
    scored_begin: int
    scored_end: int


class Gold(NamedTuple):
    """Where the answer lies for training, and what stands in the way of predicting it."""

    span: tuple[int, int] | None
    "First and last token; None if no answer was found in the context."
    notes: tuple[str, ...] = ()


class HasAnswers(Protocol):
    """The part of an example that says where its answers are."""

    @property
    def gold(self) -> list[str] | None:
        """Accepted answers."""

    @property
    def answer_starts(self) -> Sequence[int]:
        """First character of each, parallel to gold."""


def tokenize_contexts(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[Context]:
    """Tokens and character offsets of each context, in one batched call; equal contexts are tokenized once."""
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return []
    found = tokenizer(distinct, add_special_tokens=False, return_offsets_mapping=True, return_attention_mask=False, verbose=False)
    by_text = {}
    for text, ids, offsets in zip(distinct, found["input_ids"], found["offset_mapping"]):
        nexts = [*(start for start, _ in offsets[1:]), len(text)]
        edges = [_edges(text, start, end, following) for (start, end), following in zip(offsets, nexts)]
        trimmed = np.array(edges, dtype=np.int64).reshape(-1, 2)
        by_text[text] = Context(text, ids, trimmed[:, 0], trimmed[:, 1])
    return [by_text[text] for text in texts]


def _edges(text: str, start: int, end: int, following: int) -> tuple[int, int]:
    """The characters [start, end) that a token stands for in an answer; empty, at its end, for white space only.

    SentencePiece and byte-level tokens may own the space before a word: it is left out.  Tokenizers that normalise lose the
    joiners at the end of Telugu, Malayalam or Persian words, which are letters there: they are taken in if no token has them.
    """
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    while start < end < following and text[end] in JOINERS:
        end += 1
    return start, end


def windows(num_tokens: int, *, room: int, step: int) -> list[Window]:
    """Windows of `room` tokens that start every `step` tokens, up to the first that reaches the end; one if there are no tokens.

    A token that lies in several windows may start an answer only in that where it has the most context to its poorer side
    (run_squad's token_is_max_context): elsewhere its logits were made with less to go by.
    """
    assert room > 0, "a window holds a token: without one there would be no last of them"
    step = min(step, room)  # a step beyond the window would leave out tokens
    begins = [0]
    while begins[-1] + room < num_tokens:
        begins.append(begins[-1] + step)
    if len(begins) == 1:
        return [Window(0, num_tokens, 0, num_tokens)]
    begin = np.array(begins)[:, None]
    end = np.minimum(begin + room, num_tokens)
    token = np.arange(num_tokens)
    context = np.minimum(token - begin, end - 1 - token) + 0.01 * (end - begin)
    context[(token < begin) | (token >= end)] = -np.inf
    best = context.argmax(axis=0)  # the earliest window among equals
    number = np.arange(len(begins))
    scored_begin, scored_end = np.searchsorted(best, number, "left"), np.searchsorted(best, number, "right")
    return [Window(*map(int, window)) for window in zip(begin[:, 0], end[:, 0], scored_begin, scored_end)]


def locate(context: str, answer: str, start: int) -> int | None:
    """The character where the answer begins: `start` if it is there, else its occurrence nearest to it, else None."""
    if not answer:
        return None
    if start >= 0 and context.startswith(answer, start):
        return start
    found = []
    position = context.find(answer)
    while position >= 0:
        found.append(position)
        position = context.find(answer, position + 1)
    return min(found, key=lambda place: abs(place - start), default=None)


def reachable_answer(context: Context, example: HasAnswers, *, limit: int) -> Gold:
    """The answer to train on, as a token span: one that can be predicted exactly if there is one, the first among equals.

    Notes say why none can: all have more than `limit` tokens, or none within the limit begins and ends with a token.
    """
    found = []
    for text, given in zip(example.gold or (), example.answer_starts):
        start = locate(context.text, text, given)
        if start is None:
            continue
        end = start + len(text)
        inside = np.flatnonzero((context.ends > start) & (context.starts < end) & (context.ends > context.starts))
        if inside.size:
            first, last = int(inside[0]), int(inside[-1])
            exact = context.text[context.starts[first] : context.ends[last]] == text.strip()
            found.append((last - first < limit, exact, (first, last)))
    if not found:
        return Gold(None, (NOT_FOUND,) if any(example.gold or ()) else ())
    fits, exact, span = max(found, key=lambda answer: answer[:2])
    notes = (() if fits else (TOO_LONG,)) + (() if exact else (OFF_TOKENS,))
    return Gold(span, notes)


class SpanCandidates(NamedTuple):
    """The context tokens of a window, from which answer spans are chosen."""

    at: int
    "Position of its first context token in the input."
    starts: np.ndarray
    ends: np.ndarray
    scored: tuple[int, int]
    "Range of context tokens that may start an answer."
    max_length: int
    "Longest answer in tokens."


def top(logits: np.ndarray, n: int) -> np.ndarray:
    """Positions of the n largest logits, largest first, the earlier among equals."""
    return np.argsort(-logits, kind="stable")[:n]


def best_pair(
    start_logits: np.ndarray, end_logits: np.ndarray, *, firsts: np.ndarray, lasts: np.ndarray, among: SpanCandidates
) -> tuple[float, int, int] | None:
    """Score and characters [start, end) of the best answer that begins at one of `firsts` and ends at one of `lasts`.

    Logits are [T]; positions count from the start of the input.  The earliest pair wins among equals; None if no pair is valid.
    """
    first, last = firsts - among.at, lasts - among.at
    visible = np.flatnonzero(among.ends > among.starts)  # an answer neither begins nor ends with white space
    first_ok = (first >= among.scored[0]) & (first < among.scored[1]) & np.isin(first, visible)
    last_ok = np.isin(last, visible)
    firsts, first, lasts, last = firsts[first_ok], first[first_ok], lasts[last_ok], last[last_ok]
    length = last[None, :] - first[:, None] + 1
    valid = (length >= 1) & (length <= among.max_length) & (among.ends[last][None, :] > among.starts[first][:, None])
    if not valid.any():
        return None
    scores = np.where(valid, start_logits[firsts][:, None] + end_logits[lasts][None, :], -np.inf)
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    return float(scores[row, column]), int(among.starts[first[row]]), int(among.ends[last[column]])
