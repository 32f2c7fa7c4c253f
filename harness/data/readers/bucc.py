"""The BUCC 2018 files: two collections of `id TAB sentence` lines and the `id TAB id` lines of their translations, as one row.

read({"source": de_path, "target": en_path, "gold": gold_path}, lang="de", options={})    # {"sentence1", "sentence2", "gold"}

The columns are those of the hub's copy, with ids beside the sentences.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.data.readers._text import lines, parse_options, role_files
from harness.specs.model import Spec

ROLES = ("source", "target", "gold")


class Options(Spec):
    """There are none."""


def read(files: Mapping[str, Path], *, lang: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one row of lists of pairs: [id, sentence] twice, and [id, id]; raises UserError with file:line."""
    source, target, gold = role_files("bucc", files, ROLES)
    parse_options("bucc", Options, options)
    yield {
        "sentence1": _pairs(source, "an id, a tab and a sentence"),
        "sentence2": _pairs(target, "an id, a tab and a sentence"),
        "gold": _pairs(gold, "two ids with a tab between"),
    }


def _pairs(path: Path, expected: str) -> list[list[str]]:
    """The two columns of a file."""
    found = []
    for number, line in lines(path):
        pair = line.split("\t")
        if len(pair) != 2 or not pair[0]:
            raise UserError("not a line of BUCC", where=f"{path}:{number}", expected=expected, found=line[:80])
        found.append(pair)
    return found
