"""How a fact is known: the tags that recipes, presets, studies and published numbers carry, and what they stand for.

tags_in("[R] jiant defaults; patience also recalled [M, moderate]")       # ['R', 'M']
explained(["R", "M"])     # '[R] read in a repository; [M] recalled, not looked up; a word beside it says how surely'
"""

import re
from collections.abc import Collection
from typing import Literal

Evidence = Literal["R", "C", "D", "I", "M+"]
"""How a fact is known that stands on its own; what is merely recalled (M) stands in recipes alone, with how sure it is."""
MEANINGS = {
    "R": "read in a repository",
    "C": "computed from files",
    "D": "read in documentation, a paper or a model card",
    "I": "read in a thread of the authors",
    "M+": "recalled, and confirmed by a sum that is known",
    "M": "recalled, not looked up; a word beside it says how surely",
}
_TAG = re.compile(r"\[(M\+|[RCDIM])(?:, \w+)?\]")


def tags_in(text: str) -> list[str]:
    """The tags of a text, each once."""
    return list(dict.fromkeys(_TAG.findall(text)))


def explained(tags: Collection[str]) -> str:
    """What tags stand for, in the order of their weight."""
    return "; ".join(f"[{tag}] {meaning}" for tag, meaning in MEANINGS.items() if tag in tags)
