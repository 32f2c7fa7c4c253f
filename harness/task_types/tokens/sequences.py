"""Token sequences with their special tokens, built from one batched tokenizer call per chunk of texts.

    ids = token_ids(tokenizer, texts)                  # no special tokens
    frame = special_frame(tokenizer, pair=False)       # what the tokenizer puts around a text
    sequence = frame.put(ids[0])                       # the same ids as tokenizer(texts[0])["input_ids"]

Special tokens are added here and not by the tokenizer because windows, pieces and truncation need the bare tokens first; one
call then serves them all.  A tokenizer that sets the texts of a pair side by side with nothing between them (Qwen's, BLOOM's,
SmolLM2's) gets a line break there: a model must see where the first ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.api.errors import UserError
from harness.task_types.tokens.backend import ids_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class SegmentTypes(NamedTuple):
    """Token type id of each part of a framed sequence."""

    before: int
    first: int
    between: int
    second: int
    after: int


class Framed(NamedTuple):
    """A framed sequence."""

    input_ids: list[int]
    type_ids: list[int] | None
    first_at: int
    "Position of the first text's first token."
    second_at: int
    "Position of the second text's first token (or of the end, without one)."


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """The special tokens that a tokenizer puts around one text or a pair."""

    before: list[int]
    between: list[int]
    after: list[int]
    types: SegmentTypes | None
    "None for models without token type ids."
    filler: int | None
    "Stands for a text without tokens where the tokenizer adds no special tokens: a model needs at least one token."

    @property
    def num_special(self) -> int:
        """Special tokens in all."""
        return len(self.before) + len(self.between) + len(self.after)

    def put(self, first: list[int], second: Sequence[int] = ()) -> Framed:
        """The tokens with the special tokens around them."""
        input_ids = [*self.before, *first, *self.between, *second, *self.after]
        if not input_ids:
            if self.filler is None:
                raise UserError("a text without tokens, and the tokenizer has no special token that could stand for it")
            input_ids, first = [self.filler], [self.filler]
        first_at = len(self.before)
        second_at = first_at + len(first) + len(self.between)
        if self.types is None:
            return Framed(input_ids, None, first_at, second_at)
        lengths = (len(self.before), len(first), len(self.between), len(second), len(self.after))
        type_ids = [kind for kind, length in zip(self.types, lengths) for _ in range(length)]
        return Framed(input_ids, type_ids, first_at, second_at)


def token_ids(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text without special tokens, in one batched call; equal texts are tokenized once."""
    distinct = list(dict.fromkeys(texts))
    found = ids_of(tokenizer, distinct)
    if len(distinct) == len(texts):
        return found
    by_text = dict(zip(distinct, found))
    return [by_text[text] for text in texts]


def unknown_id(tokenizer: PreTrainedTokenizerFast) -> int | None:
    """The id that stands for text that the tokenizer does not know; None if it has none, as those of bytes.

    What `unk_token` says is not asked first: byte-level tokenizers name the token that ends a text there.
    """
    from tokenizers.models import Unigram

    model: Any = tokenizer.backend_tokenizer.model
    if isinstance(model, Unigram):
        return tokenizer.unk_token_id
    return None if model.unk_token is None else tokenizer.backend_tokenizer.token_to_id(model.unk_token)


def special_ids(tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """Ids of tokens that are no text: those with a role and those of chat templates; the unknown token is text."""
    added = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    return frozenset({*tokenizer.all_special_ids, *added} - {unknown_id(tokenizer)})


def special_frame(tokenizer: PreTrainedTokenizerFast, *, pair: bool) -> Frame:
    """Learn from a probe what the tokenizer puts before, between and after texts."""
    probe = _probe_text(tokenizer)
    found = tokenizer([(probe, probe)] if pair else [probe], return_token_type_ids=True)
    sides = found.encodings[0].sequence_ids
    ids, types = found["input_ids"][0], found["token_type_ids"][0]
    first, second = sides.index(0), sides.index(1) if pair else len(sides)
    first_end = len(sides) - sides[::-1].index(0)
    second_end = len(sides) - sides[::-1].index(1) if pair else first_end
    segments = (ids[:first], ids[first_end:second] if pair else [], ids[second_end:])
    before, between, after = segments
    kinds = SegmentTypes(
        before=types[0],
        first=types[first],
        between=types[first_end] if between else types[first],
        second=types[second] if pair else types[first],
        after=types[-1],
    )
    if pair and not between:
        between = separator(tokenizer)
    has_types = "token_type_ids" in tokenizer.model_input_names
    return Frame(before=before, between=between, after=after, types=kinds if has_types else None, filler=stand_in(tokenizer))


def _probe_text(tokenizer: PreTrainedTokenizerFast) -> str:
    """A text of at least one token."""
    if token_ids(tokenizer, ["a"])[0]:
        return "a"
    for text in islice(tokenizer.get_vocab(), 1000):
        if token_ids(tokenizer, [text])[0]:
            return text
    raise UserError("the tokenizer makes no token of any text tried", expected="a tokenizer with a vocabulary")


def stand_in(tokenizer: PreTrainedTokenizerFast) -> int | None:
    """The token that stands for what has none of its own: the unknown token, else end of text, else padding."""
    for token in (tokenizer.unk_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id):
        if token is not None:
            return int(token)
    return None


def separator(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """What stands between two texts where the tokenizer puts nothing: a line break, or the stand-in where it has no token."""
    found = token_ids(tokenizer, ["\n"])[0]
    token = stand_in(tokenizer)
    return found or ([] if token is None else [token])


def room(max_length: int, frame: Frame, *, needed: int) -> int:
    """Tokens left for texts; raises UserError if they are fewer than `needed`."""
    left = max_length - frame.num_special
    if left < needed:
        least = frame.num_special + needed
        raise UserError(
            f"option max_length={max_length} leaves no room for text", expected=f"at least {least} for this tokenizer"
        )
    return left


class Kept(NamedTuple):
    """Tokens kept of the two texts of a pair."""

    first: int
    second: int


def longest_first(num_first: int, num_second: int, left: int) -> Kept:
    """Cut the longer text until the pair fits: the lengths that `truncation="longest_first"` of fast tokenizers gives."""
    if num_first + num_second <= left:
        return Kept(num_first, num_second)
    shorter = min(num_first, num_second, left // 2)
    return Kept(left - shorter, shorter) if num_first > num_second else Kept(shorter, left - shorter)


def longer_from_start(num_first: int, num_second: int, left: int) -> Kept:
    """Cut the longer text, the first of equally long ones, until the pair fits: jiant's truncate_sequences.

    It differs from `longest_first` by the one token that an odd number of them leaves over: here the second text has it.
    """
    half = left // 2
    if num_first + num_second <= left:
        return Kept(num_first, num_second)
    if min(num_first, num_second) > half:
        return Kept(half, left - half)
    return Kept(num_first, left - num_first) if num_first < num_second else Kept(left - num_second, num_second)


class Fitted(NamedTuple):
    """One text or pair, cut to fit and framed."""

    sequence: Framed
    kept: Kept
    num_truncated: int
    "Tokens cut away."


def fit_pairs(
    firsts: Sequence[str],
    seconds: Sequence[str | None],
    *,
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    from_start: bool = False,
) -> list[Fitted]:
    """Frame each text (or pair, where the second is not None) in at most max_length tokens, cutting the longer text first.

    A text loses its end, as fast tokenizers cut it, or with `from_start` its beginning, as jiant cuts options.
    """
    longest = longer_from_start if from_start else longest_first
    frames = {pair: special_frame(tokenizer, pair=pair) for pair in {second is not None for second in seconds}}
    rooms = {pair: room(max_length, frame, needed=2 if pair else 1) for pair, frame in frames.items()}
    ids = token_ids(tokenizer, [*firsts, *(second or "" for second in seconds)])
    fitted = []
    for first, second, text in zip(ids[: len(firsts)], ids[len(firsts) :], seconds):
        pair = text is not None
        kept = longest(len(first), len(second), rooms[pair])
        begin = (len(first) - kept.first, len(second) - kept.second) if from_start else (0, 0)
        sequence = frames[pair].put(first[begin[0] :][: kept.first], second[begin[1] :][: kept.second])
        fitted.append(Fitted(sequence, kept, len(first) + len(second) - kept.first - kept.second))
    return fitted
