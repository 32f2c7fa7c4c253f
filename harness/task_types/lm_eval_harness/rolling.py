"""A whole text in windows that a model can take, each token predicted once: `loglikelihood_rolling` of lm-evaluation-harness.

    windows(ids, first=tokenizer.bos_token_id, longest=2048)      # [RollingWindow(context=[1], continuation=ids)], if ids are few
    rolling_windows(["A long text."], tokenizer=tokenizer, longest=2048)

A text that is too long is cut into pieces of `longest` tokens; each is predicted from all of the one before that the model takes
besides.  The last piece gets as much before it as there is room for.  Texts have the special tokens that the tokenizer puts
around them, and the first of all is predicted from the token that texts begin with, even where that is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from harness.api.protocols import Feature
from harness.task_types.prompting.encoding import first_token
from harness.task_types.tokens.sequences import special_frame, token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class RollingWindow(NamedTuple):
    """A piece of a text behind what comes before it."""

    context: list[int]
    "At least one token."
    continuation: list[int]
    "The tokens whose likelihood counts here."


def whole_text_features(texts: Sequence[str], *, tokenizer: PreTrainedTokenizerFast, longest: int) -> list[Feature]:
    """A feature for each window of a text; an empty text has one that asks nothing."""
    found = rolling_windows(texts, tokenizer=tokenizer, longest=longest)
    return [
        Feature(example=index, part=part, input_ids=window.context, continuations=[window.continuation], info=[part])
        for index, several in enumerate(found)
        for part, window in enumerate(several or [RollingWindow([first_token(tokenizer)], [])])
    ]


def rolling_windows(texts: Sequence[str], *, tokenizer: PreTrainedTokenizerFast, longest: int) -> list[list[RollingWindow]]:
    """The windows of each text; one that is empty has none."""
    first = first_token(tokenizer)
    frame = special_frame(tokenizer, pair=False)
    begins = str(tokenizer.decode([first]))
    found = []
    for text, ids in zip(texts, token_ids(tokenizer, list(texts)), strict=True):
        whole = ids if text.startswith(begins) else [*frame.before, *ids, *frame.after]
        found.append(windows(whole, first=first, longest=longest))
    return found


def windows(ids: Sequence[int], *, first: int, longest: int) -> list[RollingWindow]:
    """The windows of a sequence of tokens, none longer than the model takes."""
    found: list[RollingWindow] = []
    done = 0
    while done < len(ids):
        size = min(longest, len(ids) - done)
        end = done + size
        context = [first] if not done else list(ids[end - longest - 1 : done])
        found.append(RollingWindow(context, list(ids[done:end])))
        done = end
    return found
