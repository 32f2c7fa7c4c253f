"""CoNLL-U treebanks, as syntactic words.

A multiword range line (`1-2`) repeats the surface form of the words below it and is left out, and so is an empty node (`8.1`).
XTREME's own tagging data keeps the fused surface forms instead, which is another rule and not this one.

    read({"rows": path}, lang="mr", options={})    # {"tokens", "tags", "sent_id", "text"}
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from harness.data.readers._text import lines, parse_options, role_files
from harness.errors import UserError
from harness.specs.model import Spec

ROLES = ("rows",)
_COLUMNS = 10
_ID = re.compile(r"(\d+)(?:([-.])(\d+))?")


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
    tag_column = 3 if parsed.tag == "upos" else 4
    row = _empty()
    for number, line in lines(path):
        if line.startswith("#"):
            name, _, value = line[1:].partition("=")
            if name.strip() in ("sent_id", "text"):
                row[name.strip()] = value.strip()
        elif not line.strip():
            if row["tokens"]:
                yield row
            row = _empty()
        else:
            values = line.split("\t")
            kind = _ID.fullmatch(values[0])
            if len(values) != _COLUMNS or kind is None:
                raise UserError(
                    "not a CoNLL-U word line", where=f"{path}:{number}", expected="an id and 9 more columns", found=line[:80]
                )
            if kind[2] == "-" or (kind[2] == "." and not parsed.empty_nodes):
                continue
            row["tokens"].append(values[1])
            row["tags"].append(values[tag_column])
    if row["tokens"]:
        yield row


def _empty() -> dict[str, Any]:
    return {"tokens": [], "tags": [], "sent_id": "", "text": ""}
