"""The answers of cells as text for a terminal: wrapped, and nothing of a row acts on it.

for line in answer_lines(cell_answers(...), columns=100): out(line)
"""

import math
from collections.abc import Iterator

from harness.api.escaping import visible
from harness.commands._table import width
from harness.report.answers.answers import AnswerEntry, CellAnswers

LABEL = 14
"Columns of the names at the left."
LEAST = 40


def answer_lines(found: CellAnswers, *, columns: int) -> Iterator[str]:
    """A heading for the cell, then its entries."""
    key = found.key
    facts = [f"seed {key.seed}"] if key.seed is not None else []
    facts += [key.recipe] if key.recipe else []
    facts += [key.route] if key.route not in ("head", "embedding") else []
    facts += [f"limit {key.limit}"] if key.limit is not None else []
    more = f" ({', '.join(facts)})" if facts else ""
    yield f"## {key.task} {key.lang}: {key.model} + {key.intermediate}{more}"
    shown = f"; {len(found.entries)} here, {found.order}" if found.entries else ""
    yield from _wrapped(f"{found.num_wrong} of {found.num_examples} wrong{shown}", "", columns)
    if found.note:
        yield from _wrapped(f"note: {found.note}", "", columns)
    for number, entry in enumerate(found.entries, start=1):
        yield ""
        yield from _entry(number, entry, columns)
    yield ""


def _entry(number: int, entry: AnswerEntry, columns: int) -> Iterator[str]:
    sure = "" if entry.confidence is None else f", confidence {entry.confidence * 100:.0f} %"
    score = "" if entry.score in (0.0, 100.0) else f", score {entry.score:.1f}"
    yield from _wrapped(f"{number}. {entry.id}: {'right' if entry.is_right else 'wrong'}{score}{sure}", "", columns)
    parts = [*entry.fields.items()]
    parts += [("gold", text) for text in entry.gold] + [("prediction", text) for text in entry.prediction]
    parts += [("differs", "\n".join(entry.differences))] if entry.differences else []
    parts += [("scores", _scores(entry))] if entry.scores else []
    parts += [("it thought", entry.thoughts)] if entry.thoughts is not None else []
    parts += [("it wrote", entry.answer)] if entry.answer is not None else []
    parts += [("prompt", text) for text in entry.prompts]
    parts += [("then", text) for text in entry.continuations]
    parts += [("cut", f"{entry.num_truncated} tokens did not fit and were not seen")] if entry.num_truncated else []
    parts += [("notes", ", ".join(entry.notes))] if entry.notes else []
    for name, text in parts:
        yield from _wrapped(text, name, columns)


def _scores(entry: AnswerEntry) -> str:
    """Each label with its share and its log-probability, the likeliest first."""
    known = {name: value for name, value in entry.scores.items() if value is not None}
    most = max(known.values(), default=0.0)
    total = most + math.log(sum(math.exp(value - most) for value in known.values()) or 1.0)
    ordered = sorted(known.items(), key=lambda item: -item[1])
    texts = [f"{name} {math.exp(value - total) * 100:.1f} % ({value:.2f})" for name, value in ordered]
    return ", ".join([*texts, *(f"{name} –" for name, value in entry.scores.items() if value is None)])


def _wrapped(text: str, name: str, columns: int) -> Iterator[str]:
    """A text in lines of the width, its name at the left of the first; line breaks of the text stay."""
    left = LABEL if name else 0
    room = max(columns - left, LEAST)
    title = f"   {visible(name)} " if name else ""
    for place, line in enumerate(piece for part in visible(text).split("\n") for piece in _pieces(part, room)):
        start = title + " " * max(0, left - width(title)) if place == 0 else " " * left
        yield (start + line).rstrip()


def _pieces(text: str, room: int) -> list[str]:
    """A line cut at spaces, or within words that are longer than the room (languages without spaces)."""
    pieces, current, used = [], "", 0
    for word in text.split(" "):
        for part in _parts(word, room):
            size = width(part)
            if current and used + 1 + size > room:
                pieces.append(current)
                current, used = part, size
            else:
                current, used = (f"{current} {part}", used + 1 + size) if current or pieces else (part, size)
    return [*pieces, current]


def _parts(word: str, room: int) -> list[str]:
    """A word in parts that fit."""
    if width(word) <= room:
        return [word]
    parts, current, used = [], "", 0
    for letter in word:
        size = width(letter)
        if used + size > room:
            parts.append(current)
            current, used = "", 0
        current, used = current + letter, used + size
    return [*parts, current]
