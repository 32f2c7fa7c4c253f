r"""Regular expressions for guided generation: all valid answers of tasks that answer with the sentence's words and labels.

answer_regex(example, generate=task.prompt.generate, labels=task.labels, delimiter=" ")
# word_tags: '( )?Ada_(NOUN|VERB) sees_(NOUN|VERB)(\n)?'
# entities:  '( )?(none|(LOC|PER): (Ada( sees)?|sees)( \$\$ (LOC|PER): (Ada( sees)?|sees))*)(\n)?'

An answer may begin with the delimiter of the prompt and end with a stop text, as those of solved examples do.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from harness.specs.prompt import Generate
from harness.task_types.prompting.tag_text import OUTSIDE, SEPARATOR

CLOSED_FORMS = frozenset({"entities", "word_tags"})
"Forms of answers that have an expression."
MOST_WORDS = 20
"Longest entity in words: expressions grow with it."
_MEANS = frozenset(r".^$*+?{}[]\|()/")
"Characters with a meaning in an expression; only these are escaped, for engines know few escapes."


def answer_regex(example: Any, *, generate: Generate, labels: Sequence[str], delimiter: str) -> str:
    """All answers to an example that can be read; its form is one of CLOSED_FORMS."""
    words = [_plain(token) for token in example.tokens]
    if generate.form == "word_tags":
        tags = _one_of(map(_plain, labels))
        answer = " ".join(f"{word}_{tags}" for word in words)
    else:
        kinds = _one_of(dict.fromkeys(_plain(label.partition("-")[2]) for label in labels if label != OUTSIDE))
        between = _plain(f" {SEPARATOR} ")
        entity = f"{kinds}: {_run_of(words)}"
        nothing = _plain(generate.nothing)
        answer = f"({nothing}|{entity}({between}{entity})*)" if words else nothing
    before = f"({_plain(delimiter)})?" if delimiter else ""
    after = f"({_plain(generate.stop[0])})?" if generate.stop else ""
    return before + answer + after


def _run_of(words: Sequence[str]) -> str:
    """Any words that follow each other, MOST_WORDS at most: from each word as far as one likes."""
    runs = []
    for begin in range(len(words)):
        first, *others = words[begin : begin + MOST_WORDS]
        rest = ""
        for word in reversed(others):
            rest = f"( {word}{rest})?"
        runs.append(first + rest)
    return _one_of(dict.fromkeys(runs))


def _plain(text: str) -> str:
    """An expression of a text itself."""
    return "".join("\\" + letter if letter in _MEANS else letter for letter in text)


def _one_of(parts: Iterable[str]) -> str:
    return f"({'|'.join(parts)})"
