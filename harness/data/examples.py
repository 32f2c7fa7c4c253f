"""Rows -> Examples of a task type, for one split of a task in some languages.

    found = load_examples(task, split="test", langs=["de"], place=DataPlace.resolve(None), limit=200)
    found.examples, found.num_rows, found.num_dropped, found.fingerprint

A class number that the data name becomes its name; names and numbers become labels in the task type's `build` (`label_names.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from harness.api.errors import MissingData, UserError, collecting
from harness.api.progress import progress_over
from harness.api.protocols import Example
from harness.api.registry import TASK_TYPES
from harness.data.field_mapping import column_of, compile_fields
from harness.data.file_hashes import combined_fingerprint
from harness.data.label_names import class_name
from harness.data.locations import DataPlace
from harness.data.row_errors import SHOWN, RowErrors
from harness.data.rows import Rows, fingerprint, load_rows, mentions_languages
from harness.data.samples import rows_taken
from harness.data.template_lines import written_at
from harness.data.text_checks import check_texts
from harness.specs.limit import Limit
from harness.specs.portable import Split
from harness.specs.task import Source, TaskSpec

LABEL_FIELDS = ("label", "tags")
"Fields that hold a class of the task's `labels`, or a list of them."
Places: TypeAlias = Callable[[Sequence[int]], list[str]]
"Positions of examples -> where their rows stand."


class _Dropped(Exception):
    """A row without a label."""


@dataclass(frozen=True, kw_only=True)
class ExampleSet:
    """The examples of one split."""

    task: str
    split: Split
    examples: Sequence[Example]
    "By language, then by source, in the order of the rows."
    fingerprint: str
    "Of all sources and languages."
    num_rows: int
    "Rows before any was dropped or left out by the limit."
    num_dropped: int
    "Rows without a label, or with one that the task drops."
    origin: str
    "Where the rows came from, without a path of this machine."


def load_examples(
    task: TaskSpec,
    *,
    split: Split,
    langs: Sequence[str],
    place: DataPlace,
    task_folder: str | Path | None = None,
    limit: Limit | None = None,
    progress: bool = False,
) -> ExampleSet:
    """Load a split; `limit` says which examples of each language, always the same ones.

    Raises MissingData for a source that is nowhere, UserError with source and row for values that do not fit: the first few of
    each file.
    """
    module = TASK_TYPES.load(task.type)
    key = module.sample_key(task)
    examples: list[Example] = []
    fingerprints, origins, num_rows, num_dropped = [], [], 0, 0
    _sources(task, split, langs)
    for lang in progress_over(langs, f"load {task.task} {split}", unit="language", shown=progress):
        errors, own = RowErrors(), []
        for part in _parts(task, split=split, lang=lang, place=place, task_folder=task_folder, errors=errors):
            own += [example for example in part.built if example is not None]
            num_rows += len(part.built)
            num_dropped += sum(example is None for example in part.built)
            fingerprints.append(part.rows.fingerprint)
            origins.append(part.rows.origin)
        errors.raise_any()
        found = partial(places_of, task, split=split, lang=lang, place=place, task_folder=task_folder)
        _check_some_left(own, task=task, split=split, lang=lang, origin=origins[-1], places=found)
        _check_ids(own, task=task.task, lang=lang, places=found)
        chosen = rows_taken([example.id for example in own], limit, key=key)
        examples += _only_asking(own, chosen) if module.WHOLE_POOL else [own[position] for position in chosen]
    return ExampleSet(
        task=task.task,
        split=split,
        examples=examples,
        fingerprint=combined_fingerprint("all", list(dict.fromkeys(fingerprints))),
        num_rows=num_rows,
        num_dropped=num_dropped,
        origin=", ".join(dict.fromkeys(origins)),
    )


class _SourcePart(NamedTuple):
    """The rows of one source in one language, and what they became: None for rows that are left out or wrong."""

    rows: Rows
    built: Sequence[Example | None]


def _parts(
    task: TaskSpec,
    *,
    split: Split,
    lang: str,
    place: DataPlace,
    task_folder: str | Path | None,
    errors: RowErrors,
) -> Iterator[_SourcePart]:
    """The sources of a split in one language, one after the other; mistakes in single rows are added to `errors`."""
    sources, module = _sources(task, split, [lang]), TASK_TYPES.load(task.type)
    for number, source in enumerate(sources):
        with _advice(task):
            rows = load_rows(source, lang=lang, place=place, task=task.task, task_folder=task_folder)
        if module.documents is not None:
            how = {"split": split, "place": place, "task_folder": task_folder}
            built = module.documents(rows, task=task, lang=lang, errors=errors, **how)
        else:
            prefix = f"{number}." if len(sources) > 1 else ""
            built = _build(task, rows, lang=lang, build=module.build, id_prefix=prefix, folder=task_folder, errors=errors)
        yield _SourcePart(rows, built)


def readable_examples(
    task: TaskSpec, *, split: Split, lang: str, place: DataPlace, task_folder: str | Path | None = None
) -> tuple[list[Example], list[UserError]]:
    """The examples of the rows that can be read, and what is wrong with the others."""
    errors, examples, found = RowErrors(), [], list[UserError]()
    with collecting(found):
        for part in _parts(task, split=split, lang=lang, place=place, task_folder=task_folder, errors=errors):
            examples += [example for example in part.built if example is not None]
    return examples, [*errors.errors(), *found]


def places_of(
    task: TaskSpec, positions: Sequence[int], *, split: Split, lang: str, place: DataPlace, task_folder: str | Path | None = None
) -> list[str]:
    """Where the rows of some examples stand (file, number from 1); `positions` are those in the examples of a language."""
    places = [
        part.rows.place_of(number)
        for part in _parts(task, split=split, lang=lang, place=place, task_folder=task_folder, errors=RowErrors())
        for number, example in enumerate(part.built)
        if example is not None
    ]
    return [places[position] for position in positions]


def data_fingerprint(
    task: TaskSpec, *, split: Split, langs: Sequence[str], place: DataPlace, task_folder: str | Path | None = None
) -> str:
    """The fingerprint that `load_examples` would give, without reading rows; raises MissingData."""
    sources = _sources(task, split, langs)
    with _advice(task):
        found = dict.fromkeys(
            fingerprint(source, lang=lang, place=place, task=task.task, task_folder=task_folder)
            for lang in langs
            for source in sources
        )
    return combined_fingerprint("all", list(found))


@contextmanager
def _advice(task: TaskSpec) -> Iterator[None]:
    """Missing data say how this task's are got, where it knows."""
    try:
        yield
    except MissingData as error:
        raise error.advising(task.obtain) from error


def _sources(task: TaskSpec, split: Split, langs: Sequence[str]) -> Sequence[Source]:
    sources: Sequence[Source] = getattr(task.data, split)
    if not sources:
        raise UserError(f"task '{task.task}' has no {split} data", expected=f"data.{split}")
    for number, source in enumerate(sources):
        if len(langs) > 1 and not mentions_languages(source):
            raise UserError(
                f"data.{split}[{number}] of task '{task.task}' gives the same rows for each of {len(langs)} languages",
                expected="a placeholder such as {lang} in config, split, files or where",
            )
    return sources


def _build(
    task: TaskSpec,
    rows: Rows,
    *,
    lang: str,
    build: Callable[..., Example | None],
    id_prefix: str,
    folder: str | Path | None,
    errors: RowErrors,
) -> list[Example | None]:
    """An Example per row, None for dropped ones and those that are wrong."""
    mapped = compile_fields(task.fields)
    named = {name: _named_classes(task, rows, name) for name in LABEL_FIELDS if name in task.fields}
    built: list[Example | None] = []
    where = f"task '{task.task}', language {lang}"
    for number, row in enumerate(rows.rows):
        example = None
        try:
            fields = mapped(row)
            check_texts(fields)
            for name, names in named.items():
                fields[name] = names(fields[name]) if names else fields[name]
            if "id" in fields and fields["id"] not in (None, ""):
                fields["id"] = f"{id_prefix}{fields['id']}"
            example = build(fields, task=task, lang=lang, row_id=f"{id_prefix}{number}")
        except _Dropped:
            pass
        except UserError as error:
            errors.add(error, place=rows.place_of(number), where=written_at(error, task, folder, below="fields") + where)
        built.append(example)
    return built


def _named_classes(task: TaskSpec, rows: Rows, field: str) -> Callable[[Any], Any] | None:
    """A function from raw classes (one, or a list) to the names that the data give them; None where they give none."""
    names = rows.class_names.get(column_of(task.fields[field]) or "", ())
    if not names:
        return None
    known: dict[Any, Any] = {}

    def one(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        if value not in known:
            known[value] = class_name(value, names, task)
        if known[value] is None:
            raise _Dropped
        return known[value]

    return lambda value: [one(item) for item in value] if isinstance(value, list) else one(value)


def _only_asking(examples: Sequence[Any], chosen: Sequence[int]) -> list[Example]:
    """The whole pool, of which only the chosen examples are queries: searching fewer sentences would be an easier task."""
    asking = set(chosen)
    return [replace(example, query=position in asking) for position, example in enumerate(examples)]


def _check_some_left(
    examples: Sequence[Example], *, task: TaskSpec, split: Split, lang: str, origin: str, places: Places
) -> None:
    """A split without an example teaches and tells nothing, and a test row without a label cannot be scored."""
    where = f"task '{task.task}', {split}, language {lang}"
    if not examples:
        expected = "a row with a label that the task does not drop"
        todo = "look at the rows, and at `label_values` in the task's file"
        raise UserError("no row is left", where=where, expected=expected, found=f"{origin}: none", todo=todo)
    bare = [position for position, example in enumerate(examples) if example.gold is None]
    if split == "test" and bare and TASK_TYPES.load(task.type).ROWS_HAVE_GOLD:
        raise UserError(
            f"{len(bare)} of {len(examples)} test rows have no label",
            where=where,
            expected="a label in every row that is scored",
            found="none in " + "; ".join(places(bare[:SHOWN])) + (f" and {len(bare) - SHOWN} more" if len(bare) > SHOWN else ""),
            todo="leave these rows out of the data, or give them -1 (or a value that is dropped in label_values)",
        )


def _check_ids(examples: Sequence[Example], *, task: str, lang: str, places: Places) -> None:
    seen: dict[str, int] = {}
    for position, example in enumerate(examples):
        if example.id in seen:
            raise UserError(
                f"two examples with the id '{example.id}'",
                where=f"task '{task}', language {lang}",
                expected="ids that are unique within a split and language",
                found=" and ".join(places([seen[example.id], position])),
                todo="leave `id` out of the task's fields: rows are then numbered",
            )
        seen[example.id] = position
