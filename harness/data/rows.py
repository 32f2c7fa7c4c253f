"""Rows of one source in one language, from wherever they lie: generated world, local files, mirror of the hub, hub.

rows = load_rows(source, lang="de", place=DataPlace.resolve(None), task="xnli")
rows.rows[0], rows.fingerprint, rows.origin
fingerprint(source, lang="de", place=place, task="xnli")     # the same fingerprint; the rows are not read
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.api.errors import UserError
from harness.api.packed import gathered
from harness.api.registry import READERS, WORLDS
from harness.data.arrow import class_names, missing_column, passes, passing, readable, rename, rows_of_files
from harness.data.columns import TableRows
from harness.data.file_hashes import combined_fingerprint, files_fingerprint
from harness.data.hub import NotOnHub, find_revision, load_split
from harness.data.languages import fill, mentions_language
from harness.data.locations import DataPlace, Found, missing_hub_data
from harness.data.mirror_splits import rows_of, split_parts, together
from harness.data.parallel_rows import side_by_side
from harness.specs.task import Source, Where

MOST_PLAIN = 10_000
"Rows of files that are held as Python values; more are packed."


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a source in one language, with their fingerprint and origin."""

    rows: Sequence[Mapping[str, Any]]
    "Column -> value, after `where` and `rename`; values are not changed otherwise, class numbers stay numbers."
    fingerprint: str
    "Changes with the data: `file:<16 hex>`, `hub:<commit>` or `world:<16 hex>`."
    origin: str
    "Where the rows came from, without a path of this machine."
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    "Column (dotted inside structures) -> names of its class numbers, where the data say them."
    table: pa.Table | None = None
    "The same rows as Arrow, where they were read so."
    files: Sequence[tuple[str, int]] = ()
    "The files they were read from, in order, with the number of rows of each; none for worlds and the hub."
    numbers: Sequence[int] | None = None
    "The place of each row in these files before `where`; None = as they stand."

    def place_of(self, number: int) -> str:
        """Where a row stands, in words: its file, or the origin, and its number there from 1 (a head line is no row)."""
        at = number if self.numbers is None else self.numbers[number]
        for file, count in self.files:
            if at < count:
                return f"{file}, row {at + 1}"
            at -= count
        return f"{self.origin}, row {at + 1}"


def mentions_languages(source: Source) -> bool:
    """Whether the rows of a source depend on the language: a placeholder anywhere, or a generated world."""
    tests = [text for test in source.where for text in (test.equals, test.prefix) if text is not None]
    texts = [source.hub or "", source.config, source.split, *file_names(source), *tests]
    return source.world is not None or any(map(mentions_language, texts))


def filled(source: Source, lang: str) -> Source:
    """The source with {lang} and its kin replaced in every text."""
    return source.model_copy(
        update={
            "config": fill(source.config, lang),
            "split": fill(source.split, lang),
            "files": {role: _filled_names(names, lang) for role, names in source.files.items()} if source.files else None,
            "where": tuple(_filled_test(test, lang) for test in source.where),
        }
    )


def file_names(source: Source) -> list[str]:
    """The names and globs of a source's local files."""
    return [name for names in (source.files or {}).values() for name in ((names,) if isinstance(names, str) else names)]


def _filled_names(names: str | tuple[str, ...], lang: str) -> str | tuple[str, ...]:
    return fill(names, lang) if isinstance(names, str) else tuple(fill(name, lang) for name in names)


def _filled_test(test: Where, lang: str) -> Where:
    values = {name: fill(text, lang) for name in ("equals", "prefix") if (text := getattr(test, name)) is not None}
    return test.model_copy(update=values)


def languages_read(source: Source, lang: str) -> tuple[str, ...]:
    """The languages in which a source is read for the rows of one: that one, and the parallel language where there is one."""
    return (lang, source.beside.lang) if source.beside else (lang,)


def load_rows(source: Source, *, lang: str, place: DataPlace, task: str = "", task_folder: str | Path | None = None) -> Rows:
    """Read a source; raises MissingData if it is nowhere, UserError if it cannot be read."""
    found = [_load(source, one, place=place, task=task, task_folder=task_folder) for one in languages_read(source, lang)]
    if source.beside is None:
        return found[0]
    own, other = found
    both = side_by_side(own.rows, other.rows, beside=source.beside, where=f"{own.origin} beside {other.origin}")
    return replace(own, rows=both, table=None, fingerprint=combined_fingerprint("beside", [own.fingerprint, other.fingerprint]))


def _load(source: Source, lang: str, *, place: DataPlace, task: str, task_folder: str | Path | None) -> Rows:
    """The rows of a source in one language."""
    source = filled(source, lang)
    if source.world is not None:
        rows = WORLDS.load(source.world).rows(config=source.config, split=source.split, lang=lang)
        origin = f"world:{source.world}/{source.config}"
        return _plain(rows, source, fingerprint=_world_fingerprint(source, lang), origin=origin)
    if source.files is not None:
        paths = place.local_files(source.files, task=task, lang=lang, task_folder=task_folder)
        files: list[tuple[str, int]] = []
        rows = gathered(_of_files(source, _one_by_one(paths), lang, files), most=MOST_PLAIN)
        origin = "files:" + ",".join(file_names(source))
        return _plain(rows, source, fingerprint=_files(paths), origin=origin, files=files)
    assert source.hub is not None
    parts = split_parts(source, place=place)
    found = together(parts)
    if found.paths:
        table, data_version = rows_of(parts), files_fingerprint(found.paths)
        origin = f"mirror:{source.hub}/{source.config}"
    else:
        try:
            got = load_split(
                source.hub, config=source.config, split=source.split, revision=source.revision, offline=place.offline
            )
        except NotOnHub as error:
            raise _missing(source, found, error, task=task, lang=lang, place=place) from error
        table, data_version = got.table, f"hub:{got.revision}"
        origin = f"hub:{source.hub}@{got.revision}/{source.config}"
    where, is_whole = f"{origin}/{source.split}", source.split == parts[0].split
    with readable("rows that cannot be read", where=where, todo="look at the types of the columns"):
        return _of_table(source, table, fingerprint=data_version, where=where, files=found.paths if is_whole else ())


def _of_table(source: Source, table: pa.Table, *, fingerprint: str, where: str, files: Sequence[Path]) -> Rows:
    """`where` and `rename` for an Arrow table."""
    names = class_names(table.schema, where=where)
    back = {old: new for new, old in source.rename.items()}
    numbers = passing(table, source.where, where=where) if source.where else None
    if numbers is not None:
        _check_some_pass(source, num_rows=table.num_rows, num_passed=len(numbers), where=where)
        table = table.take(pa.array(numbers, pa.int64()))
    table = rename(table, source.rename, where=where)
    renamed = {
        ".".join([back.get(head, head), *rest]): values for key, values in names.items() for head, *rest in [key.split(".")]
    }
    return Rows(
        rows=TableRows(table, where=where),
        fingerprint=fingerprint,
        origin=where,
        class_names=renamed,
        table=table,
        files=rows_of_files(files),
        numbers=numbers,
    )


def fingerprint(source: Source, *, lang: str, place: DataPlace, task: str = "", task_folder: str | Path | None = None) -> str:
    """What `load_rows` would record as fingerprint, without reading the rows; raises MissingData if the source is nowhere."""
    langs = languages_read(source, lang)
    found = [_fingerprint(source, one, place=place, task=task, task_folder=task_folder) for one in langs]
    return combined_fingerprint("beside", found)


def _fingerprint(source: Source, lang: str, *, place: DataPlace, task: str, task_folder: str | Path | None) -> str:
    """The fingerprint of a source in one language."""
    source = filled(source, lang)
    if source.world is not None:
        return _world_fingerprint(source, lang)
    if source.files is not None:
        return _files(place.local_files(source.files, task=task, lang=lang, task_folder=task_folder))
    assert source.hub is not None
    found = together(split_parts(source, place=place))
    if found.paths:
        return files_fingerprint(found.paths)
    try:
        return "hub:" + find_revision(source.hub, config=source.config, revision=source.revision, offline=place.offline)
    except NotOnHub as error:
        raise _missing(source, found, error, task=task, lang=lang, place=place) from error


def _world_fingerprint(source: Source, lang: str) -> str:
    digest = WORLDS.load(source.world or "").fingerprint(config=source.config, split=source.split, lang=lang)
    return f"world:{digest[:16]}"


def _one_by_one(paths: Mapping[str, tuple[Path, ...]]) -> list[dict[str, Path]]:
    """The files by role, as often as the reader is called: once for each file of a role that stands alone."""
    if len(paths) == 1:
        return [{role: path} for role, several in paths.items() for path in several]
    for role, several in paths.items():
        if len(several) > 1:
            raise UserError(
                f"{len(several)} files for '{role}'",
                expected="one file for each role of a reader that has several",
                found=", ".join(path.name for path in several[:3]),
            )
    return [{role: path for role, (path,) in paths.items()}]


def _read(source: Source, files: Mapping[str, Path], lang: str) -> Iterable[Mapping[str, Any]]:
    found: Iterable[Mapping[str, Any]] = READERS.load(source.reader or "").read(files, lang=lang, options=source.reader_options)
    return found


def _of_files(
    source: Source, calls: Sequence[Mapping[str, Path]], lang: str, counts: list[tuple[str, int]]
) -> Iterator[Mapping[str, Any]]:
    """The rows of files, each of which is added to `counts` with the number of its rows when they are read."""
    for call in calls:
        number = 0
        for row in _read(source, call, lang):
            yield row
            number += 1
        counts.append(("+".join(map(str, call.values())), number))


def _files(paths: Mapping[str, tuple[Path, ...]]) -> str:
    return files_fingerprint([path for role in sorted(paths) for path in paths[role]])


def _plain(
    rows: Sequence[Mapping[str, Any]], source: Source, *, fingerprint: str, origin: str, files: Sequence[tuple[str, int]] = ()
) -> Rows:
    """`where` and `rename` for rows that are dicts."""
    where = f"{origin}/{source.split}" if source.world else origin
    all_rows = Rows(rows=rows, fingerprint=fingerprint, origin=where, files=files)
    numbers = None
    if source.where:
        columns = {test.column: any(test.column in row for row in rows) for test in source.where} if rows else {}
        for column, known in columns.items():
            if not known:
                raise missing_column(column, list(rows[0]), where=where)
        numbers = [number for number, row in enumerate(rows) if _passes_all(all_rows, row, number, source.where)]
        _check_some_pass(source, num_rows=len(rows), num_passed=len(numbers), where=where)
        chosen = set(numbers)
        rows = gathered((row for number, row in enumerate(rows) if number in chosen), most=MOST_PLAIN)
    if source.rename:
        rows = gathered((_renamed(row, source.rename, where=where) for row in rows), most=MOST_PLAIN)
    return replace(all_rows, rows=rows, numbers=numbers)


def _passes_all(rows: Rows, row: Mapping[str, Any], number: int, tests: Sequence[Where]) -> bool:
    for test in tests:
        try:
            if not passes(row.get(test.column), test):
                return False
        except UserError as error:
            raise error.at(f"{rows.place_of(number)}, column '{test.column}'") from None
    return True


def _check_some_pass(source: Source, *, num_rows: int, num_passed: int, where: str) -> None:
    """A filter that leaves nothing of some rows is a mistake in the filter."""
    if num_rows and not num_passed:
        tests = [
            f"{t.column} {'equals' if t.prefix is None else 'begins with'} '{t.equals or t.prefix or ''}'" for t in source.where
        ]
        raise UserError(
            f"none of {num_rows} rows passes the filter",
            where=where,
            expected="a row with " + " and ".join(tests),
            todo="look at the values of the column, and mend `where` in the task's file",
        )


def _renamed(row: Mapping[str, Any], names: Mapping[str, str], *, where: str) -> dict[str, Any]:
    for old in names.values():
        if old not in row:
            raise missing_column(old, list(row), where=where)
    return {key: value for key, value in row.items() if key not in names.values()} | {new: row[old] for new, old in names.items()}


def _missing(source: Source, found: Found, error: NotOnHub, *, task: str, lang: str, place: DataPlace) -> Exception:
    what = f"{source.hub}, config {source.config}, split {source.split}"
    there = "the hub's local cache (offline)" if place.offline else "the hub"
    return missing_hub_data(what, task=task, lang=lang, looked=[*found.looked, f"{there}: {error}"], unread=found.unread)
