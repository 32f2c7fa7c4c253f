"""Python files of the user's own that stand in for modules of a plug point: found, hashed and read without running them.

own = OwnModule(kind="metric", name="my_f1", path=Path("metrics/my_f1.py"), trusted=False, flag="--trust_metric_code")
own.code                 # 16 hex digits over the file and those beside it that it imports
own.literal("KEYS")      # ('f1',), read as it is written; run() runs the file, if it is trusted

Nothing of such a file runs unless the user allows it by name.
"""

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.api.errors import UserError


@dataclass(frozen=True, kw_only=True)
class OwnModule:
    """A file of the user's own."""

    kind: str
    "What it is called in messages, e.g. 'metric'."
    name: str
    path: Path
    trusted: bool
    "Whether it may run."
    flag: str
    "What allows it."

    @cached_property
    def code(self) -> str:
        """16 hex digits over the file and the files of its folder that it imports, and so on; UserError for what is no Python."""
        files: dict[Path, str] = {}
        _collect(self.path, files)
        lines = [f"{path.name} {digest}" for path, digest in sorted(files.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    @cached_property
    def doc(self) -> str:
        """The docstring of the file."""
        return ast.get_docstring(_tree(self.path)) or ""

    def literal(self, name: str) -> Any:
        """A literal that is assigned at the top of the file; raises UserError where there is none of this name."""
        for node in _tree(self.path).body:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if value is not None and any(isinstance(target, ast.Name) and target.id == name for target in targets):
                try:
                    return ast.literal_eval(value)
                except ValueError:
                    todo = f"write {name} as a literal: it is read before the file may run"
                    raise UserError(f"{name} is no literal", where=f"{self.path}:{node.lineno}", todo=todo) from None
        raise UserError(f"the {self.kind} has no {name}", where=str(self.path))

    def run(self) -> ModuleType:
        """The file as a module, run anew; raises UserError where that is not allowed, or fails."""
        if not self.trusted:
            todo = f"read that code, then allow it with {self.flag}"
            raise UserError(f"{self.kind} '{self.name}' is Python code of the user's own", found=str(self.path), todo=todo)
        if replace(self).code != self.code:
            message = f"the code of {self.kind} '{self.name}' has changed since this command began"
            raise UserError(message, where=str(self.path), todo="give the command again")
        spec = importlib.util.spec_from_file_location(f"own_{self.kind}s.{self.name}", self.path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        before, here = list(sys.path), str(self.path.parent)
        known = set(sys.modules)
        sys.path.insert(0, here)  # `import helper_beside`
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            message = f"the code of {self.kind} '{self.name}' cannot be loaded"
            raise UserError(message, where=str(self.path), found=f"{type(error).__name__}: {error}"[:300]) from error
        finally:
            sys.path[:] = before
            for name in set(sys.modules) - known:  # another folder may have a file of the same name
                if str(getattr(sys.modules[name], "__file__", None) or "").startswith(here):
                    del sys.modules[name]
        return module


def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (SyntaxError, ValueError) as error:
        where = f"{path}:{error.lineno}" if isinstance(error, SyntaxError) else str(path)
        raise UserError("not valid Python", where=where, found=str(error)) from error


def _collect(path: Path, files: dict[Path, str]) -> None:
    """Add a file, and those of its folder that it imports."""
    if path not in files:
        tree = _tree(path)
        files[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        for name in _imports(tree):
            beside = path.parent / f"{name.partition('.')[0]}.py"
            if beside.is_file():
                _collect(beside, files)


def _imports(tree: ast.Module) -> Iterator[str]:
    """Names that may be files beside one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
