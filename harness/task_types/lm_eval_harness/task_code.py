"""Python code that task files of lm-evaluation-harness name by `!function`: hashed always, run only where it is trusted.

    Function(function="utils.process_docs", folder=".", code=code_hash("utils.process_docs", folder))
    code = TaskCode(folder=folder, trusted=place.trust_task_code)
    code.function(config.process_docs)(dataset)        # raises UserError unless trusted

A key depends on the file's bytes and on those of the files beside it (or below lm_eval/tasks) that it imports, and so on.
Packages that the code imports are recorded by version with every result; files that it opens itself are not seen.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.api.errors import UserError, did_you_mean
from harness.specs.lm_eval import Function
from harness.specs.loader import shown
from harness.task_types.lm_eval_harness.import_shims import stand_ins

if TYPE_CHECKING:
    from harness.data.locations import DataPlace

REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
"A module and a name in it."
ALLOW = "read that code, then allow it with --trust_task_code"
_MODULES: dict[tuple[Path, int], ModuleType] = {}
"Modules that this process has run, by file and time of change."


def file_of(reference: str, folder: Path) -> Path | None:
    """The Python file beside a task file that holds a function (`utils.f`, `a.b.f`); None where there is none."""
    module, _, _ = reference.rpartition(".")
    if not REFERENCE.fullmatch(reference):
        return None  # `..` and `/` would lead out of the folder
    path = folder / f"{module.replace('.', '/')}.py"
    if module and os.path.isfile(path):
        return path
    path = _in_tasks(folder / "any", module) or path  # named from the top: lm_eval.tasks.<folder>.<module>.<function>
    return path if os.path.isfile(path) else None


def code_hash(reference: str, folder: Path) -> str:
    """16 hex digits over the Python files behind a function; empty where its file is not there."""
    path = file_of(reference, folder)
    if path is None:
        return ""
    files: dict[Path, str] = {}
    _collect(path.resolve(), files)
    lines = [f"{path.name} {digest}" for path, digest in sorted(files.items(), key=lambda item: (item[0].name, item[1]))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _collect(path: Path, files: dict[Path, str]) -> None:
    """Add a file, and those that it imports from its own folder or from lm_eval/tasks."""
    if path in files:
        return
    facts = _facts(path, path.stat().st_mtime_ns)
    files[path] = facts.digest
    for name in facts.imports:
        for found in (path.parent / f"{name.replace('.', '/')}.py", _in_tasks(path, name)):
            if found is not None and os.path.isfile(found):
                _collect(found.resolve(), files)


class _Facts(NamedTuple):
    """Facts read off a Python file without running it."""

    digest: str
    imports: tuple[str, ...]
    names: frozenset[str] | None
    "Defined at its top; None where others may be."
    broken: str
    "Why it is not Python; empty where it is."
    filters: dict[str, str]
    "Name in lm-eval's registry -> class."


@lru_cache(maxsize=1024)
def _facts(path: Path, stamp: int) -> _Facts:
    """Read one file as it is at a time of change."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError) as error:
        return _Facts(digest, (), None, str(error), {})
    names = None if _hides(tree) else frozenset(_defined(tree.body))
    return _Facts(digest, tuple(dict.fromkeys(_imports(tree))), names, "", dict(_registered(tree.body)))


def _hides(tree: ast.Module) -> bool:
    """Whether a module may define names that cannot be read off its statements: star imports, globals(), setattr, exec."""
    stars = any(isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names) for node in tree.body)
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    return stars or bool(called & {"globals", "setattr", "exec", "vars"}) or "__getattr__" in set(_defined(tree.body))


def _imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names that may be modules; those of relative imports without their dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            yield from filter(None, (base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)))


def tasks_folder(path: Path) -> Path | None:
    """The folder lm_eval/tasks above a file, or one that is called tasks; None where there is none."""
    named = [parent for parent in path.parents if parent.name == "tasks"]
    return next((parent for parent in named if parent.parent.name == "lm_eval"), named[0] if named else None)


def _in_tasks(path: Path, name: str) -> Path | None:
    """The file of `lm_eval.tasks.<name>`."""
    prefix = "lm_eval.tasks."
    root = tasks_folder(path) if name.startswith(prefix) else None
    return root / f"{name.removeprefix(prefix).replace('.', '/')}.py" if root else None


def missing_function(reference: str, folder: Path) -> UserError | None:
    """The error for a function that its file does not define, as far as can be seen without running it; None if all is well."""
    module, _, name = reference.rpartition(".")
    path = file_of(reference, folder)
    if not REFERENCE.fullmatch(reference):
        return UserError(f"'{reference}' names no module", expected="module.function")
    if path is None:
        if importlib.util.find_spec(module.partition(".")[0]) is not None:
            return None  # an installed package
        near = did_you_mean(module, [file.stem for file in folder.glob("*.py")])
        return UserError(
            f"no Python file for '{reference}'", expected=shown(folder / f"{module.replace('.', '/')}.py"), todo=near
        )
    facts = _facts(path, path.stat().st_mtime_ns)
    if facts.broken:
        return UserError(f"{shown(path)} is not valid Python", found=facts.broken)
    if facts.names is None or name in facts.names:
        return None
    return UserError(f"{shown(path)} has no '{name}'", todo=did_you_mean(name, facts.names))


def registered_filter(name: str, folder: Path) -> str | None:
    """`module.Class` of a filter that a Python file of a folder registers under a name; None where none does."""
    for path in sorted(folder.glob("*.py")):
        found = _facts(path, path.stat().st_mtime_ns).filters.get(name)
        if found:
            return f"{path.stem}.{found}"
    return None


def _registered(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """(name, class) of `@register_filter("name")`."""
    for node in body:
        for mark in node.decorator_list if isinstance(node, ast.ClassDef) else ():
            name = mark.args[0] if isinstance(mark, ast.Call) and len(mark.args) == 1 else None
            called = getattr(mark.func, "id", getattr(mark.func, "attr", "")) if isinstance(mark, ast.Call) else ""
            if called == "register_filter" and isinstance(name, ast.Constant) and isinstance(name.value, str):
                assert isinstance(node, ast.ClassDef)
                yield name.value, node.name


def _defined(body: list[ast.stmt]) -> Iterator[str]:
    """The names that the statements of a module define."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.For):
            parts = (getattr(node, part, []) for part in ("body", "orelse", "finalbody"))
            yield from (name for part in parts for name in _defined(part))
            yield from (name for handler in getattr(node, "handlers", []) for name in _defined(handler.body))


def place_of(function: Function, folder: Path) -> str:
    """A function and the file, or the folder, where it lies; `folder` is that of the task's file."""
    own = folder / function.folder
    return f"{function.function} in {shown(file_of(function.function, own) or own)}"


@dataclass(frozen=True, kw_only=True)
class TaskCode:
    """The code of one task."""

    folder: Path
    "Of the task's file."
    trusted: bool = False
    "Whether it may run."
    downloads: bool = False
    "Whether it may have the package evaluate download metrics and run them."
    task: str = ""
    "For messages."
    _found: dict[Function, Callable[..., Any]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def at(cls, place: DataPlace, *, folder: str | Path | None, task: str) -> TaskCode:
        """The code of a task whose file lies in a folder, as far as a user trusts it."""
        return cls(folder=Path(folder or "."), trusted=place.trust_task_code, downloads=place.trust_evaluate_metrics, task=task)

    def function(self, wanted: Function) -> Any:
        """The function (or what else stands under its name), made to run with the packages it expects; UserError if it cannot."""
        if wanted not in self._found:
            if not self.trusted:
                raise UserError(
                    f"task '{self.task}' runs Python code that lies beside its file",
                    found=place_of(wanted, self.folder),
                    todo=ALLOW,
                )
            self._found[wanted] = self._load(wanted)
        return self._found[wanted]

    def _load(self, wanted: Function) -> Any:
        folder = (self.folder / wanted.folder).resolve()
        module_name, _, name = wanted.function.rpartition(".")
        path = file_of(wanted.function, folder)
        where = shown(path) if path else wanted.function
        try:
            with stand_ins(tasks_folder(folder / "any"), downloads=self.downloads):
                module = _run(path.resolve()) if path else importlib.import_module(module_name)
                found = getattr(module, name)
        except AttributeError as error:
            raise missing_function(wanted.function, folder) or UserError(f"no '{name}'", where=where, found=str(error)) from error
        except UserError:
            raise
        except (Exception, SystemExit) as error:  # scripts end the process where they lack something
            found = f"{type(error).__name__}: {error}"
            raise UserError(f"the code of task '{self.task}' cannot be loaded", where=where, found=found) from error
        return self._guarded(found, where=f"{where} {name}") if callable(found) and not isinstance(found, type) else found

    def made(self, kind: Any, **options: Any) -> Any:
        """An object of a class of the task's code."""
        return self.within(kind, **options)

    def within(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What a function or class of the task's code gives, run with the packages it expects; UserError for what it raises."""
        return self._guarded(function, where=getattr(function, "__qualname__", str(function)))(*args, **kwargs)

    def _guarded(self, function: Callable[..., Any], *, where: str) -> Callable[..., Any]:
        """The function with its packages around it; what it raises comes out as a UserError that names it."""
        root = tasks_folder(self.folder / "any")

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                with stand_ins(root, downloads=self.downloads):
                    return function(*args, **kwargs)
            except UserError:
                raise
            except (Exception, SystemExit) as error:
                found = f"{type(error).__name__}: {error}"
                raise UserError(f"the code of task '{self.task}' failed", where=where, found=found[:300]) from error

        return call


def _run(path: Path) -> ModuleType:
    """Run a Python file as a module, once for each state of it."""
    key = (path, path.stat().st_mtime_ns)
    if key not in _MODULES:
        root = tasks_folder(path)
        inside = root is not None and root.parent.name == "lm_eval"
        dotted = ".".join(path.relative_to(root).with_suffix("").parts) if inside and root else path.stem
        spec = importlib.util.spec_from_file_location(f"lm_eval.tasks.{dotted}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        before = list(sys.path)
        sys.path.insert(0, str(path.parent))  # `import helper_beside`, which lm-eval does not offer, but scripts expect
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path[:] = before
        _MODULES[key] = module
    return _MODULES[key]
