"""All tasks, groups, recipes and presets there are: the shipped folders and those of --include_path.

    catalog = Catalog(include=[Path("my_tasks")])
    catalog.select("xnli,mini/*")          # names of tasks, in order, groups and globs expanded
    catalog.task("xnli").spec              # a checked TaskSpec; UserError with file:line otherwise

Reading and checking specs imports neither torch nor datasets.
"""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from harness.data.languages import PLACEHOLDERS, languages
from harness.errors import UserError, did_you_mean, raise_all
from harness.registry import ADAPTERS, METRICS, READERS, ROOT, TASK_TYPES, WORLDS
from harness.specs.loader import Document, KeyPath, parse, read_document, shown
from harness.specs.preset import PresetSpec
from harness.specs.recipe import RecipeSpec, Training
from harness.specs.task import GroupSpec, TaskSpec

KINDS: Mapping[str, type[BaseModel]] = {"task": TaskSpec, "group": GroupSpec, "recipe": RecipeSpec, "preset": PresetSpec}
SpecT = TypeVar("SpecT", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Entry(Generic[SpecT]):
    """A spec with the document that it was read from."""

    spec: SpecT
    document: Document


class Catalog:
    """An index of YAML files by kind and name; specs are checked when they are asked for."""

    def __init__(self, include: Sequence[Path] = ()) -> None:
        """Index tasks/, models/presets/ and each folder (or file) of `include`; later ones may not repeat a name."""
        self.errors: list[UserError] = []
        self._documents: dict[tuple[str, str], Document] = {}
        self._checked: dict[tuple[str, str], Entry[Any]] = {}
        for folder in (ROOT / "tasks", ROOT / "models" / "presets"):
            self._index(folder)
        for extra in include:
            if not extra.exists():
                raise UserError(f"--include_path {extra} does not exist", expected="a folder of YAML files, or one file")
            self._index(extra)

    def _index(self, place: Path) -> None:
        for path in [place] if place.is_file() else sorted(place.rglob("*.yaml")):
            if path.name.startswith("_"):
                continue
            try:
                self._add(read_document(path))
            except UserError as error:
                self.errors.append(error)

    def _add(self, document: Document) -> None:
        kinds = [kind for kind in KINDS if kind in document.values]
        if len(kinds) != 1:
            known = ", ".join(f"`{kind}: <name>`" for kind in KINDS)
            raise UserError(
                "cannot tell what this file is", where=f"{shown(document.path)}:1", expected=f"exactly one of {known}"
            )
        key = (kinds[0], str(document.values[kinds[0]]))
        if key in self._documents:
            raise UserError(
                f"{key[0]} '{key[1]}' exists twice",
                where=document.where((key[0],)),
                found=shown(self._documents[key].path),
                todo="rename one",
            )
        self._documents[key] = document

    def names(self, kind: str) -> list[str]:
        """Names of all entries of a kind ('task', 'group', 'recipe', 'preset'), sorted."""
        return sorted(name for k, name in self._documents if k == kind)

    def folder(self, kind: str, name: str) -> Path:
        """The folder of an entry's file."""
        return self._documents[kind, name].path.parent

    def _entry(self, kind: str, name: str) -> Entry[Any]:
        key = (kind, name)
        if key not in self._documents:
            broken = "\n".join(str(error) for error in self.errors)
            raise UserError(
                f"unknown {kind} '{name}'",
                todo=did_you_mean(name, self.names(kind)),
                found=broken and f"files in error:\n{broken}",
            )
        if key not in self._checked:
            entry, errors = self.check(kind, name)
            raise_all(errors)
            assert entry is not None
            self._checked[key] = entry
        return self._checked[key]

    def task(self, name: str) -> Entry[TaskSpec]:
        """A task by name; raises UserError(s) for an unknown name or a spec with mistakes."""
        return self._entry("task", name)

    def group(self, name: str) -> Entry[GroupSpec]:
        """A group by name."""
        return self._entry("group", name)

    def recipe(self, name: str) -> Entry[RecipeSpec]:
        """A recipe by name."""
        return self._entry("recipe", name)

    def preset(self, name: str) -> Entry[PresetSpec]:
        """A preset by name."""
        return self._entry("preset", name)

    @cached_property
    def _groups(self) -> dict[str, GroupSpec]:
        return {name: self.group(name).spec for name in self.names("group")}

    def group_tasks(self, name: str, *, _stack: tuple[str, ...] = ()) -> list[str]:
        """The tasks below a group in order, each once; raises UserError for unknown members and circles."""
        if name in _stack:
            raise UserError("these groups contain each other", found=" -> ".join((*_stack, name)))
        tasks: list[str] = []
        for member in self.group(name).spec.members:
            where = self.group(name).document.where(("members",))
            tasks += self._expand(member, where=where, stack=(*_stack, name))
        return list(dict.fromkeys(tasks))

    def _expand(self, member: str, *, where: str, stack: tuple[str, ...]) -> list[str]:
        if ("task", member) in self._documents:
            return [member]
        if ("group", member) in self._documents:
            return self.group_tasks(member, _stack=stack)
        found = fnmatch.filter(self.names("task"), member)
        if not found:
            todo = did_you_mean(member, [*self.names("task"), *self.names("group")])
            raise UserError(f"no task, group or glob '{member}'", where=where, todo=todo)
        return found

    def select(self, names: str) -> list[str]:
        """Tasks for a comma-separated list of tasks, groups and globs; raises every unknown name at once."""
        tasks: list[str] = []
        errors: list[UserError] = []
        for name in filter(None, (part.strip() for part in names.split(","))):
            try:
                tasks += self._expand(name, where="--tasks", stack=())
            except UserError as error:
                errors.append(error)
        raise_all(errors)
        return list(dict.fromkeys(tasks))

    def check(self, kind: str, name: str) -> tuple[Entry[Any] | None, list[UserError]]:
        """Parse one entry and check what a single file cannot know (types, metrics, languages, other tasks)."""
        document = self._documents[kind, name]
        spec, errors = parse(document, KINDS[kind])
        if spec is None:
            return None, errors
        if isinstance(spec, TaskSpec):
            errors = _check_task(document, spec, self.names("task"))
        elif isinstance(spec, RecipeSpec):
            errors = _check_recipe(document, spec)
        elif isinstance(spec, PresetSpec):
            errors = _check_preset(document, spec)
        return Entry(spec=spec, document=document), errors

    def check_all(self, *, under: Path | None = None) -> list[UserError]:
        """Every mistake of every file (below a folder), in the order of the files."""
        errors = [*self.errors]
        for (kind, name), document in self._documents.items():
            if under is None or document.path.is_relative_to(under.resolve()):
                errors += self.check(kind, name)[1]
                if kind == "group":
                    try:
                        self.group_tasks(name)
                    except UserError as error:
                        errors.append(error)
        return list({str(error): error for error in errors}.values())

    def find(self, *, under: Path) -> list[tuple[str, str]]:
        """(kind, name) of the entries whose files lie below a folder."""
        return [key for key, document in self._documents.items() if document.path.is_relative_to(under.resolve())]


def _check_names(document: Document, path: KeyPath, kind: str, names: Sequence[str], known: Sequence[str]) -> list[UserError]:
    """One error per name that is not known."""
    return [
        UserError(f"unknown {kind} '{name}'", where=document.where((*path, number)), todo=did_you_mean(name, known))
        for number, name in enumerate(names)
        if name not in known
    ]


def _check_task(document: Document, spec: TaskSpec, tasks: Sequence[str]) -> list[UserError]:
    """What a task says against the task types, metrics, readers, worlds, languages and tasks that exist."""
    errors: list[UserError] = []
    if spec.task.rsplit("/", 1)[-1] != document.path.stem:
        errors.append(
            UserError(
                f"task '{spec.task}' stands in a file of another name", where=document.where(("task",)), found=document.path.name
            )
        )
    if spec.type not in TASK_TYPES.names():
        todo = did_you_mean(spec.type, TASK_TYPES.names())
        errors.append(UserError(f"unknown task type '{spec.type}'", where=document.where(("type",)), todo=todo))
    else:
        module = TASK_TYPES.load(spec.type)
        errors += parse(document, module.Options, at=("options",))[1]
        errors += _check_fields(document, spec, module.FIELDS)
    errors += _check_names(document, ("languages",), "language", spec.languages, list(languages()))
    errors += _check_names(document, ("train_languages",), "language", spec.train_languages, list(languages()))
    errors += _check_names(document, ("metrics",), "metric", [use.metric for use in spec.metrics], METRICS.names())
    if spec.train_on is not None:
        errors += _check_names(document, ("train_on",), "task", [spec.train_on], tasks)
    if not any("unknown metric" in str(error) for error in errors):
        keys = [f"{use.metric}.{key}" for use in spec.metrics for key in METRICS.load(use.metric).KEYS]
        errors += _check_names(document, ("score",), "score", spec.score, keys)
    for split in ("train", "validation", "test"):
        for number, source in enumerate(getattr(spec.data, split)):
            errors += _check_source(document, spec, split=split, number=number, source=source)
    if spec.data.test and not spec.metrics:
        errors.append(UserError("a task with test rows needs metrics", where=document.where(("metrics",))))
    if spec.data.test and not spec.languages:
        errors.append(UserError("a task with test rows needs languages", where=document.where(("languages",))))
    return errors


def _check_fields(document: Document, spec: TaskSpec, fields: Mapping[str, str]) -> list[UserError]:
    """Fields the type does not know, and required ones that are missing."""
    known = [name.rstrip("?") for name in (*fields, "id?")]
    errors = [
        UserError(
            f"task type '{spec.type}' has no field '{name}'",
            where=document.where(("fields", name)),
            todo=did_you_mean(name, known),
        )
        for name in spec.fields
        if name not in known
    ]
    missing = [name for name in fields if not name.endswith("?") and name not in spec.fields]
    errors += [
        UserError(
            f"field '{name}' of task type '{spec.type}' is missing", where=document.where(("fields",)), expected=fields[name]
        )
        for name in missing
    ]
    return errors


def _check_source(document: Document, spec: TaskSpec, *, split: str, number: int, source: Any) -> list[UserError]:
    """Readers, worlds and placeholders of one source."""
    path: KeyPath = ("data", split) if isinstance(document.values["data"][split], dict) else ("data", split, number)
    errors: list[UserError] = []
    for key, registry in (("reader", READERS), ("world", WORLDS)):
        name = getattr(source, key)
        if name is not None and name not in registry.names():
            todo = did_you_mean(name, registry.names())
            errors.append(UserError(f"unknown {registry.kind} '{name}'", where=document.where((*path, key)), todo=todo))
    texts = {"config": source.config, "split": source.split, **{f"files.{k}": v for k, v in (source.files or {}).items()}}
    for key, text in texts.items():
        try:
            text.format(**dict.fromkeys(PLACEHOLDERS, ""))
        except (KeyError, IndexError, ValueError) as error:
            name = str(error.args[0]) if error.args else ""
            errors.append(
                UserError(
                    f"'{text}' has a placeholder that no language fills",
                    where=document.where((*path, *key.split("."))),
                    expected=", ".join(f"{{{p}}}" for p in PLACEHOLDERS),
                    todo=did_you_mean(name, PLACEHOLDERS),
                )
            )
    return errors


def _check_training(document: Document, values: Mapping[str, Any], path: KeyPath) -> list[UserError]:
    """The keys and values of one block of hyper-parameters."""
    plain = {key: value for key, value in values.items() if key != "options"}
    part = Document(
        path=document.path, values=plain, marks={p[len(path) :]: m for p, m in document.marks.items() if p[: len(path)] == path}
    )
    errors = parse(part, Training)[1]
    for error in errors:
        error.args = (str(error).replace(" ", f" {'.'.join(map(str, path))}.", 1),)
    return errors


def _check_recipe(document: Document, spec: RecipeSpec) -> list[UserError]:
    """Hyper-parameter names and values of every block, type options, and that each provenance names a value."""
    errors: list[UserError] = []
    for block in ("defaults", "intermediate", "target"):
        errors += _check_training(document, getattr(spec, block), (block,))
    for task, values in spec.tasks.items():
        errors += _check_training(document, values, ("tasks", task))
    errors += _check_task_options(document, spec.task_options)
    for key in spec.provenance:
        value: Any = document.values
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            errors.append(
                UserError(f"provenance of '{key}', which this recipe does not set", where=document.where(("provenance", key)))
            )
    return errors


def _check_task_options(document: Document, options: Mapping[str, Mapping[str, Any]]) -> list[UserError]:
    """Options by task type, as recipes and presets give them."""
    errors: list[UserError] = []
    for name in options:
        if name not in TASK_TYPES.names():
            todo = did_you_mean(name, TASK_TYPES.names())
            errors.append(UserError(f"unknown task type '{name}'", where=document.where(("task_options", name)), todo=todo))
        else:
            errors += parse(document, TASK_TYPES.load(name).Options, at=("task_options", name))[1]
    return errors


def _check_preset(document: Document, spec: PresetSpec) -> list[UserError]:
    """The adapter, type options and pretraining of a preset."""
    errors = _check_task_options(document, spec.task_options)
    if spec.adapter not in (*ADAPTERS.names(), "fake"):
        todo = did_you_mean(spec.adapter, ADAPTERS.names())
        errors.append(UserError(f"unknown adapter '{spec.adapter}'", where=document.where(("adapter",)), todo=todo))
    if spec.adapter != "fake" and (spec.hub is None) == (spec.scratch is None):
        errors.append(UserError("give exactly one of 'hub' and 'scratch'", where=document.where(("preset",))))
    for number, stage in enumerate(spec.scratch.pretraining if spec.scratch else ()):
        errors += _check_training(document, stage.training, ("scratch", "pretraining", number, "training"))
    return errors
