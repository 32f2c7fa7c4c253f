"""Tab-separated columns without quoting: a quotation mark is a character like any other, and no row is lost to it.

read({"rows": path}, lang="de", options={"header": True})
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

    header: bool = False
    "The first line names the columns; otherwise it is data like the others."
    columns: tuple[str, ...] = ()
    "Names of the columns, where the file has no header."


def read(files: Mapping[str, Path], *, lang: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield {column: text}; blank lines between rows are skipped, a wrong number of columns is an error with file:line."""
    (path,) = role_files("tsv", files, ROLES)
    parsed = parse_options("tsv", Options, options)
    if parsed.header == bool(parsed.columns):
        raise UserError(
            "reader 'tsv' cannot tell the names of the columns",
            where=str(path),
            todo="give either `header: true` or `columns: [...]`",
        )
    columns = parsed.columns
    for number, line in lines(path):
        values = line.split("\t")
        if not columns:
            columns = tuple(values)
            if len(set(columns)) < len(columns):
                raise UserError("two columns of one name", where=f"{path}:{number}", found=", ".join(columns))
            continue
        if not line and len(columns) > 1:
            continue
        if len(values) != len(columns):
            raise UserError(
                "wrong number of columns",
                where=f"{path}:{number}",
                expected=f"{len(columns)} ({', '.join(columns)})",
                found=f"{len(values)}: {line[:80]}",
            )
        yield dict(zip(columns, values))
