"""From likelihoods and generated texts back to labels, spans and tags.

choose([[-3.1, 2, 0.0], [-2.7, 4, 1.0]], [[3, 3], [9, 12]], labels=["yes", "no"], normalise="per_token")     # 'no'
read_answer("in Kazan.", example, task=task, generate=task.prompt.generate, allow_empty=False)
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.api.protocols import Json
from harness.specs.prompt import Generate, Normalisation
from harness.specs.task import TaskSpec
from harness.task_types.prompting.answer_spans import found_in
from harness.task_types.prompting.tag_text import NOT_IN_CONTEXT, UNPARSED, read_entities, read_word_tags


class Answer(NamedTuple):
    """A prediction that was read from a model's output."""

    prediction: Json
    "In label or text space; None where nothing could be read."
    notes: tuple[str, ...] = ()
    scores: tuple[float | None, ...] | None = None
    "What each continuation was worth, where one of them is chosen."


def choose(
    scored: Sequence[Sequence[float]], sizes: Sequence[Sequence[int]], *, labels: Sequence[str], normalise: Normalisation
) -> Answer:
    """The label of the likeliest continuation, the first among equals.

    scored: sum of log-probabilities, tokens, 1 if greedy; sizes: characters and bytes of its text.  A continuation without tokens
    cannot be chosen; where none has any, there is no prediction.
    """
    sums, tokens = np.array([row[:2] for row in scored], dtype=np.float64).reshape(-1, 2).T
    characters, bytes_ = np.array(sizes, dtype=np.float64).reshape(-1, 2).T
    divisors = {"sum": np.ones_like(sums), "per_token": tokens, "per_character": characters, "per_byte": bytes_}
    scores = np.where(tokens > 0, sums / np.maximum(divisors[normalise], 1), -np.inf)
    if not np.isfinite(scores).any():
        return Answer(None, (UNPARSED,))
    return Answer(labels[int(np.argmax(scores))], scores=tuple(float(score) if np.isfinite(score) else None for score in scores))


def read_answer(text: str, example: Any, *, task: TaskSpec, generate: Generate, allow_empty: bool) -> Answer:
    """The tags, or the answer to a question (or none, where that is allowed), that a generated text gives."""
    if generate.form == "entities":
        return Answer(*read_entities(text, example.tokens, labels=task.labels, nothing=generate.nothing))
    if generate.form == "word_tags":
        return Answer(*read_word_tags(text, example.tokens, labels=task.labels))
    return _span(text.strip(), example.context, generate=generate, allow_empty=allow_empty)


def _span(text: str, context: str, *, generate: Generate, allow_empty: bool) -> Answer:
    """The passage of the context that an answer names, else the answer itself.

    With allow_empty in the form that the metric squad_v2 takes; a text has no odds: those of no answer are 1 or 0.
    """
    if not text:
        return Answer(None, (UNPARSED,))
    if allow_empty and text.strip(" .").casefold() == generate.nothing.casefold():
        return Answer({"text": "", "null_odds": 1.0})
    found = found_in(text, context)
    answer = text if found is None else found
    notes = () if found is not None else (NOT_IN_CONTEXT,)
    return Answer({"text": answer, "null_odds": 0.0} if allow_empty else answer, notes)
