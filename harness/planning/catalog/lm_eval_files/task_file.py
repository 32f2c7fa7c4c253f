"""A task file of lm-evaluation-harness while it becomes a spec: its values, where they stand, and what is wrong with them.

file = TaskFile(name="xnli_de", values=document.values, document=document)
file.wrong("unknown key 'doc_to_txt'", ("doc_to_txt",), todo="did you mean 'doc_to_text'?")
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.planning.catalog.lm_eval_files.yaml_reader import FunctionName
from harness.specs.loader import Document, KeyPath
from harness.task_types.lm_eval_harness.task_code import code_hash, missing_function
from harness.task_types.lm_eval_harness.templates import parsed


@dataclass(kw_only=True)
class TaskFile:
    """The values of a task, where they stand, and what is wrong with them."""

    name: str
    values: Mapping[str, Any]
    document: Document
    errors: list[UserError] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    functions: dict[tuple[str, Path], dict[str, str]] = field(default_factory=dict)
    "Functions that were looked up, by name and folder."

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
    """What the spec says of a function, looked up once; one that is not there is a mistake."""
    key = (value.reference, value.folder)
    if key not in file.functions:
        error = missing_function(value.reference, value.folder)
        if error:
            file.wrong(error.message, path, expected=error.expected, found=error.found, todo=error.todo)
        folder = Path(_relative(value.folder, file.folder)).as_posix()
        code = code_hash(value.reference, value.folder)
        file.functions[key] = {"function": value.reference, "folder": folder, "code": code}
    return file.functions[key]


def _relative(folder: Path, to: Path) -> str:
    return "." if folder == to else os.path.relpath(folder.resolve(), to.resolve())


def check_template(file: TaskFile, text: str, path: KeyPath) -> None:
    """Note a template that does not parse."""
    try:
        parsed(text)
    except UserError as error:
        file.wrong(f"the template of '{path[-1]}' is broken", path, found=error.found, todo=error.todo)
