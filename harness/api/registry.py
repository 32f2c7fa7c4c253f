"""Plug points: the file name is the key, a module is imported when it is used, a leading `_` hides a file.

from harness.api.registry import METRICS
METRICS.names()            # ['accuracy', 'chunk_f1', ...], read from the folder: nothing is imported
METRICS.load("accuracy")   # the module harness.scoring.metrics.accuracy, with the defaults of what it does not say
METRICS.load("lm_eval_mean:acc")   # of a family of metrics, a module with `named`, the one of that name
ADAPTERS.constant("encoder", "CAPABILITIES")   # a literal at the top of a module, read without importing it
"""

import ast
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from harness.api.errors import UserError, did_you_mean
from harness.api.own_modules import OwnModule

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Registry:
    """The modules of one folder."""

    kind: str
    "What one entry is called in messages, e.g. 'metric'."
    package: str
    "Dotted package whose modules are the entries, e.g. 'harness.scoring.metrics'."
    defaults: str = ""
    "`module:Class` whose members an entry has where it does not say them itself."
    literals: Mapping[str, Any] = field(default_factory=dict)
    "Literals that an entry need not state, with their defaults."
    own_loader: str = ""
    "`module:function` that makes an entry of a file of the user's own; empty = there are none."
    own_todo: str = ""
    "Where a file of the user's own goes, for messages."
    _own: dict[str, OwnModule] = field(default_factory=dict, repr=False, compare=False)
    _loaded: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def folder(self) -> Path:
        """The folder of the package in this checkout."""
        return ROOT.joinpath(*self.package.split("."))

    def shipped_names(self) -> list[str]:
        """The keys of the modules of the folder, sorted."""
        stems = (path.stem for path in self.folder.glob("*.py"))
        return sorted(stem for stem in stems if not stem.startswith("_"))

    def names(self) -> list[str]:
        """The keys, sorted, those of the user's own files among them."""
        return sorted([*self.shipped_names(), *self._own])

    def knows(self, name: str) -> bool:
        """Whether an entry, or the family of one, has this name; no look at the folder for what was loaded before."""
        family = name.partition(":")[0]
        return family in self._loaded or family in self.names()

    def put_own(self, modules: Iterable[OwnModule]) -> None:
        """Take files of the user's own, in the place of those that were there."""
        for name in self._own:
            self._loaded.pop(name, None)
        self._own.clear()
        self._own.update((own.name, own) for own in modules)

    def own(self) -> dict[str, OwnModule]:
        """The files of the user's own by name."""
        return dict(self._own)

    def check(self, name: str, *, where: str = "") -> str:
        """Return the name if it is an entry; raises UserError with the nearest known one otherwise."""
        if name not in self.names():
            raise UserError(f"unknown {self.kind} '{name}'", where=where, todo=self.near(name))
        return name

    def near(self, name: str) -> str:
        """What to write in the place of an unknown name, and where a file of one's own goes."""
        return "  ".join(filter(None, (did_you_mean(name, self.names()), self.own_todo.format(name=name))))

    def load(self, name: str) -> Any:
        """Import the module of an entry, with its defaults filled in; raises UserError if there is none of that name.

        `family:name` is what the module of a family gives for a name, e.g. the metric `lm_eval_mean:acc`.
        """
        family, colon, own = name.partition(":")
        if colon:
            return self.load(family).named(own)
        if name not in self._loaded:  # a plan asks thousands of times: no look at the folder each time
            module = self._module(name)
            for member, value in self._members().items():
                if member not in vars(module):
                    setattr(module, member, value)
            self._loaded[name] = module
        return self._loaded[name]

    def _module(self, name: str) -> Any:
        own = self._own.get(self.check(name))
        if own is None:
            return importlib.import_module(f"{self.package}.{name}")
        module, _, loader = self.own_loader.partition(":")
        return getattr(importlib.import_module(module), loader)(own)

    def _members(self) -> dict[str, Any]:
        """The members of the class of defaults and of those that it derives from."""
        module, _, name = self.defaults.partition(":")
        kind = getattr(importlib.import_module(module), name) if name else object
        return {member: getattr(kind, member) for member in dir(kind) if not member.startswith("_")}

    def constant(self, name: str, constant: str) -> Any:
        """Read a literal assigned at the top level of an entry's module, without importing the module.

        Where the module does not state it, its default; KeyError if there is none.
        """
        own = self._own.get(self.check(name))
        found = _literals(own.path if own else self.folder / f"{name}.py")
        return found[constant] if constant in found else self.literals[constant]


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


TASK_TYPES = Registry(kind="task type", package="harness.task_types", defaults="harness.task_types._protocol:TypeDefaults")
METRICS = Registry(
    kind="metric",
    package="harness.scoring.metrics",
    defaults="harness.scoring.metrics._protocol:MetricDefaults",
    own_loader="harness.scoring.own_metric_code:load_own",
    own_todo="A metric of your own goes into metrics/{name}.py in a folder of --include_path, and runs with --trust_metric_code.",
)
READERS = Registry(kind="reader", package="harness.data.readers")
WORLDS = Registry(kind="generated world", package="harness.data.worlds")
ENGINES = ("vllm", "server")
"Packages of models/ that answer in the place of an adapter."
ADAPTERS = Registry(
    kind="adapter",
    package="models",
    literals={
        "CAUSAL": False,  # its models see only what comes before a token
        "ARGUMENTS": (),  # keys of --model_args that only some adapters know
        "TASK_OPTIONS": {},  # task type -> options that its models want
        "MODEL_TYPES": (),  # model_type of configurations that are its own although `architectures` does not say so
    },
)
EXECUTORS = Registry(
    kind="executor",
    package="harness.executors",
    literals={"AT_ONCE": False},  # whether it runs several stages at the same time, so that it wants all of a command together
)
COMMANDS = Registry(kind="command", package="harness.commands")
