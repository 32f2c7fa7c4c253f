r"""Files as the `datasets` package reads them: json, csv, parquet or text, with the arguments of that builder.

    {reader: as_datasets, reader_options: {builder: csv, arguments: {sep: "\t"}}, files: {rows: my.tsv}}

For task files of other harnesses, whose rows must come out as they do there; `jsonl` and `tsv` are ours.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.errors import UserError

BUILDERS = ("json", "csv", "parquet", "text")


def read(files: Mapping[str, Path], *, lang: str, options: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The rows of one file; raises UserError for what `datasets` cannot read."""
    builder, arguments = options.get("builder"), options.get("arguments", {})
    if builder not in BUILDERS:
        raise UserError(f"reader as_datasets knows no builder '{builder}'", expected=", ".join(BUILDERS))
    import datasets

    path = files["rows"]
    with TemporaryDirectory() as folder:  # its copy of the rows is not kept: the files themselves are fingerprinted
        shown = datasets.is_progress_bar_enabled()
        datasets.disable_progress_bars()
        try:
            found = datasets.load_dataset(
                builder, data_files=str(path), split="train", cache_dir=folder, keep_in_memory=True, **arguments
            )
        except Exception as error:  # of any package that it reads with
            text = " ".join(str(error).split())[:300]
            raise UserError(
                f"datasets cannot read this as {builder}", where=str(path), found=f"{type(error).__name__}: {text}"
            ) from error
        finally:
            if shown:
                datasets.enable_progress_bars()
        return [dict(row) for row in found]
