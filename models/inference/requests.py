"""What a causal language model is asked to write.

request = request_of(feature)
request.input_ids, request.max_new_tokens, request.thoughts
"""

from typing import NamedTuple

from harness.api.protocols import Feature
from harness.api.thoughts import Thoughts
from models.inference.prefix_tree import Tokens


class SamplingRequest(NamedTuple):
    """How the tokens of one answer are drawn."""

    temperature: float
    top_p: float
    top_k: int
    "0 = all."
    seed: int


class GenerationRequest(NamedTuple):
    """A sequence to continue, and where to stop."""

    input_ids: Tokens
    max_new_tokens: int
    stop: tuple[str, ...]
    regex: str = ""
    "Regular expression that the text must match, where the adapter supports guided generation."
    thoughts: Thoughts | None = None
    "How the model thinks before it answers; `max_new_tokens` has their budget in it."
    sampling: SamplingRequest | None = None
    "How tokens are drawn at random; None = the likeliest."


def request_of(feature: Feature) -> GenerationRequest:
    """The generation request of a feature."""
    assert feature.generate is not None, "a feature that is to be continued says until when"
    stop = tuple(str(text) for text in feature.generate.get("stop", ()))
    length, regex = int(feature.generate["max_new_tokens"]), str(feature.generate.get("regex", ""))
    sampling = feature.generate.get("sampling")
    how = SamplingRequest(**sampling) if sampling else None
    return GenerationRequest(tuple(feature.input_ids), length, stop, regex, feature.generate.get("thoughts"), how)
