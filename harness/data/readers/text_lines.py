"""Raw text, one sentence or paragraph per line; blank lines are skipped.  No options.

read({"rows": path}, lang="de", options={})    # {"text"}
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.data.readers._text import lines, parse_options, role_files
from harness.specs.model import Spec

ROLES = ("rows",)


class Options(Spec):
    """There are none."""


def read(files: Mapping[str, Path], *, lang: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield {'text': line} per line that is not blank."""
    (path,) = role_files("text_lines", files, ROLES)
    parse_options("text_lines", Options, options)
    for _, line in lines(path):
        if line.strip():
            yield {"text": line}
