"""Rows of one source in one language, from wherever they lie: generated world, local files, mirror of the hub, hub.

rows = load_rows(source, lang="de", place=DataPlace.resolve(None), task="xnli")
rows.rows[0], rows.fingerprint, rows.origin
fingerprint(source, lang="de", place=place, task="xnli")     # the same fingerprint; the rows are not read
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.api.errors import UserError
from harness.api.registry import READERS, WORLDS
from harness.data.arrow import class_names, keep, missing_column, read_parquet, rename, to_rows
from harness.data.file_hashes import combined_fingerprint, files_fingerprint
from harness.data.hub import NotOnHub, find_revision, load_split
from harness.data.languages import fill, mentions_language
from harness.data.locations import DataPlace, Found, missing_hub_data
from harness.data.parallel_rows import side_by_side
from harness.specs.task import Source, Where


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
        rows = [row for files in _one_by_one(paths) for row in _read(source, files, lang)]
        return _plain(rows, source, fingerprint=_files(paths), origin="files:" + ",".join(file_names(source)))
    assert source.hub is not None
    found = place.mirror_files(source.hub, config=source.config, split=source.split)
    if found.paths:
        table, data_version = read_parquet(found.paths), files_fingerprint(found.paths)
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
    where = f"{origin}/{source.split}"
    names = class_names(table.schema)
    back = {old: new for new, old in source.rename.items()}
    table = rename(keep(table, source.where, where=where), source.rename, where=where)
    renamed = {
        ".".join([back.get(head, head), *rest]): values for key, values in names.items() for head, *rest in [key.split(".")]
    }
    return Rows(rows=to_rows(table), fingerprint=data_version, origin=where, class_names=renamed, table=table)


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
    found = place.mirror_files(source.hub, config=source.config, split=source.split)
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


def _files(paths: Mapping[str, tuple[Path, ...]]) -> str:
    return files_fingerprint([path for role in sorted(paths) for path in paths[role]])


def _plain(rows: Sequence[Mapping[str, Any]], source: Source, *, fingerprint: str, origin: str) -> Rows:
    """`where` and `rename` for rows that are dicts."""
    where = f"{origin}/{source.split}" if source.world else origin
    for test in source.where:
        rows = [row for row in rows if _passes(row, test, where=where)]
    if source.rename:
        rows = [_renamed(row, source.rename, where=where) for row in rows]
    return Rows(rows=rows, fingerprint=fingerprint, origin=where)


def _passes(row: Mapping[str, Any], test: Where, *, where: str) -> bool:
    if test.column not in row:
        raise missing_column(test.column, list(row), where=where)
    value = row[test.column]
    if value is None:
        return False
    return str(value) == test.equals if test.prefix is None else str(value).startswith(test.prefix)


def _renamed(row: Mapping[str, Any], names: Mapping[str, str], *, where: str) -> dict[str, Any]:
    for old in names.values():
        if old not in row:
            raise missing_column(old, list(row), where=where)
    return {key: value for key, value in row.items() if key not in names.values()} | {new: row[old] for new, old in names.items()}


def _missing(source: Source, found: Found, error: NotOnHub, *, task: str, lang: str, place: DataPlace) -> Exception:
    what = f"{source.hub}, config {source.config}, split {source.split}"
    there = "the hub's local cache (offline)" if place.offline else "the hub"
    return missing_hub_data(what, task=task, lang=lang, looked=[*found.looked, f"{there}: {error}"])
