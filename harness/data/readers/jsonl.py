"""One JSON object per line; blank lines are skipped.  No options.

read({"rows": path}, lang="de", options={})
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.api.json_text import parse_json
from harness.data.readers._text import lines, parse_options, role_files
from harness.specs.model import Spec

ROLES = ("rows",)


class Options(Spec):
    """There are none."""


def read(files: Mapping[str, Path], *, lang: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the objects; raises UserError with file:line for anything else."""
    (path,) = role_files("jsonl", files, ROLES)
    parse_options("jsonl", Options, options)
    for number, line in lines(path):
        if not line.strip():
            continue
        row = parse_json(line, where=f"{path}:{number}", expected="one JSON object per line")
        if not isinstance(row, dict):
            raise UserError("not a JSON object", where=f"{path}:{number}", found=line[:60], expected="one JSON object per line")
        yield row
