"""Reads YAML into specs and remembers the file and line of every value, through `include`.

    document = read_document(Path("tasks/xtreme/xnli.yaml"))
    document.values["type"], document.mark(("type",))     # 'classification', tasks/xtreme/xnli.yaml:3
    spec, errors = parse(document, TaskSpec)              # every mistake of the file at once

`include: [base.yaml]` names files relative to the file that says it.  Mappings merge deep, lists and scalars replace, later
includes win over earlier ones and the file itself wins over all.  The same base may be reached twice; a circle is an error.
"""

import contextlib
import functools
import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from harness.api.allowed_paths import check_below
from harness.api.errors import UserError, did_you_mean, distinct
from harness.api.registry import ROOT
from harness.specs.yaml_nodes import KeyPath, Mark, NodeReader, dotted
from harness.specs.yaml_text import SAFE_LOADER, Nodes, top_node

SpecT = TypeVar("SpecT", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Document:
    """The merged content of a YAML file and its includes."""

    path: Path
    values: dict[str, Any]
    marks: Mapping[KeyPath, Mark] = field(default_factory=dict)
    "Key path, e.g. ('data', 'test', 'hub') -> where that value was written."
    errors: tuple[UserError, ...] = ()
    "Mistakes of writing after which the rest could still be read: keys written twice, merge keys."

    def mark(self, path: KeyPath) -> Mark:
        """Where the value at a key path, or the nearest of its parents, was written."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, Mark(shown(self.path), 1))

    def where(self, path: KeyPath) -> str:
        """`file:line key.path` for messages."""
        return f"{self.mark(path)} {dotted(path)}".rstrip()


def shown(path: Path) -> str:
    """A path as messages print it: relative to the working folder where it lies below it."""
    text = str(path)
    if not os.path.isabs(text) or ".." in text:
        relative = os.path.relpath(path)
        return text if relative.startswith("..") else relative
    folder = os.getcwd().rstrip(os.sep) + os.sep
    return "." if text + os.sep == folder else text.removeprefix(folder) or "."


def value_at(values: Any, path: KeyPath) -> Any:
    """The value at a key path; None where there is none."""
    for key in path:
        inside = (isinstance(values, dict) and key in values) or (
            isinstance(values, list) and isinstance(key, int) and key < len(values)
        )
        values = values[key] if inside else None
    return values


def load_yaml(text: str) -> Any:
    """The plain values of one of the project's own tables, read without its line numbers; raises yaml.YAMLError."""
    return yaml.load(text, Loader=SAFE_LOADER)


def read_document(path: Path, *, within: Sequence[Path] = (), _stack: tuple[Path, ...] = ()) -> Document:
    """Read a file and its includes, which lie beside or below it or `within` folders; raises UserError for what has no sense."""
    path = path.resolve()
    if path in _stack:
        circle = " -> ".join(shown(p) for p in (*_stack[_stack.index(path) :], path))
        raise UserError(
            "these files include each other in a circle", where=shown(_stack[-1]), found=circle, todo="remove one include"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {shown(path)}: {error.strerror}", where=shown(_stack[-1]) if _stack else "") from error
    except UnicodeDecodeError as error:
        raise UserError("not UTF-8 text", where=shown(path), found=str(error), todo="save the file as UTF-8") from error
    values, marks, found = _plain_document(text, path)
    errors = [*found]
    included = values.pop("include", [])
    names = [included] if isinstance(included, str) else included
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise UserError("include takes a file name or a list of them", where=f"{marks.get(('include',))}", found=repr(included))
    merged, merged_marks = dict[str, Any](), dict[KeyPath, Mark]()
    for name in names:
        target, where = path.parent / name, str(marks.get(("include",), shown(path)))
        check_below(target, [path.parent, ROOT / "tasks", *within], where=where, name=name)
        if not os.path.isfile(target):  # a name may be one that no file can have
            near = did_you_mean(name, [p.name for p in target.parent.glob("*.yaml")] if os.path.isdir(target.parent) else [])
            raise UserError(f"included file '{name}' does not exist", where=where, todo=near)
        base = read_document(target, within=within, _stack=(*_stack, path))
        errors[:0] = base.errors
        _merge(merged, merged_marks, base.values, base.marks, ())
    _merge(merged, merged_marks, values, {k: v for k, v in marks.items() if k[:1] != ("include",)}, ())
    return Document(path=path, values=merged, marks=merged_marks, errors=tuple(distinct(errors)))


Plain = tuple[dict[str, Any], dict[KeyPath, Mark], tuple[UserError, ...]]


def _plain_document(text: str, path: Path) -> Plain:
    """One file without its includes: values, where they stand, and mistakes that leave the rest readable.

    The text of a shipped file is parsed once in a process, however often a catalog is made of them.
    """
    if not path.is_relative_to(ROOT):
        return _parsed(text, shown(path))
    values, marks, errors = _parsed_once(text, shown(path))
    return _copied(values), {**marks}, errors


def _parsed(text: str, file: str) -> Plain:
    marks: dict[KeyPath, Mark] = {}
    errors: list[UserError] = []
    with top_mapping(text, file) as (nodes, root):
        values = _Reader(file=file, nodes=nodes, marks=marks, errors=errors).plain(root, ())
    return values, marks, tuple(errors)


_parsed_once = functools.lru_cache(maxsize=1024)(_parsed)


def _copied(value: Any) -> Any:
    """A value of YAML with lists and mappings of its own."""
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


@contextlib.contextmanager
def top_mapping(text: str, file: str, *, dates_are_texts: bool = False) -> Iterator[tuple[Nodes, yaml.MappingNode]]:
    """The node at the top of a file's text, which must be a mapping; else a UserError with its line."""
    with top_node(text, file=file, dates_are_texts=dates_are_texts) as (nodes, root):
        if not isinstance(root, yaml.MappingNode):
            raise UserError("expected a mapping `key: value` at the top", where=f"{file}:1")
        yield nodes, root


@dataclass(frozen=True, kw_only=True)
class _Reader(NodeReader):
    """Files of this project: a key that comes twice, and one that is no text, is a mistake."""

    errors: list[UserError]

    def mapping(self, node: yaml.Node, path: KeyPath) -> dict[str, Any]:
        """Its values; mistakes leave the other keys readable."""
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in values:
                self._wrong(
                    f"key '{key}' is written twice", line, path, f"first on line {self.marks[*path, key].line}", "remove one"
                )
                continue
            values[key] = self.plain(value_node, (*path, key))
            self.marks[*path, key] = Mark(self.file, line)
        self.marks[path] = Mark(self.file, node.start_mark.line + 1)
        return values

    def _key(self, node: yaml.Node, path: KeyPath) -> str | None:
        """A key of the mapping at a path; None, with a mistake, for what is none."""
        line = node.start_mark.line + 1
        if node.tag == "tag:yaml.org,2002:merge":
            self._wrong("merge keys (<<) are not read", line, path, todo="put the shared part into a file and include it")
            return None
        if not isinstance(node, yaml.ScalarNode):
            self._wrong("a key must be a plain word", line, path)
            return None
        key = self.nodes.scalar(node, where=lambda: f"{self.file}:{line} {dotted(path)}".rstrip())
        if not isinstance(key, str):
            self._wrong("a key must be text", line, path, node.value[:80], "quote it")
            return None
        return key

    def _wrong(self, message: str, line: int, path: KeyPath, found: str = "", todo: str = "") -> None:
        where = f"{self.file}:{line} {dotted(path)}".rstrip()
        self.errors.append(UserError(message, where=where, found=found, todo=todo))


def _merge(
    into: dict[Any, Any], into_marks: dict[KeyPath, Mark], values: Mapping[Any, Any], marks: Mapping[KeyPath, Mark], path: KeyPath
) -> None:
    """Lay `values` over `into`, deep for mappings, with their marks."""
    depth = len(path)
    below: dict[Any, dict[KeyPath, Mark]] = {}
    for place, mark in marks.items():
        if len(place) > depth and place[:depth] == path:
            below.setdefault(place[depth], {})[place] = mark
    for key, value in values.items():
        here = (*path, key)
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            into_marks[here] = marks[here]
            _merge(into[key], into_marks, value, marks, here)
            continue
        for old in [p for p in into_marks if p[: len(here)] == here] if key in into else ():
            del into_marks[old]
        into_marks.update(below.get(key, {}))
        into[key] = {**value} if isinstance(value, dict) else value


def parse(
    document: Document, model: type[SpecT], *, at: KeyPath = (), without: tuple[str, ...] = ()
) -> tuple[SpecT | None, list[UserError]]:
    """Validate a document, or the part of it at a key path, against a model: (spec, []) or (None, all its errors).

    `without` names keys of that part which are checked elsewhere.
    """
    part = value_at(document.values, at) if at else document.values
    if isinstance(part, dict):
        part = {key: value for key, value in part.items() if key not in without}
    errors = [] if at else list(document.errors)
    try:
        spec = model.model_validate({} if part is None and at else part)
    except ValidationError as error:
        details = [
            detail
            for detail in error.errors()
            if not (detail["loc"][-1:] == ("str",) and isinstance(detail["input"], dict))  # a mapping is checked as a mapping
        ]
        return None, errors + list(
            {e.where: e for e in (_user_error(document, model, at, d) for d in reversed(details))}.values()
        )[::-1]
    return (None, errors) if errors else (spec, [])


def _user_error(document: Document, model: type[BaseModel], at: KeyPath, detail: Any) -> UserError:
    """One pydantic error as a message with file, line, key path, expectation and nearest valid name."""
    kind, found = detail["type"], detail.get("input")
    path = (*at, *_real_path(document, at, detail["loc"], named=kind in ("missing", "extra_forbidden")))
    if kind == "extra_forbidden":
        known = _fields_at(model, path[len(at) : -1])
        return UserError(f"unknown key '{path[-1]}'", where=document.where(path), todo=did_you_mean(str(path[-1]), known))
    if kind == "missing":
        return UserError(f"key '{path[-1]}' is missing", where=document.where(path))
    context = detail.get("ctx", {})
    todo = did_you_mean(found, _literals(context["expected"])) if kind == "literal_error" and isinstance(found, str) else ""
    if kind == "string_type" and isinstance(found, bool | int | float):
        todo = "put it in quotes"
    message = detail["msg"].removeprefix("Value error, ")
    return UserError(message[:1].lower() + message[1:], where=document.where(path), found=repr(found)[:80], todo=todo)


def _real_path(document: Document, at: KeyPath, location: tuple[Any, ...], *, named: bool) -> KeyPath:
    """Drop from a pydantic location what names no key of the file (union members, validators).

    `named`: the last part is the name of a key, even of one that is not there.
    """
    value = value_at(document.values, at)
    path: list[Hashable] = []
    for number, key in enumerate(location):
        if (isinstance(value, dict) and key in value) or (isinstance(value, list) and isinstance(key, int) and key < len(value)):
            path.append(key)
            value = value[key]
        elif named and number == len(location) - 1:
            path.append(key)
    return tuple(path)


def _fields_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Names of the fields that are valid at a key path of a model ([] where the keys are free)."""
    models: list[Any] = [model]
    for key in path:
        if isinstance(key, int):
            continue
        fields = [m.model_fields[key].annotation for m in models if isinstance(key, str) and key in m.model_fields]
        if fields:  # else a key that the user chose, such as the name of a field: the models of its value are known already
            models = [inner for annotation in fields for inner in _models_in(annotation)]
    return sorted({name for m in models for name in m.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """All pydantic models inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    inner = [*getattr(annotation, "__args__", ()), *([annotation.__origin__] if hasattr(annotation, "__metadata__") else [])]
    return [model for part in inner for model in _models_in(part)]


def _literals(expected: str) -> list[str]:
    """The names in pydantic's "'a', 'b' or 'c'"."""
    return [part.strip("' ") for part in expected.replace(" or ", ",").split(",")]
