"""All tasks, groups, recipes, presets, studies and devices there are: the shipped folders and those of --include_path.

    catalog = Catalog(include=[Path("my_tasks")])
    catalog.select("xnli,mini/*")          # names of tasks, in order, groups and globs expanded
    catalog.task("xnli").spec              # a checked TaskSpec; UserError with file:line otherwise

Task files of lm-evaluation-harness below an --include_path are listed by name and read when they are asked for.  Their tasks and
groups are called lm_eval/<name>; the bare name means them where nothing of this project has it.
Reading and checking specs imports neither torch nor datasets.
"""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from harness.api.errors import UserError, collecting, did_you_mean, distinct, raise_all
from harness.api.registry import METRICS, ROOT
from harness.data.languages import OWN_FILE, Language, put_own_languages
from harness.data.own_languages import own_facts, rows_of, twice
from harness.planning.catalog.folders import TaskFolders, roots_of
from harness.planning.catalog.kinds import KINDS, key_of
from harness.planning.catalog.known_good import KnownGood
from harness.planning.catalog.lm_eval_files.groups import LmEvalNames
from harness.planning.catalog.lm_eval_files.index import PREFIX, Index, is_lm_eval_file, yaml_files
from harness.scoring.own_metrics import metrics_in
from harness.specs.device import DeviceSpec
from harness.specs.loader import Document, read_document, shown
from harness.specs.preset import PresetSpec
from harness.specs.recipe import RecipeSpec
from harness.specs.study import StudySpec
from harness.specs.task import GroupSpec, TaskSpec

SHIPPED = (ROOT / "tasks", ROOT / "models" / "presets")
SpecT = TypeVar("SpecT", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Entry(Generic[SpecT]):
    """A spec with the document that it was read from."""

    spec: SpecT
    document: Document


class Catalog:
    """An index of YAML files by kind and name; specs are checked when they are asked for."""

    def __init__(self, include: Sequence[Path] = (), *, allowed: Sequence[Path] = (), trust_metric_code: bool = False) -> None:
        """Index tasks/, models/presets/ and each folder (or file) of `include`; later ones may not repeat a name.

        A file includes others of its own folder, of what is indexed, or of the folders of `allowed`.  Languages and metrics of
        the user's own are told to this process, in the place of those of the catalog before.
        """
        self.errors: list[UserError] = []
        self.remarks: list[str] = []
        "Remarks for the user, each printed once: names that mean two things."
        self.lm_eval = LmEvalNames(index=Index())
        "Tasks, groups and tags of lm-eval's files."
        self._documents: dict[tuple[str, str], Document] = {}
        self._checked: dict[tuple[str, str], Entry[Any]] = {}
        self._known_good = KnownGood()
        self._within = [root for place in (*SHIPPED, *allowed, *include) for root in roots_of(place)]
        self.lm_eval.index.within += self._within
        self.own_languages: dict[str, Language] = {}
        "Languages that files of `include` tell of, by code."
        self.language_files: list[Path] = []
        for folder in SHIPPED:
            self._index(folder)
        for extra in include:
            if not extra.exists():
                raise UserError(f"--include_path {extra} does not exist", expected="a folder of YAML files, or one file")
            files = [extra] if extra.is_file() else list(yaml_files(extra))
            lm_eval_paths = [path for path in files if is_lm_eval_file(path)]
            self.lm_eval.index.add(lm_eval_paths)
            self._index(extra, without={*lm_eval_paths})
        put_own_languages(self.own_languages.values(), of="files")
        metrics, mistakes = metrics_in(include, trusted=trust_metric_code)
        METRICS.put_own(metrics)
        self.errors += mistakes

    def _index(self, place: Path, without: frozenset[Path] | set[Path] = frozenset()) -> None:
        for path in [place] if place.is_file() else sorted([*place.rglob("*.yaml"), *place.rglob("*.yml")]):
            if path.name.startswith("_") or path in without:
                continue
            with collecting(self.errors):
                document = read_document(path, within=self._within)
                if path.name == OWN_FILE:
                    self._add_languages(document)
                else:
                    self._add(document)

    def _add_languages(self, document: Document) -> None:
        """Take the languages of a file; its mistakes are those of the catalog."""
        rows, errors = rows_of(document)
        errors += twice(rows, self.own_languages, where=f"{shown(document.path)}:1")
        self.errors += errors
        self.own_languages.update((row.code, row) for row in rows)
        self.language_files.append(document.path)

    def _add(self, document: Document) -> None:
        key = key_of(document)
        where = document.where((key[0],))
        sharing = ("task", "group") if key[0] in ("task", "group") else (key[0],)  # --tasks takes both
        for other in [self._documents[kind, key[1]] for kind in sharing if (kind, key[1]) in self._documents]:
            if other.path == document.path:  # --include_path of a folder that is read anyway
                return
            raise UserError(f"{key[0]} '{key[1]}' exists twice", where=where, found=shown(other.path), todo="rename one")
        self._documents[key] = document

    def names(self, kind: str) -> list[str]:
        """Names of this project's entries of a kind ('task', 'group', 'recipe', 'preset', 'study', 'device'), sorted."""
        return sorted(name for k, name in self._documents if k == kind)

    def lm_eval_names(self, kind: str) -> list[str]:
        """Names of the tasks or groups of lm-eval's files, sorted."""
        return sorted(self.lm_eval.tasks() if kind == "task" else self.lm_eval.groups() if kind == "group" else [])

    def is_lm_eval_group(self, name: str) -> bool:
        """Whether a name means a group or tag of lm-eval's files."""
        own = ("task", name) in self._documents or ("group", name) in self._documents
        return not own and self.lm_eval.knows(name) and not self.lm_eval.is_task(name)

    def has_task(self, name: str) -> bool:
        """Whether a task has this name, here or in lm-eval's files."""
        return ("task", name) in self._documents or self.lm_eval.is_task(name)

    def folder(self, kind: str, name: str) -> Path:
        """The folder of an entry's file."""
        document = self._documents.get((kind, name))
        return document.path.parent if document else self.lm_eval.path(name).parent

    def task_folders(self) -> Mapping[str, Path]:
        """Task -> folder of its file; those of lm-eval are looked up when they are asked for."""
        names = [*self.names("task"), *self.lm_eval_names("task")]
        return TaskFolders(has=self.has_task, folder=lambda task: self.folder("task", task), names=lambda: names)

    def _entry(self, kind: str, name: str, *, where: str = "") -> Entry[Any]:
        key = (kind, name)
        if key not in self._documents and kind in ("task", "group") and self.lm_eval.knows(name):
            return self._lm_eval_entry(kind, name)
        if key not in self._documents:
            broken = "\n".join(str(error) for error in self.errors)
            raise UserError(
                f"unknown {kind} '{name}'",
                where=where,
                todo=did_you_mean(name, [*self.names(kind), *(self.lm_eval.near(name) if kind == "task" else ())]),
                found=broken and f"files in error:\n{broken}",
            )
        if key not in self._checked:
            entry, errors = self.check(kind, name)
            raise_all(errors)
            assert entry is not None
            self._checked[key] = entry
        return self._checked[key]

    def _lm_eval_entry(self, kind: str, name: str) -> Entry[Any]:
        """A task or group of lm-eval's files; raises UserError(s) for one that cannot be converted."""
        if kind == "group":
            return Entry(spec=self.lm_eval.group(name).spec, document=self.lm_eval.group(name).document)
        found = self.lm_eval.task(name)
        raise_all(found.errors)
        assert found.spec is not None
        return Entry(spec=_with_languages(found.spec), document=self.lm_eval.document(name))

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

    def study(self, name: str) -> Entry[StudySpec]:
        """A study by name."""
        return self._entry("study", name)

    def device(self, name: str, *, where: str = "") -> Entry[DeviceSpec]:
        """A device by name."""
        return self._entry("device", name, where=where)

    def group_tasks(self, name: str, *, _stack: tuple[str, ...] = ()) -> list[str]:
        """The tasks below a group in order, each once; raises UserError for unknown members and circles."""
        if ("group", name) not in self._documents and self.lm_eval.knows(name):
            return [PREFIX + task for task in self.lm_eval.leaves(name)]
        if name in _stack:
            raise UserError("these groups contain each other", found=" -> ".join((*_stack, name)))
        tasks: list[str] = []
        for member in self.group(name).spec.members:
            where = self.group(name).document.where(("members",))
            tasks += self._expand(member, where=where, stack=(*_stack, name))
        return list(dict.fromkeys(tasks))

    def _expand(self, member: str, *, where: str, stack: tuple[str, ...]) -> list[str]:
        own_kind = next((kind for kind in ("task", "group") if (kind, member) in self._documents), None)
        if own_kind and self.lm_eval.knows(member):
            self._remark(f"'{member}' is the {own_kind} of this project; lm-eval's is {PREFIX}{member}")
        if own_kind == "task":
            return [member]
        if own_kind == "group":
            return self.group_tasks(member, _stack=stack)
        if self.lm_eval.knows(member):
            return [PREFIX + task for task in self.lm_eval.leaves(member)]
        found = [*fnmatch.filter(self.names("task"), member), *self.lm_eval.matching(member)]
        if not found:
            todo = did_you_mean(member, [*self.names("task"), *self.names("group"), *self.lm_eval.near(member)])
            raise UserError(f"no task, group or glob '{member}'", where=where, todo=todo)
        return found

    def _remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)

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
        if (kind, name) not in self._documents:
            return self._check_lm_eval(kind, name)
        document = self._documents[kind, name]
        spec, errors = self._known_good.check(document, kind, KINDS[kind], tasks=self.names("task"))
        if isinstance(spec, TaskSpec):
            spec = _with_languages(spec)
        return (Entry(spec=spec, document=document) if spec else None), errors

    def _check_lm_eval(self, kind: str, name: str) -> tuple[Entry[Any] | None, list[UserError]]:
        """Convert and check a task or group of lm-eval's files."""
        errors: list[UserError] = []
        with collecting(errors):
            if kind == "group":
                self.lm_eval.leaves(name)
            return self._lm_eval_entry(kind, name), []
        return None, errors

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
        return distinct(errors)

    def find_lm_eval(self, *, under: Path) -> list[tuple[str, str]]:
        """(kind, name) of the tasks and groups of lm-eval's files below a folder; tags are no files."""
        folder = under.resolve()
        index = self.lm_eval.index
        listed = [("group", one) for one in index.groups.values()] + [("task", one) for one in index.tasks.values()]
        return [(kind, PREFIX + one.name) for kind, one in listed if index.resolved(one.path).is_relative_to(folder)]

    def find(self, *, under: Path) -> list[tuple[str, str]]:
        """(kind, name) of the entries whose files lie below a folder."""
        return [key for key, document in self._documents.items() if document.path.is_relative_to(under.resolve())]


def _with_languages(spec: TaskSpec) -> TaskSpec:
    """A task with what is told of those of its languages that the shipped table lacks."""
    facts = own_facts(spec.all_languages)
    return spec.model_copy(update={"own_languages": facts}) if facts else spec
