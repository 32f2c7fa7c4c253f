r"""Thoughts that a model writes before its answer: where they begin and end, and how many tokens they may take.

    thoughts = Thoughts(start="<think>", end="</think>", opened=True, budget=1024)
    text = marked("Two and two.</think> 4\n5", thoughts, stops=("\n",))      # '<think>Two and two.</think>4'
    split_thoughts(text, thoughts)                          # Said(thoughts='Two and two.', answer='4')
    split_thoughts("<think>Two and", thoughts)              # Said(thoughts='Two and', answer=None): cut in mid-thought
    split_thoughts("4", thoughts)                           # Said(thoughts=None, answer='4')

Whatever answers, an engine here or a server, gives one text of these three shapes for a feature whose `generate` has `thoughts`.
"""

from collections.abc import Sequence
from typing import NamedTuple

MARKS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"))
"What stands before and behind thoughts: Qwen, DeepSeek, SmolLM3 and most others; Magistral."


class Thoughts(NamedTuple):
    """How a model is to think before it answers."""

    start: str
    end: str
    opened: bool
    "Whether the prompt ends with `start`, as some chat templates have it; others leave that to the model."
    budget: int
    "Most tokens of them; of the `max_new_tokens` of a request the rest is for the answer."


class Said(NamedTuple):
    """What a model wrote, taken apart."""

    thoughts: str | None
    "None = it did not think."
    answer: str | None
    "None = it ended in mid-thought."


def marked(text: str, thoughts: Thoughts, *, stops: Sequence[str]) -> str:
    """What a model wrote behind its prompt, with the marks that the prompt may have, and the answer up to a stop text.

    White space behind the thoughts is no part of the answer, and no stop text is looked for in it.
    """
    before, end, answer = "", "", text.lstrip()
    if thoughts.opened or answer.startswith(thoughts.start) or thoughts.end in answer:
        before, end, answer = answer.removeprefix(thoughts.start).partition(thoughts.end)
        before, answer = thoughts.start + before, answer.lstrip()
    places = [at for stop in stops if (at := answer.find(stop)) >= 0]
    return before + end + answer[: min(places, default=len(answer))]


def split_thoughts(text: str, thoughts: Thoughts) -> Said:
    """A text of `marked`, taken apart; white space around either is no part of it."""
    if not text.startswith(thoughts.start):
        return Said(None, text)
    inner, end, answer = text.removeprefix(thoughts.start).partition(thoughts.end)
    return Said(inner.strip(), answer if end else None)
