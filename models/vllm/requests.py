"""What vLLM is asked, one request a prompt; the worker receives their fields as JSON.

request = ScoringRequest(ids=(5, 6, 7), next=(9, 11), rows=0, context=2)
request.num_tokens, dataclasses.asdict(request)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from models.inference.requests import GenerationRequest
from models.inference.thoughts import end_token, left_to_write


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoringRequest:
    """Log-probabilities of ids behind a prompt, and of the last ids of the prompt itself."""

    ids: tuple[int, ...]
    "The prompt."
    next: tuple[int, ...]
    "Ids whose log-probability behind the prompt is asked."
    rows: int
    "Last ids of the prompt whose own log-probability is asked."
    context: int
    "Ids of the prompt before those."

    @property
    def num_tokens(self) -> int:
        """Positions that are needed."""
        return len(self.ids) + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ContinuationRequest:
    """What is to be written behind a prompt, greedily."""

    ids: tuple[int, ...]
    "The prompt, with what is written already."
    max_tokens: int
    stop: tuple[str, ...]
    "Texts that end it."
    ends: tuple[int, ...]
    "Ids that end it."
    regex: str
    "What the text must match; empty = anything."
    room: int
    "Tokens that may be written in all, in this request and those that go on from it."

    @property
    def num_tokens(self) -> int:
        """Positions that are needed."""
        return len(self.ids) + self.room


def continuation(
    one: GenerationRequest, written: Sequence[int], ends: frozenset[int], *, tokenizer: PreTrainedTokenizerFast
) -> ContinuationRequest:
    """A request to go on behind what is written: to the end of the thoughts, where there are some, or of the answer."""
    room = one.max_new_tokens - len(written)
    stop, tokens = one.stop, room
    if one.thoughts is not None:
        left = left_to_write(written, one, tokenizer=tokenizer)
        if left.is_thinking:
            single = end_token(one.thoughts, tokenizer)
            stop, ends = (one.thoughts.end,) if single is None else (), ends if single is None else ends | {single}
        tokens = max(1, min(room, left.tokens))
    return ContinuationRequest(
        ids=(*one.input_ids, *written), max_tokens=tokens, stop=stop, ends=tuple(sorted(ends)), regex=one.regex, room=room
    )
