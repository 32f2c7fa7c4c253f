r"""Sentences with CCG categories: `word|POS|category` lines, or the AUTO files of CCGbank; which of them is seen line by line.

    Mr.|NNP|N/N Vinken|NNP|N is|VBZ|(S[dcl]\NP)/NP ...              one sentence a line, parted at spaces
    ID=wsj_0001.2 PARSER=GOLD NUMPARSE=1                            AUTO: a header, then the derivation, whose leaves are
    (<T S[dcl] 0 2> ... (<L N/N NNP NNP Mr. N_107/N_107>) ...       (<L category POS POS word category-with-indices>)

Words stay as they are written, brackets such as -LRB- too.

    read({"rows": path}, lang="en", options={})    # {"tokens": [...], "pos": [...], "tags": [...]}
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.data.readers._text import lines, parse_options, role_files
from harness.specs.model import Spec

ROLES = ("rows",)
_LEAF = re.compile(r"\(<L (\S+) \S+ (\S+) (\S+) \S+>\)")
_LEAF_BEGINS = re.compile(r"\(<L ")


class Options(Spec):
    """There are none."""


def read(files: Mapping[str, Path], *, lang: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row per sentence; headers and blank lines are skipped; raises UserError with file:line."""
    (path,) = role_files("ccg", files, ROLES)
    parse_options("ccg", Options, options)
    for number, line in lines(path):
        if not line.strip() or line.startswith("ID="):
            continue
        words = _leaves(line) if line.startswith("(<") else _items(line)
        if words is None:
            raise UserError(
                "no sentence with CCG categories",
                where=f"{path}:{number}",
                expected="`word|POS|category` parted by spaces, or a derivation of CCGbank's AUTO files",
                found=line[:80],
            )
        tokens, pos, tags = (list(column) for column in zip(*words))
        yield {"tokens": tokens, "pos": pos, "tags": tags}


def _items(line: str) -> list[tuple[str, str, str]] | None:
    """(word, part of speech, category) of a line of items; None if one has fewer parts.  A word may hold a `|` itself."""
    parts = [item.rsplit("|", 2) for item in line.split()]
    return [(word, pos, tag) for word, pos, tag in parts] if all(len(part) == 3 and all(part) for part in parts) else None


def _leaves(line: str) -> list[tuple[str, str, str]] | None:
    """The same of a derivation's leaves; None if it has none, or one of another form."""
    found = [(word, pos, tag) for tag, pos, word in _LEAF.findall(line)]
    return found if found and len(found) == len(_LEAF_BEGINS.findall(line)) else None
