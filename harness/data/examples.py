"""Rows -> Examples of a task type, for one split of a task in some languages.

    found = load_examples(task, split="test", langs=["de"], place=DataPlace.resolve(None), limit=200)
    found.examples, found.num_rows, found.num_dropped, found.fingerprint

What becomes of each row is in `building.py`.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from harness.api.abandoning import check_wanted
from harness.api.errors import MissingData, UserError, collecting
from harness.api.packed import gathered
from harness.api.progress import progress_over
from harness.api.protocols import Example
from harness.api.registry import TASK_TYPES
from harness.data.building import build_rows
from harness.data.file_hashes import combined_fingerprint
from harness.data.locations import DataPlace
from harness.data.row_errors import SHOWN, RowErrors
from harness.data.rows import Rows, fingerprint, load_rows, mentions_languages
from harness.data.samples import rows_taken
from harness.specs.limit import Limit
from harness.specs.portable import Split
from harness.specs.task import Source, TaskSpec

Places: TypeAlias = Callable[[Sequence[int]], list[str]]
"Positions of examples -> where their rows stand."
MOST_PLAIN = 20_000
"Examples that are held as objects; more are packed."
LOOK_EVERY = 1000
"Rows between two looks whether anybody wants them still."


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
    examples: list[Sequence[Example]] = []
    tally = _Tally()
    _sources(task, split, langs)
    for lang in progress_over(langs, f"load {task.task} {split}", unit="language", shown=progress):
        errors = RowErrors()
        own = gathered(
            tally.kept(_parts(task, split=split, lang=lang, place=place, task_folder=task_folder, errors=errors)), most=MOST_PLAIN
        )
        errors.raise_any()
        found = partial(places_of, task, split=split, lang=lang, place=place, task_folder=task_folder)
        _check_some_left(own, task=task, split=split, lang=lang, origin=tally.origins[-1], places=found)
        ids = [example.id for example in own]
        _check_ids(ids, task=task.task, lang=lang, places=found)
        if limit is not None:
            chosen = rows_taken(ids, limit, key=key)
            own = _only_asking(own, chosen) if module.WHOLE_POOL else [own[position] for position in chosen]
        examples.append(own)
    return ExampleSet(
        task=task.task,
        split=split,
        examples=examples[0] if len(examples) == 1 else gathered(chain.from_iterable(examples), most=MOST_PLAIN),
        fingerprint=combined_fingerprint("all", list(dict.fromkeys(tally.fingerprints))),
        num_rows=tally.num_rows,
        num_dropped=tally.num_dropped,
        origin=", ".join(dict.fromkeys(tally.origins)),
    )


class _SourcePart(NamedTuple):
    """The rows of one source in one language, and what they become: None for rows that are left out or wrong."""

    rows: Rows
    built: Iterable[Example | None]


@dataclass(kw_only=True)
class _Tally:
    """What is known of the parts that were read."""

    fingerprints: list[str] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    num_rows: int = 0
    num_dropped: int = 0

    def kept(self, parts: Iterable[_SourcePart]) -> Iterator[Example]:
        """The examples of some parts, which are counted while they are built."""
        for part in parts:
            self.fingerprints.append(part.rows.fingerprint)
            self.origins.append(part.rows.origin)
            for example in part.built:
                self.num_rows += 1
                if not self.num_rows % LOOK_EVERY:
                    check_wanted()
                if example is None:
                    self.num_dropped += 1
                else:
                    yield example


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
            built = build_rows(task, rows, lang=lang, build=module.build, id_prefix=prefix, folder=task_folder, errors=errors)
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


@contextlib.contextmanager
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


def _check_ids(ids: Sequence[str], *, task: str, lang: str, places: Places) -> None:
    if len(set(ids)) == len(ids):
        return
    seen: dict[str, int] = {}
    for position, id_ in enumerate(ids):
        if id_ in seen:
            raise UserError(
                f"two examples with the id '{id_}'",
                where=f"task '{task}', language {lang}",
                expected="ids that are unique within a split and language",
                found=" and ".join(places([seen[id_], position])),
                todo="leave `id` out of the task's fields: rows are then numbered",
            )
        seen[id_] = position
