"""How the rows and answers of a task are shown to a reader: the fields of the example, gold and prediction as texts.

    found = shown_by_id(lines, examples)          # in the order of the lines of predictions.jsonl; None where a row is not there
    found[0].fields["text"], found[0].gold

What a type need not say for itself (`TypeDefaults.shown`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

HIDDEN = ("id", "lang", "gold", "answer_starts", "query", "calibrates", "notes", "columns", "inputs", "targets")
"Fields of examples that say nothing to a reader, or that are shown elsewhere."
NO_ANSWER = "(no answer)"
NOTHING = "(nothing)"


class ShownAnswer(NamedTuple):
    """A row with what was said of it, as texts."""

    fields: Mapping[str, str]
    "What the model was given, by the names of the type's fields."
    gold: tuple[str, ...]
    "What is right; several where each of them is."
    prediction: tuple[str, ...]
    differences: tuple[str, ...] = ()
    "Where the two differ, if they have parts."


def shown_by_id(lines: Sequence[Mapping[str, Any]], examples: Sequence[Any]) -> list[ShownAnswer | None]:
    """Lines of predictions.jsonl with the examples of their ids."""
    by_id = {example.id: example for example in examples}
    return [None if line["id"] not in by_id else bare(line)._replace(fields=fields_of(by_id[line["id"]])) for line in lines]


def bare(line: Mapping[str, Any]) -> ShownAnswer:
    """A line without its row."""
    return ShownAnswer({}, answer_texts(line["gold"]), answer_texts(line["prediction"]))


def fields_of(example: Any) -> dict[str, str]:
    """The fields of an example that are not hidden and not empty of meaning."""
    values = {field.name: getattr(example, field.name) for field in dataclasses.fields(example)}
    return {name: text_of(value) for name, value in values.items() if name not in HIDDEN and value is not None}


def text_of(value: Any) -> str:
    """A value as a text: texts as they are, lists of them line by line, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def answer_texts(value: Any) -> tuple[str, ...]:
    """A gold answer or a prediction as texts."""
    if value is None:
        return (NOTHING,)
    if isinstance(value, Mapping) and "null_odds" in value:  # SQuAD 2.0
        return (value["text"] or NO_ANSWER,)
    if isinstance(value, Mapping) and set(value) == {"lang", "texts"}:  # references in another language
        return tuple(value["texts"])
    if isinstance(value, list | tuple):
        return tuple(dict.fromkeys(text_of(item) or NO_ANSWER for item in value)) or (NOTHING,)
    return (text_of(value) or NO_ANSWER,)


def numbered_differences(tokens: Sequence[str], gold: Sequence[str], prediction: Sequence[str] | None) -> tuple[str, ...]:
    """The words of a sentence whose tag is another one, from 1."""
    said = prediction or [NOTHING] * len(gold)
    pairs = zip(tokens, gold, said)
    return tuple(f"{n} {token}: {right}, predicted {tag}" for n, (token, right, tag) in enumerate(pairs, start=1) if right != tag)
