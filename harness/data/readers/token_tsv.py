"""One `token TAB tag` per line, sentences parted by blank lines (PAN-X, XTREME's UDPOS).

Several blank lines in a row part sentences once: PAN-X files have double ones, and an empty sentence would shift all that follow.

    read({"rows": path}, lang="de", options={"strip_prefix": True})    # {"tokens": [...], "tags": [...]}
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.data.readers._text import lines, parse_options, role_files
from harness.specs.model import Spec

ROLES = ("rows",)


class Options(Spec):
    """Options of the reader."""

    strip_prefix: bool = False
    "Remove `xx:` up to the FIRST colon of each token (PAN-X); a token may itself be a colon."
    tags: bool = True
    "False: the lines hold tokens only, and rows have no `tags`."


def read(files: Mapping[str, Path], *, lang: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield {'tokens': [...], 'tags': [...]} per sentence; raises UserError with file:line."""
    (path,) = role_files("token_tsv", files, ROLES)
    parsed = parse_options("token_tsv", Options, options)
    width = 2 if parsed.tags else 1
    tokens: list[str] = []
    tags: list[str] = []
    for number, line in lines(path):
        if not line.strip(" \t"):
            if tokens:
                yield _row(tokens, tags, parsed)
            tokens, tags = [], []
            continue
        values = line.split("\t")
        if len(values) != width:
            expected = "`token TAB tag`" if parsed.tags else "one token"
            raise UserError("wrong number of columns", where=f"{path}:{number}", expected=expected, found=line[:80])
        tokens.append(_without_prefix(values[0], f"{path}:{number}") if parsed.strip_prefix else values[0])
        tags.extend(values[1:])
    if tokens:
        yield _row(tokens, tags, parsed)


def _row(tokens: list[str], tags: list[str], options: Options) -> dict[str, Any]:
    return {"tokens": tokens, "tags": tags} if options.tags else {"tokens": tokens}


def _without_prefix(token: str, where: str) -> str:
    prefix, colon, rest = token.partition(":")
    if not colon:
        raise UserError("no language prefix", where=where, expected="`xx:token`", found=prefix, todo="leave `strip_prefix` out")
    return rest
