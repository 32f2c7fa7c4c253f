"""Which tasks, groups and tags the files of lm-evaluation-harness below some folders name, found without parsing them.

    index = Index()
    index.add([path for path in yaml_files(Path("lm_eval/tasks")) if is_lm_eval_file(path)])
    index.tasks["xnli_de"].path, index.groups["xnli"].path, index.tags["xquad"]       # the last: names of tasks

Of each file the lines that begin with a key are looked at, which is enough for all but a few; those are parsed.  A name that two
files of a folder have is the first one's, one that two folders have is the later one's, as in lm-eval.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from harness.api.allowed_paths import is_below
from harness.api.errors import UserError
from harness.planning.catalog.lm_eval_files.known_keys import LM_EVAL_KEYS, OWN_KEYS
from harness.planning.catalog.lm_eval_files.yaml_reader import own_values
from harness.specs.loader import shown

PREFIX = "lm_eval/"
"Of the names of all tasks and groups that come from lm-eval's files."
LONGEST_NAME = 200
"Bytes of a name: it becomes part of the names of folders, of which file systems take 255."
SKIPPED = ("__pycache__", ".ipynb_checkpoints")
_TOP = re.compile(rb"""^["']?([A-Za-z_]\w*)["']?[ \t]*:(?:[ \t]+([^\r\n]*))?[ \t]*\r?$""", re.MULTILINE)
_PLAIN = re.compile(r"""(["']?)([A-Za-z0-9_][A-Za-z0-9 ._/+()-]*)\1""")
_ASKED = ("task", "group", "tag", "include", "class")


class Listed(NamedTuple):
    """A name with the file that has it."""

    name: str
    path: Path


class Sketch(NamedTuple):
    """The top-level keys of a file, read without parsing it as YAML."""

    keys: frozenset[str]
    values: dict[str, Any]
    "Of `_ASKED`, those that are there."


@dataclass(kw_only=True)
class Index:
    """Names and files."""

    tasks: dict[str, Listed] = field(default_factory=dict)
    groups: dict[str, Listed] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)
    "Tag -> names of its tasks, sorted."
    remarks: list[str] = field(default_factory=list)
    "Names that two files have."
    errors: list[UserError] = field(default_factory=list)
    "Files whose names cannot be read."
    within: list[Path] = field(default_factory=list)
    "Folders from which files may be included."
    _folders: dict[str, Path] = field(default_factory=dict)
    "Folders without the links in their paths."

    def resolved(self, path: Path) -> Path:
        """A file without the links in its path; those of each folder are followed once."""
        folder, name = os.path.split(path)
        if os.path.islink(path) or name in ("", ".."):
            return path.resolve()
        if folder not in self._folders:
            self._folders[folder] = Path(folder).resolve()
        return self._folders[folder] / name

    def add(self, files: Sequence[Path]) -> None:
        """List the files of one folder, in the order of their paths."""
        own: dict[str, Path] = {}
        for path in files:
            try:
                self._add(path, own)
            except UserError as error:
                self.errors.append(error)

    def _add(self, path: Path, own: dict[str, Path]) -> None:
        """List one file."""
        values = sketch(path).values
        kind = "group" if "group" in values and "class" not in values else "task"
        name = values.get(kind)
        if not isinstance(name, str) or not name:
            return  # a base, or `task: null`
        if len(name.encode("utf-8", "replace")) > LONGEST_NAME or not name.isprintable():
            message = f"'{name:.{LONGEST_NAME}}' cannot be the name of a {kind}"
            raise UserError(message, where=shown(path), expected=f"at most {LONGEST_NAME} bytes that can be printed")
        if name in own:
            self.remarks.append(f"{shown(path)}: {kind} '{name}' is in {shown(own[name])} already, which counts")
            return
        for known in (self.tasks, self.groups):
            if name in known and self.resolved(known[name].path) == self.resolved(path):
                return  # one folder given twice, or within another
            if name in known:
                self.remarks.append(f"{shown(path)}: {kind} '{name}' stands in place of that of {shown(known.pop(name).path)}")
        own[name] = path
        (self.groups if kind == "group" else self.tasks)[name] = Listed(name, path)
        for tag in _names(_inherited(path, "tag", self.within)) if kind == "task" else ():
            self.tags[tag] = sorted({*self.tags.get(tag, ()), name})


def yaml_files(folder: Path) -> Iterator[Path]:
    """All YAML files below a folder, in the order of their paths."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED]
        found += [f"{root}/{name}" for name in names if name.endswith((".yaml", ".yml"))]
    return map(Path, sorted(found))


def is_lm_eval_file(path: Path, *, _depth: int = 0) -> bool:
    """Whether a YAML file is one of lm-eval's: by keys that only such files have, else by the files it includes."""
    try:
        found = sketch(path)
    except (OSError, UserError):
        return False
    bases = [path.parent / name for name in _names(found.values.get("include"))]
    if any(base.suffix not in (".yaml", ".yml") for base in bases):
        return True  # files of this project include YAML files only
    if found.keys & {*OWN_KEYS}:
        return False
    if found.keys & {*LM_EVAL_KEYS} or {"group", "task"} <= found.keys:
        return True
    return _depth < 5 and any(is_lm_eval_file(base, _depth=_depth + 1) for base in bases if os.path.isfile(base))


def sketch(path: Path) -> Sketch:
    """The top-level keys of a file, and what it says of names, tags and includes."""
    return _sketch(str(path), path.stat().st_mtime_ns)


@cache
def _sketch(path: str, stamp: int) -> Sketch:
    with open(path, "rb") as file:
        lines = _TOP.findall(file.read())
    keys = frozenset(key.decode() for key, _ in lines)
    values: dict[str, Any] = {}
    for key, raw in lines:
        others = [other for other, _ in lines]
        if key == b"task" and b"group" in others and b"class" not in others:
            values["task"] = []  # the members of a group, whatever they are
        elif key.decode() in _ASKED:
            text = raw.decode("utf-8", "replace").strip()
            plain = _PLAIN.fullmatch(text)
            if not plain and not (key == b"class" and text):
                return _parsed(path, keys)
            values[key.decode()] = text if not plain else None if text in ("null", "Null", "NULL") else plain[2]
    return Sketch(keys, values)


def _parsed(path: str, keys: frozenset[str]) -> Sketch:
    """The same of a file whose lines do not say it: quoted names, lists, comments behind a name."""
    values = own_values(Path(path))
    return Sketch(keys, {key: values[key] for key in _ASKED if key in values})


def _names(value: Any) -> list[str]:
    """One name, a list of them, or none."""
    several = value if isinstance(value, list) else [value]
    return [name for name in several if isinstance(name, str) and name]


def _inherited(path: Path, key: str, within: Sequence[Path]) -> Any:
    """The value of a key that a file says, or the last of its includes that says it."""
    found = sketch(path).values
    if key in found or "include" not in found:
        return found.get(key)
    named = [path.parent / name for name in _names(found["include"])]
    bases = [base for base in named if is_below(base, [path.parent, *within]) and os.path.isfile(base)]
    return next((value for base in reversed(bases) if (value := _inherited(base, key, within)) is not None), None)
