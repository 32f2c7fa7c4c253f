"""A task file of lm-evaluation-harness while it becomes a spec: its values, where they stand, and what is wrong with them.

file = TaskFile(name="xnli_de", values=document.values, document=document)
file.wrong("unknown key 'doc_to_txt'", ("doc_to_txt",), todo="did you mean 'doc_to_text'?")
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from harness.api.errors import UserError
from harness.data.templates.compiled import LM_EVAL
from harness.data.templates.compiled import check_template as check
from harness.planning.catalog.lm_eval_files.yaml_reader import FunctionName
from harness.specs.loader import Document
from harness.specs.yaml_nodes import KeyPath
from harness.task_types.lm_eval_harness.task_code import file_of, hash_of_file, missing_function


class LostMetric(NamedTuple):
    """A metric of the file that is not computed here."""

    name: str
    "With how it is averaged, where that is the reason."
    is_first: bool
    "Whether the file names it before all others: lm-eval's users take it for the task's number."


class FunctionKey(NamedTuple):
    """A function as a file names it."""

    reference: str
    folder: Path
    "Of the file that names it, which may be included."
    seen_from: Path
    "The folder of the task's file."


class LookedUp(NamedTuple):
    """What there is to say of a function."""

    said: dict[str, str]
    "In the spec."
    error: UserError | None
    "Why it is not there."


@dataclass(kw_only=True)
class Functions:
    """The functions that task files name: hundreds of them name the same, and more the same Python file."""

    _found: dict[FunctionKey, LookedUp] = field(default_factory=dict)
    _hashes: dict[Path, str] = field(default_factory=dict)

    def look_up(self, key: FunctionKey) -> LookedUp:
        """What there is to say of a function, as it was when it was asked for first."""
        if key not in self._found:
            path = file_of(key.reference, key.folder)
            if path and path not in self._hashes:
                self._hashes[path] = hash_of_file(path)
            folder = Path(_relative(key.folder, key.seen_from)).as_posix()
            said = {"function": key.reference, "folder": folder, "code": self._hashes[path] if path else ""}
            self._found[key] = LookedUp(said, missing_function(key.reference, key.folder))
        return self._found[key]


@dataclass(kw_only=True)
class TaskFile:
    """The values of a task, where they stand, and what is wrong with them."""

    name: str
    values: Mapping[str, Any]
    document: Document
    errors: list[UserError] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    lost_metrics: list["LostMetric"] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    "What a reader of its scores must know and what is no mistake."
    lower_is_better: set[str] = field(default_factory=set)
    "Metrics whose smallest number is the best."
    functions: Functions = field(default_factory=Functions)
    "Functions that were looked up, for this file or others."
    told_of: set[FunctionKey] = field(default_factory=set)
    "Those that this file names, whose mistakes were noted."

    def get(self, key: str, default: Any = None) -> Any:
        """A value; the default where the file has none, or null."""
        value = self.values.get(key)
        return default if value is None else value

    def lacks(self, key: str) -> bool:
        """Whether the file does not say a key, not even wrongly."""
        return self.get(key) is None and self.document.values.get(key) is None

    def wrong(self, message: str, path: KeyPath, *, expected: str = "", found: str = "", todo: str = "") -> None:
        """Note a mistake."""
        self.errors.append(UserError(message, where=self.document.where(path), expected=expected, found=found, todo=todo))

    def note(self, message: str, path: KeyPath) -> None:
        """Note a mistake that lm-eval ignores."""
        self.remarks.append(f"{self.document.where(path)}: {message}")

    def lose(self, metric: str, path: KeyPath, *, reason: str = "") -> None:
        """Note a metric that is not computed here; `path` is that of its entry in metric_list."""
        self.note(f"metric '{metric}' is not computed here" + (f": {reason}" if reason else ""), path)
        self.lost_metrics.append(LostMetric(f"{metric} ({reason})" if reason else metric, path[1:2] in ((), (0,))))

    @property
    def folder(self) -> Path:
        """Of the task's file."""
        return self.document.path.parent


def value_of(file: TaskFile, value: Any, path: KeyPath) -> Any:
    """A value as the spec holds it: functions with their hash, templates checked."""
    if isinstance(value, FunctionName):
        return _function(file, value, path)
    if isinstance(value, Mapping):
        return {str(key): value_of(file, inner, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [value_of(file, inner, (*path, number)) for number, inner in enumerate(value)]
    return value


def _function(file: TaskFile, value: FunctionName, path: KeyPath) -> dict[str, str]:
    """What the spec says of a function, looked up once; one that is not there is a mistake, told once."""
    key = FunctionKey(value.reference, value.folder, file.folder)
    found = file.functions.look_up(key)
    if found.error and key not in file.told_of:
        file.wrong(found.error.message, path, expected=found.error.expected, found=found.error.found, todo=found.error.todo)
    file.told_of.add(key)
    return found.said


def _relative(folder: Path, to: Path) -> str:
    return "." if folder == to else os.path.relpath(folder.resolve(), to.resolve())


def check_template(file: TaskFile, text: str, path: KeyPath) -> None:
    """Note a template that does not parse, or that fails whatever the row is."""
    what = f"the template of '{path[-1]}'"
    try:
        check(text, LM_EVAL, what=what)
    except UserError as error:
        message = error.message if error.message.startswith(what) else f"{what} is broken"
        file.wrong(message, path, found=error.found, todo=error.todo)
