"""The nodes of a YAML file as plain values of which each knows its line: what readers of our files and of other harnesses' share.

reader.plain(root, ())                  # a NodeReader of some kind of file; {'task': 'xnli', ...}
str(reader.marks["data", "test", 0])    # 'tasks/xnli.yaml:12'
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml

from harness.specs.yaml_text import Nodes

KeyPath = tuple[Hashable, ...]


class Mark(NamedTuple):
    """Where a value stands."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def dotted(path: KeyPath) -> str:
    """('data', 'test', 0) -> 'data.test[0]'."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.lstrip(".")


@dataclass(frozen=True, kw_only=True)
class NodeReader(ABC):
    """Turns the YAML nodes of one file into plain values; the line of each value is written down."""

    file: str
    nodes: Nodes
    marks: dict[KeyPath, Mark]

    def plain(self, node: yaml.Node, path: KeyPath) -> Any:
        """The value of a node, and in `marks` where it and all inside it stand."""

        def where() -> str:
            return f"{self.file}:{node.start_mark.line + 1} {dotted(path)}".rstrip()

        self.marks[path] = Mark(self.file, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, where=where)
        with self.nodes.inside(node, where=where):
            if isinstance(node, yaml.SequenceNode):
                return [self.plain(child, (*path, number)) for number, child in enumerate(node.value)]
            return self.mapping(node, path)

    def scalar(self, node: yaml.ScalarNode, *, where: Callable[[], str]) -> Any:
        """The value of a node that is neither list nor mapping."""
        return self.nodes.scalar(node, where=where)

    @abstractmethod
    def mapping(self, node: yaml.Node, path: KeyPath) -> dict[Any, Any]:
        """The values of a mapping: what counts as a key, and what of keys that come twice, is each kind of file's own."""
