"""Reads a task file of lm-evaluation-harness with its includes, and remembers the file and line of every value.

    found = read_file(Path("tasks/xnli/xnli_de.yaml"))
    found.document.values["doc_to_target"], found.document.mark(("doc_to_target",))      # 'label', tasks/xnli/xnli_common_yaml:11

As there: `include` is a name or a list of names relative to the file that says it; what is included is laid under the file key by
key, whole values replacing whole values, also by an explicit null; later includes win over earlier ones.  The same base may be
reached twice.  `!function utils.f` is kept as text with the folder of the file that says it; nothing is imported.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import yaml

from harness.api.allowed_paths import check_below
from harness.api.errors import UserError, did_you_mean
from harness.specs.loader import Document, shown, top_mapping
from harness.specs.yaml_nodes import KeyPath, Mark, NodeReader
from harness.specs.yaml_text import checked_text

FUNCTION_TAG = "!function"


class FunctionName(str):
    """`!function utils.f` as a text that knows the folder of its file."""

    folder: Path
    reference: str

    def __new__(cls, reference: str, folder: Path) -> "FunctionName":
        """The text as the file has it."""
        made = super().__new__(cls, f"{FUNCTION_TAG} {reference}")
        made.reference, made.folder = reference, folder
        return made


@dataclass(frozen=True)
class LaidMarks(Mapping[KeyPath, Mark]):
    """Where the values of a file with its includes stand: of each key at the top the marks of the file that says it."""

    of_key: dict[Any, Mapping[KeyPath, Mark]]

    def __getitem__(self, path: KeyPath) -> Mark:
        """Where a value stands."""
        if not path:
            raise KeyError(path)
        return self.of_key[path[0]][path]

    def __contains__(self, path: object) -> bool:
        """Whether the file, or one that it includes, says a value."""
        return isinstance(path, tuple) and bool(path) and path in self.of_key.get(path[0], ())

    def __iter__(self) -> Iterator[KeyPath]:
        """All key paths."""
        return (path for key, marks in self.of_key.items() for path in marks if path and path[0] == key)

    def __len__(self) -> int:
        """How many there are."""
        return sum(1 for _ in self)


@dataclass(frozen=True, kw_only=True)
class LoadedFile:
    """A file with its includes."""

    document: Document
    remarks: tuple[str, ...] = ()
    "Mistakes that lm-eval ignores in silence, each with file and line."


@dataclass(frozen=True, kw_only=True)
class _File:
    """One file without its includes."""

    values: dict[Any, Any]
    marks: dict[KeyPath, Mark]
    remarks: list[str] = field(default_factory=list)


def read_file(path: Path, *, within: Sequence[Path] = (), _stack: tuple[Path, ...] = ()) -> LoadedFile:
    """Read a file; raises UserError for bad YAML, missing includes and circles, with the chain that leads there.

    A file may include what lies beside or below it, or in the folders of `within`.
    """
    path = Path(os.path.abspath(path))
    if path in _stack:
        chain = " -> ".join(shown(one) for one in (*_stack[_stack.index(path) :], path))
        raise UserError("these files include each other in a circle", where=shown(_stack[-1]), found=chain)
    try:
        stamp = path.stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"cannot read {shown(path)}: {error.strerror}") from error
    own = _read(path, stamp)
    values: dict[Any, Any] = {}
    marks: dict[Any, Mapping[KeyPath, Mark]] = {}
    remarks = list(own.remarks)
    for number, name in enumerate(_includes(own, path)):
        target = path.parent / name
        where = str(own.marks.get(("include", number), own.marks.get(("include",), shown(path))))
        check_below(target, [path.parent, *within], where=where, name=name)
        if not os.path.isfile(target):  # a name may be one that no file can have
            near = did_you_mean(target.name, [p.name for p in target.parent.iterdir()] if os.path.isdir(target.parent) else [])
            raise UserError(f"included file '{name}' does not exist", where=where, todo=near)
        base = read_file(target, within=within, _stack=(*_stack, path))
        assert isinstance(base.document.marks, LaidMarks)
        values |= {key: value for key, value in base.document.values.items() if key != "task_list"}
        marks |= {key: said for key, said in base.document.marks.of_key.items() if key != "task_list"}
        remarks += base.remarks
    own_keys = [key for key in own.values if key != "include"]
    values |= {key: own.values[key] for key in own_keys}
    marks |= dict.fromkeys(own_keys, own.marks)
    return LoadedFile(document=Document(path=path, values=values, marks=LaidMarks(marks)), remarks=tuple(dict.fromkeys(remarks)))


def own_values(path: Path) -> dict[Any, Any]:
    """The values of a file without its includes, `include` among them; raises UserError for bad YAML."""
    return _read(Path(os.path.abspath(path)), path.stat().st_mtime_ns).values


def _includes(own: _File, path: Path) -> list[str]:
    """The names that a file includes."""
    included = own.values.get("include")
    names = [] if included is None else included if isinstance(included, list) else [included]
    if not all(isinstance(name, str) for name in names):
        where = str(own.marks.get(("include",), shown(path)))
        raise UserError("include takes a file name or a list of them", where=where, found=repr(included)[:80])
    return names


@lru_cache(maxsize=512)
def _read(path: Path, stamp: int) -> _File:
    """Parse one file as it is at a time of change: bases are included by hundreds of files."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError("not UTF-8 text", where=shown(path), found=str(error)) from error
    found = _File(values={}, marks={})
    with top_mapping(text, shown(path), dates_are_texts=True) as (nodes, root):
        walk = _Walk(file=shown(path), nodes=nodes, marks=found.marks, folder=path.parent, remarks=found.remarks)
        found.values.update(walk.plain(root, ()))
    return found


@dataclass(frozen=True, kw_only=True)
class _Walk(NodeReader):
    """Files of lm-evaluation-harness: `!function`, merge keys, and the last of a key that comes twice."""

    folder: Path
    remarks: list[str]

    def scalar(self, node: yaml.ScalarNode, *, where: Callable[[], str]) -> Any:
        """The value; `!function` gives a name that knows its folder."""
        if node.tag == FUNCTION_TAG:
            return FunctionName(checked_text(node.value, where=where()), self.folder)
        return super().scalar(node, where=where)

    def mapping(self, node: yaml.Node, path: KeyPath) -> dict[Any, Any]:
        """The values of a mapping; of a key that comes twice the last value counts, as in PyYAML."""
        values: dict[Any, Any] = {}
        own: set[Any] = set()
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                several = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for part in several:
                    if isinstance(part, yaml.MappingNode):
                        with self.nodes.inside(part, where=partial(self._at, line)):
                            values = {**self.mapping(part, path), **values}
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise UserError("a key must be a plain word", where=f"{self.file}:{line}")
            key = self.nodes.scalar(key_node, where=partial(self._at, line))
            if key in own:
                first = self.marks[*path, key].line
                self.remarks.append(f"{self.file}:{line}: key '{key}' is written twice (first on line {first}); the last counts")
            own.add(key)
            values[key] = self.plain(value_node, (*path, key))
            self.marks[*path, key] = Mark(self.file, line)
        return values

    def _at(self, line: int) -> str:
        return f"{self.file}:{line}"
