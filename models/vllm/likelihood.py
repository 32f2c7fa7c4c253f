"""Which requests give the log-likelihoods of continuations with vLLM, and the likelihoods from their answers.

    scores = Scores(features)
    answers = ...                   # one for each of scores.requests: {'next': [...], 'top': id, 'rows': [[logprob, likeliest]]}
    outputs = scores.outputs(answers)

The first id of every continuation of a context is read behind the context, at one position for all of them.  Longer ones are
prompts of their own (the context, which is in the cache by then, and all but their last id): the last id is read behind it, those
between as log-probabilities of the prompt.  With that no position of a context goes through the output matrix but its last, as
would happen with log-probabilities of whole prompts.  Equal requests are one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.api.errors import UserError
from harness.api.protocols import Feature, Output
from models.vllm.requests import ScoringRequest

Tokens = tuple[int, ...]
MOST_NEXT = 128
"Ids whose log-probability one request gives: MAX_LOGPROB_TOKEN_IDS of vLLM."


class Scores:
    """The requests of some features, and where each of their answers belongs."""

    def __init__(self, features: Sequence[Feature]) -> None:
        """Takes features with continuations."""
        self._features = [(tuple(feature.input_ids), [tuple(c) for c in feature.continuations or ()]) for feature in features]
        following: dict[Tokens, dict[int, None]] = {}
        contexts: dict[Tokens, int] = {}  # of prompts with ids between: how long the shortest context is
        for context, continuations in self._features:
            for continuation in filter(None, continuations):
                following.setdefault(context, {})[continuation[0]] = None
                if len(continuation) > 1:
                    prompt = context + continuation[:-1]
                    following.setdefault(prompt, {})[continuation[-1]] = None
                    if len(continuation) > 2:
                        contexts[prompt] = min(contexts.get(prompt, len(prompt)), len(context))
        self.requests: list[ScoringRequest] = []
        self._places: dict[tuple[Tokens, int], tuple[int, int]] = {}  # (prompt, id behind it) -> request, place in `next`
        self._first: dict[Tokens, int] = {}  # prompt -> its first request, which has the rows
        # In order: what begins alike stands together, the shorter first, and is computed once.
        for prompt in sorted(following):
            ids = list(following[prompt])
            self._first[prompt] = len(self.requests)
            for begin in range(0, len(ids), MOST_NEXT):
                part = ids[begin : begin + MOST_NEXT]
                self._places |= {(prompt, token): (len(self.requests), at) for at, token in enumerate(part)}
                read = len(prompt) - contexts.get(prompt, len(prompt)) - 1 if not begin else 0
                rows = max(read, 0)
                self.requests.append(ScoringRequest(ids=prompt, next=tuple(part), rows=rows, context=len(prompt) - 1 - rows))

    def outputs(self, answers: Sequence[dict[str, Any]]) -> list[Output]:
        """For each feature [N, 3]: sum of log-probabilities, number of ids and 1.0 if each is the likeliest."""
        found = []
        for context, continuations in self._features:
            rows = [self._row(context, continuation, answers) for continuation in continuations]
            found.append(np.array(rows, dtype=np.float64).reshape(-1, 3))
        if not all(np.isfinite(rows).all() for rows in found):
            todo = "use --model_args dtype=bfloat16 or dtype=float32"
            raise UserError("the model gives infinite or undefined likelihoods", todo=todo)
        return found

    def _row(self, context: Tokens, continuation: Tokens, answers: Sequence[dict[str, Any]]) -> tuple[float, int, float]:
        if not continuation:
            return 0.0, 0, 1.0
        values = [self._next(context, continuation[0], answers)]
        if len(continuation) > 1:
            prompt = context + continuation[:-1]
            between = answers[self._first[prompt]]["rows"] if len(continuation) > 2 else []
            values += [(row[0], row[1]) for row in between[len(between) - len(continuation) + 2 :]]
            values.append(self._next(prompt, continuation[-1], answers))
        return sum(value for value, _ in values), len(values), float(all(hit for _, hit in values))

    def _next(self, prompt: Tokens, token: int, answers: Sequence[dict[str, Any]]) -> tuple[float, bool]:
        """The log-probability of an id behind a prompt, and whether it is the likeliest."""
        number, at = self._places[prompt, token]
        return answers[number]["next"][at], answers[number]["top"] == token
