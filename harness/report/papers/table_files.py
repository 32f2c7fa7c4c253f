"""The long table as files: cells.csv, cells.parquet, and cells.md, which says what the columns mean.

    write_tables(board, Path("tables"))          # returns the paths

CSV is UTF-8 with a line of names; an empty field is a value that is not there.  Parquet has the types of the columns.  The same
board gives the same bytes.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.api.protocols import Json
from harness.report.papers.long_table import COLUMNS, columns_page, long_table
from harness.runtime.outputs import failed_output
from harness.runtime.stages import write_text

CSV_FILE, PARQUET_FILE, COLUMNS_FILE = "cells.csv", "cells.parquet", "cells.md"
ABOUT = (
    "# The cells of a board\n\n"
    "`cells.csv` and `cells.parquet` hold the same: one row for each cell (model, intermediate setting, task, language, seed)\n"
    "that was asked for. A cell without a score says why in `missing`. Means weigh languages equally, after\n"
    "the mean over seeds.\n\n"
    "```python\n"
    'cells = pandas.read_parquet("cells.parquet")       # or read_csv("cells.csv", keep_default_na=False, na_values=[""])\n'
    'cells.groupby(["model", "intermediate", "task", "lang"]).score.mean().groupby(["model", "intermediate", "task"]).mean()\n'
    "```\n\n"
)


def write_tables(board: Mapping[str, Json], folder: Path) -> list[Path]:
    """Write the three files into a folder, which is made if need be."""
    rows = long_table(board)
    paths = [folder / name for name in (CSV_FILE, PARQUET_FILE, COLUMNS_FILE)]
    write_text(paths[0], _csv(rows))
    _write_parquet(rows, paths[1])
    write_text(paths[2], ABOUT + columns_page() + "\n")
    return paths


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in COLUMNS])
    for row in rows:
        writer.writerow([_field(row[column.name]) for column in COLUMNS])
    return text.getvalue()


def _field(value: Any) -> str:
    """Numbers as Python reads them back to the last bit."""
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)


def _write_parquet(rows: list[dict[str, Any]], path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    arrays = [pa.array([row[column.name] for row in rows], type=kinds[column.kind]) for column in COLUMNS]
    table = pa.table(arrays, names=[column.name for column in COLUMNS])
    temporary = path.with_name(f".{path.name}.part")
    try:
        parquet.write_table(table, temporary)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise failed_output(error, path) from error
