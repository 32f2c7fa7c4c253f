"""A Python file whose code makes the rows: it is fingerprinted as any file is, and read by whoever may run it.

    {reader: made_by_code, files: {rows: utils.py}, split: test}

Of tasks of lm-evaluation-harness with `custom_dataset`: harness/task_types/lm_eval_harness/documents.py runs the code.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.data.readers._text import parse_options, role_files
from harness.specs.model import Spec

ROLES = ("rows",)


class Options(Spec):
    """There are none."""


def read(files: Mapping[str, Path], *, lang: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """No rows: nothing is run here."""
    role_files("made_by_code", files, ROLES)
    parse_options("made_by_code", Options, options)
    yield from ()
