"""CoNLL-U treebanks, as syntactic words.

A multiword range line (`1-2`) repeats the surface form of the words below it and is left out, and so is an empty node (`8.1`).
XTREME's own tagging data keep the fused surface forms instead: reader `ud_fused`.

    read({"rows": path}, lang="mr", options={})    # {"tokens", "tags", "sent_id", "text"}
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from harness.data.readers._conllu import sentences
from harness.data.readers._text import parse_options, role_files
from harness.specs.model import Spec

ROLES = ("rows",)


class Options(Spec):
    """Options of the reader."""

    words: Literal["syntactic"] = "syntactic"
    "What a token is: the syntactic words of the lines with a plain number."
    tag: Literal["upos", "xpos"] = "upos"
    "Column of the tags: universal or language-specific."
    empty_nodes: bool = False
    "True: empty nodes (`8.1`) count as words."


def read(files: Mapping[str, Path], *, lang: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row per sentence; `sent_id` and `text` are those of the comments, or empty; raises UserError with file:line."""
    (path,) = role_files("conllu", files, ROLES)
    parsed = parse_options("conllu", Options, options)
    column = 3 if parsed.tag == "upos" else 4
    marks = ("", ".") if parsed.empty_nodes else ("",)
    for sentence in sentences(path):
        words = [line for line in sentence.lines if line.mark in marks]
        if words:
            yield {
                "tokens": [word.values[1] for word in words],
                "tags": [word.values[column] for word in words],
                "sent_id": sentence.sent_id,
                "text": sentence.text,
            }
