r"""What lm-evaluation-harness finds in a written answer: a match of a pattern, named entities, tags of words.

chosen_match(re.compile(r"The answer is (\w+)"), "The answer is B", 0)         # 'B'
named_spans("Location: Kenya, Uganda $$ Person: none")                         # 'loc: kenya $ loc: uganda'
pos_tags("[('Ada', 'PROPN'), ('sees', 'VERB')]")                               # ['PROPN', 'VERB']
"""

import re
from typing import Any

from harness.data.templates.regular_expressions import find_all

INVALID = "[invalid]"
NUMBER = r"#### (\-?[0-9\.\,]+)"
"The default pattern of `regex`: GSM8K's answers."
LABELS = {
    "person": "PER", "location": "LOC", "organization": "ORG", "counties": "LOC", "places": "LOC", "people": "PER",
    "persons": "PER", "company": "ORG", "country": "LOC", "continent": "LOC", "time": "DATE", "date": "DATE", "per": "PER",
    "loc": "LOC", "org": "ORG",
}  # fmt: skip
"What an answer may call a kind of name, in this order -> its label."
_SPANS = re.compile(r"\b(PER|LOC|ORG|DATE):\s*([^$]+)")
_TAGS = re.compile(r"\('([^']*)', '([^']*)'\)")


def chosen_match(pattern: re.Pattern[str], answer: Any, group: int) -> str | None:
    """One of the matches in a text; None where there is none, or where its groups are empty."""
    matches = find_all(pattern, answer) if isinstance(answer, str) else []
    if not matches:
        return None
    chosen = matches[group]
    if isinstance(chosen, tuple):
        chosen = next((part for part in chosen if part), None)
    return None if chosen is None else chosen.strip()


def named_spans(answer: str) -> str:
    """The named entities of an answer, each as `label: name`, in the form of the right answers of MasakhaNER there."""
    text = answer.lower()
    for called, label in LABELS.items():
        text = re.sub(rf"\b{re.escape(called)}\s*:", f"{label}:", text)
    text = text.replace("$$", "$").rstrip("$").replace("\n", "$").strip()
    found = [
        f"{label.lower()}: {name.strip()}" for label, names in _SPANS.findall(text) for name in names.split(",")
        if name.strip().lower() != "none"
    ]  # fmt: skip
    return " $ ".join(found)


def pos_tags(answer: Any) -> list[Any]:
    """The second parts of the pairs that an answer spells, or that it is."""
    pairs = _TAGS.findall(answer) if isinstance(answer, str) else answer
    return [tag for _, tag in pairs]
