"""Prompts and continuations as token ids, exact at the place where one ends and the other begins.

    encoded = encode_pairs([Ask(prompt.text, [" yes", " no"], special=True)], tokenizer=tokenizer, max_length=2048)
    encoded[0].context, encoded[0].continuations, encoded[0].num_truncated

A context is encoded together with each of its continuations and cut off again: a tokenizer never sees a continuation by itself.
White space at the end of a context belongs to its continuations, as in lm-evaluation-harness (`_encode_pair`).  Where a token
would span the two, all continuations of the context are scored from the place up to which they share its tokens, so that they
stay comparable; lm-evaluation-harness cuts by the number of tokens instead (`by_length`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from harness.api.errors import UserError
from harness.task_types.tokens.sequences import special_frame, token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PASSES = 8
"Forward passes of a run of requests."


class Ask(NamedTuple):
    """A context, and the continuations that are to be scored behind it."""

    context: str
    continuations: Sequence[str]
    "None of them where the model is to write what follows."
    special: bool = True
    "Whether the tokenizer puts its own first tokens (as Llama's <|begin_of_text|>) before the context."
    room: int = 0
    "Tokens to leave for what is written."


class Encoded(NamedTuple):
    """Token ids of a text and its continuations."""

    context: list[int]
    "At least one token."
    continuations: list[list[int]]
    "Empty for a text that has no token of its own."
    num_truncated: int
    "Tokens cut away at the beginning of the context (and at the end of continuations that are too long by themselves)."


def encode_pairs(
    asks: Sequence[Ask], *, tokenizer: PreTrainedTokenizerFast, max_length: int, by_length: bool = False
) -> list[Encoded]:
    """Encode texts with their continuations; a context that is too long loses its beginning, but not its first special token
    (that too with `by_length`).

    A context without tokens is what the tokenizer puts before a text, else its beginning-of-text token, else its end-of-text
    token.  (lm-evaluation-harness, and `by_length`, take one of the last two: only XGLM's tokenizer puts another first.)
    `max_length` counts the tokens that go into the model: the last one of a continuation does not.
    """
    before = special_frame(tokenizer, pair=False).before if any(ask.special for ask in asks) else []
    texts = []
    for ask in asks:
        stripped = ask.context.rstrip() if ask.continuations else ask.context
        texts.append([stripped, *(ask.context + continuation for continuation in ask.continuations)])
    ids = iter(token_ids(tokenizer, [text for own in texts for text in own]))
    encoded = []
    for ask, own in zip(asks, texts):
        context, *wholes = [next(ids) for _ in own]
        cut = len(context) if by_length else min([len(context), *(_num_shared(context, whole) for whole in wholes)])
        first = before if ask.special and (cut or not by_length) else []
        start = [*first, *context[:cut]] or [first_token(tokenizer)]
        continuations = [whole[cut:] for whole in wholes]
        # Models lean on the token that every text of their training began with: it stays.  lm-evaluation-harness cuts it, too.
        stays = not by_length and start[0] in tokenizer.all_special_ids
        encoded.append(_fitted(ask, start, continuations, first_stays=stays, max_length=max_length))
    return encoded


def _fitted(
    ask: Ask,
    context: list[int],
    continuations: list[list[int]],
    *,
    first_stays: bool,
    max_length: int,
) -> Encoded:
    """Cut to what the model takes."""
    kept = [continuation[:max_length] for continuation in continuations]
    lost = sum(map(len, continuations)) - sum(map(len, kept))
    needed = max([ask.room, *(len(continuation) - 1 for continuation in kept)])
    room = max_length - needed
    if room < 1:
        raise UserError(
            "no room is left for the prompt", expected=f"a max_length of more than {needed} tokens", found=f"{max_length} tokens"
        )
    if len(context) <= room:
        return Encoded(context, kept, lost)
    num_first = int(room > 1 and first_stays)
    shortened = [*context[:num_first], *context[len(context) - room + num_first :]]
    return Encoded(shortened, kept, lost + len(context) - len(shortened))


def _num_shared(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the longest common beginning."""
    return next((n for n, (a, b) in enumerate(zip(first, second)) if a != b), min(len(first), len(second)))


def first_token(tokenizer: PreTrainedTokenizerFast) -> int:
    """The token that stands before a text that has nothing before it."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise UserError("an empty context, and the tokenizer has neither a first nor a last token of texts")


def check_told_apart(
    encoded: Encoded, *, tokenizer: PreTrainedTokenizerFast, labels: Sequence[str], fixed: Sequence[int], where: str
) -> None:
    """Raise UserError where a tokenizer makes the same tokens of the answers of two labels: the first would always be chosen."""
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        return  # a fake's own: all characters are one to it, and no model reads them
    seen: dict[tuple[int, ...], str] = {}
    for number in fixed:
        other = seen.setdefault(tuple(encoded.continuations[number]), labels[number])
        if other != labels[number]:
            raise UserError(
                "two answers are the same to this tokenizer: the first would always be chosen",
                where=where,
                expected="continuations that differ in their tokens",
                found=f"those of '{other}' and '{labels[number]}'",
                todo="say one of them in other words: `prompt: continuations:` of the task's file",
            )


def plan_requests(lengths: Sequence[int], *, max_tokens: int, passes: int = PASSES) -> list[list[int]]:
    """Runs of neighbouring requests, about `passes` forward passes each: neighbours are those that share contexts.

    The adapter sorts and batches within a run; a run is what an interrupted prediction repeats.
    """
    runs: list[list[int]] = []
    used = 0
    for number, length in enumerate(lengths):
        if not runs or used + length > max_tokens * passes:
            runs.append([])
            used = 0
        runs[-1].append(number)
        used += length
    return runs
