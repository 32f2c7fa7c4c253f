"""What vLLM is asked, one request a prompt; the worker receives their fields as JSON.

request = ScoringRequest(ids=(5, 6, 7), next=(9, 11), rows=0, context=2)
request.num_tokens, dataclasses.asdict(request)
"""

from dataclasses import dataclass


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

    @property
    def num_tokens(self) -> int:
        """Positions that are needed."""
        return len(self.ids) + self.max_tokens
