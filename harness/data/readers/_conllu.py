"""Lines of CoNLL-U treebanks, sentence by sentence; which of them are words is for the readers to say.

for sentence in sentences(path): ...      # sentence.words, sentence.spans, sentence.empty_nodes
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from harness.api.errors import UserError
from harness.data.readers._text import lines

_COLUMNS = 10
_ID = re.compile(r"([0-9]{1,9})(?:([-.])([0-9]{1,9}))?")


class Line(NamedTuple):
    """One word, multiword range (`1-2`) or empty node (`8.1`)."""

    first: int
    "The number before `-` or `.`."
    mark: str
    "'' for a word, '-' for a range, '.' for an empty node."
    last: int
    "The number behind the mark; that of the word itself where there is none."
    values: list[str]
    "The ten columns: id, form, lemma, upos, xpos, feats, head, deprel, deps, misc."


@dataclass(kw_only=True)
class Sentence:
    """The lines between two blank ones, in their order."""

    lines: list[Line] = field(default_factory=list)
    sent_id: str = ""
    "Of the comment; empty if there is none."
    text: str = ""
    "Of the comment; empty if there is none."


def sentences(path: Path) -> Iterator[Sentence]:
    """Yield the sentences of a file; raises UserError with file:line for a line that is no word, range or empty node."""
    sentence = Sentence()
    for number, text in lines(path):
        if text.startswith("#"):
            name, _, value = text[1:].partition("=")
            if name.strip() in ("sent_id", "text"):
                setattr(sentence, name.strip(), value.strip())
        elif text.strip():
            sentence.lines.append(_line(text, where=f"{path}:{number}"))
        else:
            if sentence.lines:
                yield sentence
            sentence = Sentence()
    if sentence.lines:
        yield sentence


def _line(text: str, *, where: str) -> Line:
    values = text.split("\t")
    kind = _ID.fullmatch(values[0])
    if len(values) != _COLUMNS or kind is None:
        raise UserError("not a CoNLL-U word line", where=where, expected="an id and 9 more columns", found=text[:80])
    return Line(int(kind[1]), kind[2] or "", int(kind[3] or kind[1]), values)
