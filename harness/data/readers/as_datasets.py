r"""Files as the `datasets` package reads them: json, csv, parquet or text, with the arguments of that builder.

    {reader: as_datasets, reader_options: {builder: csv, arguments: {sep: "\t"}}, files: {rows: my.tsv}}

For task files of other harnesses, whose rows must come out as they do there; `jsonl` and `tsv` are ours.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from harness.api.errors import UserError
from harness.data.hub import without_progress_bars
from harness.data.readers._text import parse_options, role_files
from harness.specs.model import Spec

ROLES = ("rows",)


class Options(Spec):
    """Options of the reader."""

    builder: Literal["json", "csv", "parquet", "text"] = "json"
    "Builder of `datasets` that reads the file."
    arguments: dict[str, Any] = {}
    "Arguments of that builder, such as `sep`."


def read(files: Mapping[str, Path], *, lang: str, options: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The rows of one file; raises UserError for what `datasets` cannot read."""
    (path,) = role_files("as_datasets", files, ROLES)
    parsed = parse_options("as_datasets", Options, options)
    import datasets

    # Its copy of the rows is not kept: the files themselves are fingerprinted.
    with TemporaryDirectory() as folder, without_progress_bars():
        try:
            found = datasets.load_dataset(
                parsed.builder,
                data_files=str(path),
                split="train",
                cache_dir=folder,
                keep_in_memory=True,
                **parsed.arguments,
            )
            return [dict(row) for row in found]
        except Exception as error:  # of any package that it reads with
            text = " ".join(str(error).split())[:300]
            raise UserError(
                f"datasets cannot read this as {parsed.builder}", where=str(path), found=f"{type(error).__name__}: {text}"
            ) from error
