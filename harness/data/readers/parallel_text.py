"""Two files of which line i of one translates line i of the other (Tatoeba, OPUS).

read({"source": foreign_path, "target": english_path}, lang="de", options={})    # {"source", "target"}
"""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.data.readers._text import lines, parse_options, role_files
from harness.specs.model import Spec

ROLES = ("source", "target")


class Options(Spec):
    """Options of the reader."""

    skip_blank: bool = False
    "Leave out pairs of which a side is blank; otherwise they are an error."


def read(files: Mapping[str, Path], *, lang: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield {'source', 'target'} per line; raises UserError with file:line, also where one file ends first."""
    source_path, target_path = role_files("parallel_text", files, ROLES)
    parsed = parse_options("parallel_text", Options, options)
    for source, target in zip_longest(lines(source_path), lines(target_path)):
        if source is None or target is None:
            short, number = (source_path, target[0]) if source is None else (target_path, source[0])
            raise UserError(
                "the files differ in length",
                where=f"{short}:{number}",
                expected="line i of one file translates line i of the other",
                found="no such line",
            )
        if not source[1].strip() or not target[1].strip():
            if parsed.skip_blank:
                continue
            blank = target_path if source[1].strip() else source_path
            raise UserError("blank line", where=f"{blank}:{source[0]}", todo="set `skip_blank: true` to leave such pairs out")
        yield {"source": source[1], "target": target[1]}
