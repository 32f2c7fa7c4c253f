"""Greedy generation of a model that thinks before it answers: when a text is finished, and what may still be written.

    text = finished_with_thoughts(written, token, request, tokenizer=tokenizer, ends=ends)       # None = not yet
    left = left_to_write(written, request, tokenizer=tokenizer)        # Left(is_thinking=True, tokens=512)

Thoughts have a budget of tokens, the answer has the rest; stop texts count in the answer only.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from transformers import PreTrainedTokenizerFast

from harness.api.thoughts import Thoughts, marked
from models.inference.requests import GenerationRequest

HEAD = 8
"Tokens among which thoughts begin, if they do."


class Left(NamedTuple):
    """What a model may still write."""

    is_thinking: bool
    tokens: int


def finished_with_thoughts(
    written: list[int], token: int, request: GenerationRequest, *, tokenizer: PreTrainedTokenizerFast, ends: frozenset[int]
) -> str | None:
    """Add a token to those written; returns the text (see `marked`) if it is finished by that, else None."""
    assert request.thoughts is not None
    how, ended = request.thoughts, token in ends
    if not ended:
        written.append(token)
    left = left_to_write(written, request, tokenizer=tokenizer, ended=ended)
    if left.is_thinking:
        return None if not ended and left.tokens > 0 else how.start + _inner(tokenizer, written, how)
    at = end_of_thoughts(written, how, tokenizer=tokenizer)
    answer = _text(tokenizer, written[at or 0 :])
    if not ended and left.tokens > 0 and not any(stop in answer.lstrip() for stop in request.stop):
        return None
    before = "" if at is None else how.start + _inner(tokenizer, written[:at], how) + how.end
    return marked(before + answer, how._replace(opened=False), stops=request.stop)


def left_to_write(
    written: Sequence[int], request: GenerationRequest, *, tokenizer: PreTrainedTokenizerFast, ended: bool = False
) -> Left:
    """Whether a model is in its thoughts, and how many more tokens of them, or of the answer, it may write."""
    assert request.thoughts is not None
    how = request.thoughts
    at = end_of_thoughts(written, how, tokenizer=tokenizer)
    if at is None and _is_thinking(written, how, tokenizer=tokenizer, ended=ended):
        return Left(True, how.budget - len(written))
    return Left(False, request.max_new_tokens - how.budget - len(written) + (at or 0))


def end_of_thoughts(written: Sequence[int], thoughts: Thoughts, *, tokenizer: PreTrainedTokenizerFast) -> int | None:
    """Number of tokens up to the end of the thoughts and with it; None while there is no end."""
    single = end_token(thoughts, tokenizer)
    if single is not None:
        return written.index(single) + 1 if single in written else None
    if thoughts.end not in _text(tokenizer, written):
        return None
    return bisect_left(range(len(written) + 1), True, key=lambda n: thoughts.end in _text(tokenizer, written[:n]))


def end_token(thoughts: Thoughts, tokenizer: PreTrainedTokenizerFast) -> int | None:
    """The token that ends thoughts; None where several do."""
    found = tokenizer.convert_tokens_to_ids(thoughts.end)
    return int(found) if isinstance(found, int) and found != tokenizer.unk_token_id else None


def _is_thinking(written: Sequence[int], how: Thoughts, *, tokenizer: PreTrainedTokenizerFast, ended: bool) -> bool:
    """Whether thoughts have begun, or may still begin."""
    if how.opened:
        return True
    head = str(tokenizer.decode(list(written[:HEAD]), skip_special_tokens=False)).lstrip()
    return head.startswith(how.start) or (how.start.startswith(head) and not ended)


def _inner(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int], how: Thoughts) -> str:
    """The text of thoughts, without the marks that may stand around them."""
    return _text(tokenizer, ids).lstrip().removeprefix(how.start).removesuffix(how.end)


def _text(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
