"""Python code that task files of lm-evaluation-harness name by `!function`: hashed always, run only where it is trusted.

    Function(function="utils.process_docs", folder=".", code=code_hash("utils.process_docs", folder))
    code = TaskCode(folder=folder, trusted=place.trust_task_code)
    code.function(config.process_docs)(dataset)        # raises UserError unless trusted

A key depends on the file's bytes and on those of the files beside it (or below lm_eval/tasks) that it imports, and so on.
Packages that the code imports are recorded by version with every result; files that it opens itself are not seen.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from harness.api.errors import UserError, did_you_mean
from harness.specs.lm_eval import Function
from harness.specs.loader import shown
from harness.task_types.lm_eval_harness.code_facts import facts_of
from harness.task_types.lm_eval_harness.evaluate_metrics import MissingPackage
from harness.task_types.lm_eval_harness.import_shims import stand_ins

if TYPE_CHECKING:
    from harness.data.locations import DataPlace

REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
"A module and a name in it."
ALLOW = "read that code, then allow it with --trust_task_code"
INSTALL = "install what it imports beside xlift; its extra lm-eval has the most usual packages"
_MODULES: dict[tuple[Path, int, bool], ModuleType] = {}
"Modules that this process has run, by file, time of change and whether they have got the package evaluate."


def file_of(reference: str, folder: Path) -> Path | None:
    """The Python file beside a task file that holds a function (`utils.f`, `a.b.f`, `task.Class.method`); None for none."""
    found = _located(reference, folder)
    return found[0] if found else None


def _located(reference: str, folder: Path) -> tuple[Path, tuple[str, ...]] | None:
    """A function's file, and the names that lead to it there; the file may be named from the top, as lm_eval.tasks.<folder>..."""
    if not REFERENCE.fullmatch(reference):
        return None  # `..` and `/` would lead out of the folder
    parts = reference.split(".")
    for number in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:number])
        for path in (folder / f"{module.replace('.', '/')}.py", _in_tasks(folder / "any", module)):
            if path is not None and os.path.isfile(path):
                return path, tuple(parts[number:])
    return None


def code_hash(reference: str, folder: Path) -> str:
    """16 hex digits over the Python files behind a function; empty where its file is not there."""
    path = file_of(reference, folder)
    return hash_of_file(path) if path else ""


def hash_of_file(path: Path) -> str:
    """16 hex digits over a Python file and those behind it."""
    files: dict[Path, str] = {}
    _collect(path.resolve(), files)
    lines = [f"{path.name} {digest}" for path, digest in sorted(files.items(), key=lambda item: (item[0].name, item[1]))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _collect(path: Path, files: dict[Path, str]) -> None:
    """Add a file, and those that it imports from its own folder or from lm_eval/tasks."""
    if path in files:
        return
    facts = facts_of(path, path.stat().st_mtime_ns)
    files[path] = facts.digest
    for name in facts.imports:
        for found in (path.parent / f"{name.replace('.', '/')}.py", _in_tasks(path, name)):
            if found is not None and os.path.isfile(found):
                _collect(found.resolve(), files)


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
    module = reference.rpartition(".")[0]
    located = _located(reference, folder)
    path = located[0] if located else None
    if not REFERENCE.fullmatch(reference):
        return UserError(f"'{reference}' names no module", expected="module.function")
    if path is None:
        if importlib.util.find_spec(module.partition(".")[0]) is not None:
            return None  # an installed package
        near = did_you_mean(module, [file.stem for file in folder.glob("*.py")])
        return UserError(
            f"no Python file for '{reference}'", expected=shown(folder / f"{module.replace('.', '/')}.py"), todo=near
        )
    facts = facts_of(path, path.stat().st_mtime_ns)
    if facts.broken:
        return UserError(f"{shown(path)} is not valid Python", found=facts.broken)
    assert located is not None
    name = located[1][0]
    if facts.names is None or name in facts.names:
        return None
    return UserError(f"{shown(path)} has no '{name}'", todo=did_you_mean(name, facts.names))


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
        path, names = _located(wanted.function, folder) or (None, (name,))
        where = shown(path) if path else wanted.function
        try:
            with stand_ins(tasks_folder(folder / "any"), downloads=self.downloads):
                found: Any = _run(path.resolve(), self.downloads) if path else importlib.import_module(module_name)
                for one in names:
                    found = _inside(found, one)
        except AttributeError as error:
            raise missing_function(wanted.function, folder) or UserError(f"no '{name}'", where=where, found=str(error)) from error
        except UserError as error:
            raise error.at(error.where or where) from error
        except (Exception, SystemExit) as error:  # scripts end the process where they lack something
            if lacking := _behind(error):
                raise lacking.at(lacking.where or where) from error
            message, todo = f"the code of task '{self.task}' cannot be loaded", INSTALL if isinstance(error, ImportError) else ""
            raise UserError(message, where=where, found=_told(error), todo=todo) from error
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
            except (Exception, SystemExit) as error:
                if lacking := _behind(error):
                    raise lacking.at(lacking.where or where) from error
                if isinstance(error, UserError):
                    raise
                raise UserError(f"the code of task '{self.task}' failed", where=where, found=_told(error)) from error

        call.__wrapped__ = function  # type: ignore[attr-defined]
        return call


def _behind(error: BaseException) -> MissingPackage | None:
    """The lack of a package or metric that an error of task code is about: its cause, or told in its own words.

    Code that took note of a lack and then failed of something else has that error, not this one.
    """
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, MissingPackage):
        before = _before(seen)
        told = seen.__cause__ is not None or (isinstance(before, UserError) and before.message in str(seen))
        seen = before if told else None
    return seen


def _before(error: BaseException) -> BaseException | None:
    """What was being handled when an error was raised, as a traceback would show it."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _told(error: BaseException) -> str:
    """An error of task code by kind and words, and what was lacking before it."""
    before = _before(error)
    while before is not None and not isinstance(before, MissingPackage):
        before = _before(before)
    said = f"{type(error).__name__}: {error}"[:300]
    return said if before is None else f"{said} (after: {before.message})"


def _inside(thing: Any, name: str) -> Any:
    """What stands under a name in a module, in a new object of a class, or in the mapping that a method gives."""
    if isinstance(thing, type):
        return getattr(thing(), name)
    return thing()[name] if callable(thing) else getattr(thing, name)


def _run(path: Path, downloads: bool) -> ModuleType:
    """Run a Python file as a module, once for each state of it."""
    key = (path, path.stat().st_mtime_ns, downloads)
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
