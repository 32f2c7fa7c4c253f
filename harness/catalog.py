"""All tasks, groups, recipes and presets there are: the shipped folders and those of --include_path.

    catalog = Catalog(include=[Path("my_tasks")])
    catalog.select("xnli,mini/*")          # names of tasks, in order, groups and globs expanded
    catalog.task("xnli").spec              # a checked TaskSpec; UserError with file:line otherwise

Reading and checking specs imports neither torch nor datasets.
"""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from harness.checks import check_document
from harness.errors import UserError, did_you_mean, raise_all
from harness.registry import ROOT
from harness.specs.loader import Document, read_document, shown
from harness.specs.preset import PresetSpec
from harness.specs.recipe import RecipeSpec
from harness.specs.task import GroupSpec, TaskSpec

KINDS: Mapping[str, type[BaseModel]] = {"task": TaskSpec, "group": GroupSpec, "recipe": RecipeSpec, "preset": PresetSpec}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
RESERVED = ("none",)
"Names that mean something else on the command line."
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
        for path in [place] if place.is_file() else sorted([*place.rglob("*.yaml"), *place.rglob("*.yml")]):
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
        where = document.where((key[0],))
        if not NAME.fullmatch(key[1]) or key[1] in RESERVED:
            expected = f"letters, digits and . _ - / (and not {', '.join(RESERVED)})"
            raise UserError(f"'{key[1]}' cannot be a name", where=where, expected=expected)
        sharing = ("task", "group") if key[0] in ("task", "group") else (key[0],)  # --tasks takes both
        for other in [self._documents[kind, key[1]] for kind in sharing if (kind, key[1]) in self._documents]:
            if other.path == document.path:  # --include_path of a folder that is read anyway
                return
            raise UserError(f"{key[0]} '{key[1]}' exists twice", where=where, found=shown(other.path), todo="rename one")
        self._documents[key] = document

    def names(self, kind: str) -> list[str]:
        """Names of all entries of a kind ('task', 'group', 'recipe', 'preset'), sorted."""
        return sorted(name for k, name in self._documents if k == kind)

    def folder(self, kind: str, name: str) -> Path:
        """The folder of an entry's file."""
        return self._documents[kind, name].path.parent

    def _entry(self, kind: str, name: str, *, where: str = "") -> Entry[Any]:
        key = (kind, name)
        if key not in self._documents:
            broken = "\n".join(str(error) for error in self.errors)
            raise UserError(
                f"unknown {kind} '{name}'",
                where=where,
                todo=did_you_mean(name, self.names(kind)),
                found=broken and f"files in error:\n{broken}",
            )
        if key not in self._checked:
            entry, errors = self.check(kind, name)
            raise_all(errors)
            assert entry is not None
            self._checked[key] = entry
        return self._checked[key]

    def task(self, name: str, *, where: str = "") -> Entry[TaskSpec]:
        """A task by name; raises UserError(s) for an unknown name (asked for at `where`) or a spec with mistakes."""
        return self._entry("task", name, where=where)

    def group(self, name: str) -> Entry[GroupSpec]:
        """A group by name."""
        return self._entry("group", name)

    def recipe(self, name: str, *, where: str = "") -> Entry[RecipeSpec]:
        """A recipe by name."""
        return self._entry("recipe", name, where=where)

    def preset(self, name: str) -> Entry[PresetSpec]:
        """A preset by name."""
        return self._entry("preset", name)

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
        spec, errors = check_document(document, KINDS[kind], tasks=self.names("task"))
        return (Entry(spec=spec, document=document) if spec else None), errors

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
