"""Plug points: the file name is the key, a module is imported when it is used, a leading `_` hides a file.

from harness.api.registry import METRICS
METRICS.names()            # ['accuracy', 'chunk_f1', ...], read from the folder: nothing is imported
METRICS.load("accuracy")   # the module harness.scoring.metrics.accuracy
METRICS.load("lm_eval_mean:acc")   # of a family of metrics, a module with `named`, the one of that name
ADAPTERS.constant("encoder", "CAPABILITIES")   # a literal at the top of a module, read without importing it
"""

import ast
import importlib
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.api.errors import UserError, did_you_mean

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Registry:
    """The modules of one folder."""

    kind: str
    "What one entry is called in messages, e.g. 'metric'."
    package: str
    "Dotted package whose modules are the entries, e.g. 'harness.scoring.metrics'."
    also_hidden: tuple[str, ...] = ()
    "Modules of the folder that are no entries."

    @property
    def folder(self) -> Path:
        """The folder of the package in this checkout."""
        return ROOT.joinpath(*self.package.split("."))

    def names(self) -> list[str]:
        """The keys, sorted."""
        stems = (path.stem for path in self.folder.glob("*.py"))
        return sorted(stem for stem in stems if not stem.startswith("_") and stem not in self.also_hidden)

    def check(self, name: str, *, where: str = "") -> str:
        """Return the name if it is an entry; raises UserError with the nearest known one otherwise."""
        if name not in self.names():
            raise UserError(f"unknown {self.kind} '{name}'", where=where, todo=did_you_mean(name, self.names()))
        return name

    def load(self, name: str) -> Any:
        """Import the module of an entry; raises UserError if there is none of that name."""
        family, colon, own = name.partition(":")
        if colon:
            return self.load(family).named(own)
        module = sys.modules.get(f"{self.package}.{name}")  # a plan asks thousands of times: no look at the folder each time
        if module is not None and not name.startswith("_") and "." not in name and name not in self.also_hidden:
            return module
        return importlib.import_module(f"{self.package}.{self.check(name)}")

    def constant(self, name: str, constant: str, default: Any = ...) -> Any:
        """Read a literal assigned at the top level of an entry's module, without importing the module.

        A module without it has the default; KeyError if none is given.
        """
        found = _literals(self.folder / f"{self.check(name)}.py")
        return found[constant] if default is ... else found.get(constant, default)


@cache
def _literals(path: Path) -> dict[str, Any]:
    """All top-level `NAME = literal` (or annotated) assignments of a Python file."""
    found: dict[str, Any] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            try:
                found[target.id] = ast.literal_eval(node.value)
            except ValueError:
                continue  # not a literal: only literals are promised to be readable without importing
    return found


TASK_TYPES = Registry(kind="task type", package="harness.task_types")
METRICS = Registry(kind="metric", package="harness.scoring.metrics")
READERS = Registry(kind="reader", package="harness.data.readers")
WORLDS = Registry(kind="generated world", package="harness.data.worlds")
ENGINES = ("vllm",)
"Modules of models/ that answer in the place of an adapter."
ADAPTERS = Registry(kind="adapter", package="models", also_hidden=ENGINES)
EXECUTORS = Registry(kind="executor", package="harness.executors")
COMMANDS = Registry(kind="command", package="harness.commands")
