"""Every name of lm-evaluation-harness's files as a spec: tasks, groups, tags, and the tasks that are written inside of groups.

    names = LmEvalNames(index=index)
    names.leaves("xnli")              # ['xnli_ar', ...]: the tasks of a group or tag; names.matching("xnli_*") for globs
    names.task("xnli_de")             # Converted
    names.group("xnli")               # GroupSpec and Document

A group's own keys are set for all of its tasks, those of an entry for that task.  A task so changed is another task than the one
of its name, and is called group::task, as is one that stands nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from harness.api.errors import UserError, did_you_mean
from harness.planning.catalog.lm_eval_files.index import PREFIX, Index
from harness.planning.catalog.lm_eval_files.known_keys import GROUP_KEYS
from harness.planning.catalog.lm_eval_files.yaml_reader import LoadedFile, read_file
from harness.specs.loader import Document
from harness.specs.task import GroupSpec

if TYPE_CHECKING:
    from harness.planning.catalog.lm_eval_files.conversion import Converted
    from harness.planning.catalog.lm_eval_files.task_file import Functions

WITHIN = "::"
"Between a group and a task that exists in it only."


class Group(NamedTuple):
    """A group or tag."""

    spec: GroupSpec
    document: Document


class Inline(NamedTuple):
    """A task as a group has it."""

    reading: LoadedFile
    overrides: Mapping[str, Any]


@dataclass(kw_only=True)
class LmEvalNames:
    """The names of an index, each read when it is asked for."""

    index: Index
    _readings: dict[str, LoadedFile] = field(default_factory=dict)
    "The files of tasks that were asked for."
    _functions: Functions | None = None
    "Those that their files name."
    _tasks: dict[str, Converted] = field(default_factory=dict)
    _inline: dict[str, Inline] = field(default_factory=dict)
    _groups: dict[str, Group] = field(default_factory=dict)

    def tasks(self) -> list[str]:
        """Names of all tasks that have a file of their own, with the prefix."""
        return [PREFIX + name for name in self.index.tasks]

    def groups(self) -> list[str]:
        """Names of all groups and tags, with the prefix."""
        return [PREFIX + name for name in dict.fromkeys((*self.index.groups, *self.index.tags))]

    def knows(self, name: str) -> bool:
        """Whether a name, with or without the prefix, is that of a task, group or tag."""
        bare = name.removeprefix(PREFIX)
        return bare in self.index.tasks or bare in self.index.groups or bare in self.index.tags or self._is_inline(bare)

    def is_task(self, name: str) -> bool:
        """Whether a name, with or without the prefix, is that of a task."""
        bare = name.removeprefix(PREFIX)
        return bare in self.index.tasks or self._is_inline(bare)

    def _is_inline(self, bare: str) -> bool:
        """Whether a task stands in a group only: then its group is read."""
        group = bare.partition(WITHIN)[0]
        if WITHIN in bare and bare not in self._inline and group in self.index.groups:
            self.group(group)
        return bare in self._inline

    def path(self, name: str) -> Path:
        """The file of a task or group; of a tag the folder's first task's."""
        bare = name.removeprefix(PREFIX)
        if self._is_inline(bare):
            return self._inline[bare].reading.document.path
        listed = self.index.tasks.get(bare) or self.index.groups.get(bare) or self.index.tasks[self.index.tags[bare][0]]
        return listed.path

    def task(self, name: str) -> Converted:
        """A task; raises UserError for a file that cannot be read, all its mistakes are in what it gives."""
        # What only such tasks need:
        from harness.planning.catalog.lm_eval_files.conversion import convert
        from harness.planning.catalog.lm_eval_files.task_file import Functions

        bare = name.removeprefix(PREFIX)
        if bare not in self._tasks:
            self._functions = self._functions or Functions()
            if self._is_inline(bare):
                inline = self._inline[bare]
                self._tasks[bare] = convert(inline.reading, name=bare, overrides=inline.overrides, functions=self._functions)
            else:
                self._tasks[bare] = convert(self._reading(bare), name=bare, overrides={}, functions=self._functions)
        return self._tasks[bare]

    def document(self, name: str) -> Document:
        """The file of a task with the line of each value; what its group sets stands over it."""
        bare = name.removeprefix(PREFIX)
        if self._is_inline(bare):
            reading, overrides = self._inline[bare]
            values = {**reading.document.values, **overrides}
            return Document(path=reading.document.path, values=values, marks=reading.document.marks)
        return self._reading(bare).document

    def _reading(self, bare: str) -> LoadedFile:
        """The file of a task, read once."""
        if bare not in self._readings:
            self._readings[bare] = read_file(self.index.tasks[bare].path, within=self.index.within)
        return self._readings[bare]

    def group(self, name: str) -> Group:
        """A group or tag as a GroupSpec; a tag has no number of its own."""
        bare = name.removeprefix(PREFIX)
        if bare not in self._groups:
            if bare in self.index.groups:
                document = read_file(self.index.groups[bare].path, within=self.index.within).document
                self._groups[bare] = self._read_group(bare, document.values, document, overrides={})
            elif bare in self.index.tags:
                members = tuple(PREFIX + task for task in self.index.tags[bare])
                spec = GroupSpec(group=PREFIX + bare, description="A tag of lm-eval.", members=members, aggregate="none")
                self._groups[bare] = Group(spec, Document(path=self.path(bare), values=spec.model_dump(mode="json")))
            else:
                group = bare.partition(WITHIN)[0]
                if group != bare and group in self.index.groups:
                    self.group(group)
                if bare not in self._groups:
                    raise UserError(f"unknown group '{name}'", todo=did_you_mean(bare, [*self.index.groups, *self.index.tags]))
        return self._groups[bare]

    def _read_group(self, name: str, values: Mapping[str, Any], document: Document, *, overrides: Mapping[str, Any]) -> Group:
        """The spec of a group; its tasks that exist nowhere else are noted."""
        own = {
            key: value for key, value in values.items() if key not in GROUP_KEYS and key not in ("include", "tag", "description")
        }
        merged = {**own, **overrides}
        given = values.get("task")
        entries = [given] if isinstance(given, str) else given if isinstance(given, list) else []
        members: list[str] = []
        for number, entry in enumerate(entries):
            where = document.where(("task", number))
            members += self._members(name, entry, document, overrides=merged, where=where)
        averaged = values.get("aggregate_metric_list")
        alias = values.get("group_alias")
        described = f"{alias or name}: " + ("the mean of its tasks" if averaged else "no number of its own") + "."
        spec = GroupSpec(
            group=PREFIX + name,
            description=described,
            members=tuple(members),
            aggregate=_aggregate(averaged),
        )
        return Group(spec, document)

    def _members(self, group: str, entry: Any, document: Document, *, overrides: Mapping[str, Any], where: str) -> list[str]:
        """The names of one entry of a group: a task, a group or a tag, as it is or with other values."""
        more = entry if isinstance(entry, Mapping) else {}
        if not isinstance(entry, str | Mapping) or not ("task" in more or "group" in more or isinstance(entry, str)):
            raise UserError("an entry of a group names a task or a group", where=where, found=repr(entry)[:80])
        base = entry if isinstance(entry, str) else more.get("group", more.get("task"))
        changed = {**overrides, **{key: value for key, value in more.items() if key not in ("task", "group")}}
        if isinstance(base, list):  # tasks side by side under one set of values
            return [name for one in base for name in self._members(group, one, document, overrides=changed, where=where)]
        if not isinstance(base, str):
            raise UserError("an entry of a group names a task or a group", where=where, found=repr(entry)[:80])
        known = base in self.index.tasks or base in self.index.groups or base in self.index.tags
        if not known and "group" in more:
            inner = f"{group}{WITHIN}{base}"
            self._groups[inner] = self._read_group(inner, more, document, overrides=overrides)
            return [PREFIX + inner]
        if not known and not changed:
            near = did_you_mean(base, [*self.index.tasks, *self.index.groups, *self.index.tags])
            raise UserError(f"group '{group}' names '{base}', which is no task, group or tag", where=where, todo=near)
        if not known:
            return [self._inline_task(group, base, LoadedFile(document=_bare(document)), changed)]
        if not changed:
            return [PREFIX + base]
        return [self._changed(group, task, changed) for task in self.leaves(base)]

    def _changed(self, group: str, task: str, changed: Mapping[str, Any]) -> str:
        """A task that a group has with other values, which may be those of a group below it already."""
        if self._is_inline(task):
            reading, before = self._inline[task]
            return self._inline_task(group, task, reading, {**before, **changed})
        return self._inline_task(group, task, self._reading(task), changed)

    def _inline_task(self, group: str, task: str, reading: LoadedFile, overrides: Mapping[str, Any]) -> str:
        name = f"{group}{WITHIN}{task}"
        self._inline[name] = Inline(reading, overrides)
        return PREFIX + name

    def leaves(self, name: str) -> list[str]:
        """The tasks below a task, group or tag, without the prefix, each once."""
        bare = name.removeprefix(PREFIX)
        if self.is_task(bare) and bare not in self.index.groups:
            return [bare]
        found = [task for member in self.group(bare).spec.members for task in self.leaves(member)]
        return list(dict.fromkeys(found))

    def matching(self, pattern: str) -> list[str]:
        """Names of the tasks that match a glob, with or without the prefix, sorted."""
        bare = pattern.removeprefix(PREFIX)
        return [PREFIX + name for name in sorted(self.index.tasks) if fnmatch(name, bare)]

    def near(self, name: str) -> Sequence[str]:
        """Names that may have been meant."""
        return [*self.index.tasks, *self.index.groups, *self.index.tags]


def _aggregate(averaged: Any) -> Literal["mean_of_tasks", "mean_by_size", "none"]:
    """How the first of a group's averages is made: over all tasks below it, by their size unless it says otherwise."""
    entries = averaged if isinstance(averaged, list) else [averaged]
    if not averaged or not isinstance(entries[0], Mapping):
        return "none"
    return "mean_by_size" if entries[0].get("weight_by_size", True) else "mean_of_tasks"


def _bare(document: Document) -> Document:
    """The file of a task that stands in a group: it has no values but those of its entry."""
    return Document(path=document.path, values={}, marks={(): document.mark(())})
