"""Arrow tables as rows of plain Python values, fast, and the class names that the hub keeps in their schema.

table = read_parquet((path,))
class_names(table.schema, where="nli.parquet")        # {'ner_tags': ('O', 'B-PER', ...)}
to_rows(table)                   # [{'tokens': [...], 'ner_tags': [0, 3, ...]}, ...]
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.api.errors import UserError, did_you_mean
from harness.api.json_text import parse_json
from harness.data.values import compared_as
from harness.specs.task import Where


def read_parquet(paths: Sequence[Path]) -> pa.Table:
    """One table of the files, in their order; kept for the next call, since one file may hold all languages of a task."""
    stats = [path.stat() for path in paths]
    return _read_parquet(tuple(paths), tuple((stat.st_size, stat.st_mtime_ns) for stat in stats))


@contextlib.contextmanager
def readable(what: str, *, where: str, todo: str = "fetch the file again") -> Iterator[None]:
    """What Arrow cannot read, or Python cannot hold (a date of the year 40000), is a UserError."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # UnicodeDecodeError is a ValueError
        raise UserError(what, where=where, found=" ".join(str(error).split())[:200], todo=todo) from None


@lru_cache(maxsize=4)
def _read_parquet(paths: tuple[Path, ...], stamps: tuple[tuple[int, int], ...]) -> pa.Table:
    tables = []
    for path in paths:
        with readable("not a readable parquet file", where=str(path)):
            tables.append(pq.ParquetFile(path).read())
    with readable("the files have columns that do not fit each other", where=", ".join(map(str, paths[:3]))):
        return tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive")


def rows_of_files(paths: Sequence[Path]) -> list[tuple[str, int]]:
    """Each file with the number of its rows."""
    return [(str(path), pq.read_metadata(path).num_rows) for path in paths]


def class_names(schema: pa.Schema, *, where: str) -> dict[str, tuple[str, ...]]:
    """Column (dotted inside structures) -> names of its class numbers, from the hub's metadata; {} where there is none."""
    raw = (schema.metadata or {}).get(b"huggingface")
    features = parse_json(raw.decode("utf-8", "replace"), where=f"{where}, metadata of the columns") if raw else {}
    for key in ("info", "features"):
        features = features.get(key) if isinstance(features, dict) else None
    found: dict[str, tuple[str, ...]] = {}
    _collect_names(features, "", found)
    return found


def _collect_names(feature: Any, path: str, found: dict[str, tuple[str, ...]]) -> None:
    if isinstance(feature, list):  # the older spelling of a list of structures
        for item in feature:
            _collect_names(item, path, found)
    elif isinstance(feature, dict):
        kind = feature.get("_type")
        if kind == "ClassLabel" and isinstance(feature.get("names"), list):
            found[path] = tuple(map(str, feature["names"]))
        elif isinstance(kind, str):
            _collect_names(feature.get("feature"), path, found)
        else:
            for name, part in feature.items():
                _collect_names(part, f"{path}.{name}" if path else name, found)


def passing(table: pa.Table, tests: Sequence[Where], *, where: str) -> list[int]:
    """Numbers of the rows that pass every test, in order; raises UserError for a column that is not there."""
    mask = np.ones(table.num_rows, dtype=bool)
    for test in tests:
        if test.column not in table.column_names:
            raise missing_column(test.column, table.column_names, where=where)
        # Each value once, however many rows have it.
        column = _comparable(table[test.column], f"{where}, column '{test.column}'")
        values = pc.dictionary_encode(column.combine_chunks())
        passed = np.array([*(passes(value, test) for value in values.dictionary.to_pylist()), False], dtype=bool)
        numbers = values.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        mask &= passed[numbers]  # -1, no value, is the last one
    found: list[int] = np.flatnonzero(mask).tolist()
    return found


def _comparable(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """The column in a type whose values are compared as those of a text file are: half a precision has fewer digits."""
    kind = column.type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise UserError("a filter looks at single values", where=where, expected="text, numbers, dates", found=str(kind))
    if pa.types.is_dictionary(kind):
        return pc.cast(column, kind.value_type)
    return pc.cast(column, pa.string()) if pa.types.is_float16(kind) or pa.types.is_float32(kind) else column


def passes(value: Any, test: Where) -> bool:
    """Whether a value passes a test; a row without a value never does."""
    if value is None:
        return False
    if test.prefix is not None:
        return compared_as(value).startswith(test.prefix)
    return compared_as(value) == compared_as(test.equals)


def rename(table: pa.Table, names: Mapping[str, str], *, where: str) -> pa.Table:
    """The table with new column names (new -> old); a column that a new name would hide is dropped."""
    for old in names.values():
        if old not in table.column_names:
            raise missing_column(old, table.column_names, where=where)
    hidden = [new for new in names if new in table.column_names and new not in names.values()]
    table = table.drop_columns(hidden) if hidden else table
    new_of = {old: new for new, old in names.items()}
    return table.rename_columns([new_of.get(column, column) for column in table.column_names])


def missing_column(name: str, columns: Sequence[str], *, where: str) -> UserError:
    """The error for a column that the data do not have."""
    return UserError(f"no column '{name}'", where=where, found="columns " + ", ".join(columns), todo=did_you_mean(name, columns))


def to_rows(table: pa.Table) -> list[dict[str, Any]]:
    """A dict per row; lists and structures become lists and dicts."""
    columns = [column.to_pylist() for column in table.columns]  # `to_numpy` of texts would import pandas
    names = table.column_names
    return [dict(zip(names, values)) for values in zip(*columns)]
