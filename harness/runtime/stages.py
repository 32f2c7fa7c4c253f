"""Stages: units of work addressed by what they do, and the folder of each on disk.

    stage = Stage(label="xnli-de", args=ScoreArguments(metrics=("accuracy",), lang="de", ...), inputs=(predict,))
    stage.key                      # 10 hex digits of sha256 over verb, version, args and the keys of the inputs
    with lock(stage.folder(root)): # harness/runtime/locks.py
        ...
        mark_done(stage, root, {...})   # done.json, written last, by rename: the only meaning of done

`args` is exactly what the verb receives and all of it is hashed; `phase` and `knobs` (paths, workers) are not hashed: they cannot
change results.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from harness.api.errors import UserError
from harness.api.json_text import loads, read_json_file
from harness.api.protocols import Json
from harness.runtime.arguments import Arguments, read_arguments
from harness.runtime.integrity import damage, seal, sync_folder
from harness.runtime.knobs import Knobs
from harness.runtime.locks import LOCK_FILE
from harness.runtime.outputs import failed_output

VERSIONS: Mapping[str, int] = {"init": 2, "train": 4, "predict": 3, "score": 2}
"Verb -> version.  Raise one when a default or the meaning of an argument of that verb changes."


MOST_OF_NAME = 50
"Characters of a file's name that its temporary name has: the whole may be as long as names can be."
STALE_SECONDS = 3600
"Age from which a temporary file, which is there for a moment, is one that nobody will finish."
MOST_OF_LABEL = 240
"Characters of a stage's label in the name of its folder, which has at most 255; the key tells all labels apart."

DONE_FILE = "done.json"
AGAIN = "run the command again: what is broken is made again"

A = TypeVar("A", bound=Arguments, covariant=True)
"""What a stage's verb receives."""


class TrainingPhase(StrEnum):
    """What a training stage is for."""

    PRETRAINING = "pretraining"
    "It makes the backbone."
    INTERMEDIATE = "intermediate"
    TARGET = "target"


@dataclass(frozen=True, kw_only=True)
class Stage(Generic[A]):
    """One unit of work.  Two stages with the same key are the same work."""

    label: str
    "Readable part of the folder's name; not hashed."
    args: A
    "Exactly what the verb receives."
    inputs: tuple["AnyStage", ...] = ()
    "Stages whose results this one reads; their keys are hashed."
    phase: TrainingPhase | None = field(default=None, compare=False)
    "What a training is for in its run; not hashed, since the same training may be an intermediate and a target one."
    knobs: Knobs = field(default_factory=Knobs, compare=False)
    "What cannot change a result: where files lie on this machine."

    @property
    def verb(self) -> str:
        """init, train, predict or score."""
        return self.args.VERB

    @cached_property
    def key(self) -> str:
        """10 hex digits; raises TypeError for arguments without a stable text."""
        content = {
            "verb": self.verb,
            "version": VERSIONS[self.verb],
            "args": self.args.json(),
            "inputs": [stage.key for stage in self.inputs],
        }
        return hashlib.sha256(canonical(content).encode()).hexdigest()[:10]

    @property
    def name(self) -> str:
        """`verb/label-key`: the folder below the root, and the name in messages; a long label loses its end."""
        label = re.sub(r"[^A-Za-z0-9._+-]+", "-", self.label)[:MOST_OF_LABEL].strip("-")
        return f"{self.verb}/{label}-{self.key}"

    def folder(self, root: Path) -> Path:
        """Where the stage lives."""
        return root / self.name

    def is_done(self, root: Path) -> bool:
        """Whether its result is complete on disk."""
        return (self.folder(root) / DONE_FILE).is_file()


AnyStage = Stage[Any]


def finished_stages(root: Path) -> set[str]:
    """Names of all stages below a folder whose result is complete."""
    return {f"{path.parent.parent.name}/{path.parent.name}" for path in root.glob("*/*/done.json")}


def canonical(value: Json) -> str:
    """The one text of a JSON value; raises TypeError or ValueError for what has none (objects, NaN)."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def in_order(stages: Iterable[AnyStage]) -> list[AnyStage]:
    """Each stage once (by key), inputs before what reads them."""
    ordered: dict[str, AnyStage] = {}

    def visit(stage: AnyStage) -> None:
        for parent in stage.inputs:
            visit(parent)
        ordered.setdefault(stage.key, stage)

    for stage in stages:
        visit(stage)
    return list(ordered.values())


def write_json(path: Path, value: Json) -> None:
    """Write a JSON file so that readers see the old one or the whole new one."""
    write_text(path, json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file by rename; raises OutputFailed where it cannot be written, with nothing left behind."""
    write_lines(path, (text,))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text file by rename, line by line; raises OutputFailed where it cannot be written, with nothing left behind."""
    temporary = path.with_name(f".{path.name[:MOST_OF_NAME]}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.writelines(lines)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise failed_output(error, path) from error


def sweep_stale(folder: Path) -> None:
    """Remove what processes that were killed while they wrote to a folder of a run's own left; others may write there now."""
    for left in folder.glob(".*.[0-9]*"):
        with contextlib.suppress(OSError):  # another process was faster
            if left.is_file() and time.time() - left.stat().st_mtime > STALE_SECONDS:
                left.unlink()


def read_json(path: Path) -> Any:
    """Read a JSON file; raises OSError or ValueError."""
    return loads(path.read_text(encoding="utf-8"))


def begin(stage: AnyStage, root: Path) -> Path:
    """Make the stage's folder with its args.json; returns the folder."""
    folder = stage.folder(root)
    write_json(
        folder / "args.json", {"verb": stage.verb, "args": stage.args.json(), "inputs": [parent.name for parent in stage.inputs]}
    )
    return folder


class Begun(NamedTuple):
    """What a stage's args.json says."""

    args: Arguments
    content: dict[str, Json]
    "The same as JSON."
    inputs: list[str]
    "Names of the stages whose results it read."


def read_begun(folder: Path) -> Begun:
    """What `begin` wrote; raises UserError for what it never wrote."""
    path = folder / "args.json"
    held = read_json_file(path, kind=dict)
    try:
        if not all(isinstance(name, str) and _NAME.fullmatch(name) for name in held["inputs"]):
            raise ValueError("inputs that are no stages")
        args = read_arguments(held["verb"], held["args"])
        args.identities()
        return Begun(args, held["args"], held["inputs"])
    except UserError as error:
        raise error.at(str(path)) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        found = f"{type(error).__name__}: {error}"[:120]
        raise UserError("not what a stage received", where=str(path), found=found, todo=AGAIN) from error


_NAME = re.compile(r"[a-z]+/[A-Za-z0-9._+-]+")


def mark_done(stage: AnyStage, root: Path, facts: Mapping[str, Json]) -> None:
    """Write done.json: the key, what the stage wrote with sizes and hashes, and what later stages and boards want to know."""
    folder = stage.folder(root)
    write_json(folder / DONE_FILE, {"key": stage.key, "files": seal(folder), **facts})
    with (folder / DONE_FILE).open("rb") as file:
        os.fsync(file.fileno())
    sync_folder(folder)


def read_done(folder: Path) -> dict[str, Any]:
    """What done.json says; raises UserError where it is not there or cannot be read."""
    try:
        found = read_json(folder / DONE_FILE)
    except (OSError, ValueError) as error:
        raise UserError("done.json cannot be read", where=str(folder), found=str(error), todo=AGAIN) from error
    if not (isinstance(found, dict) and isinstance(found.get("key"), str) and _lists_files(found.get("files", {}))):
        raise UserError("done.json does not say what is done", where=str(folder), todo=AGAIN)
    for name, kind in _DONE_KINDS.items():
        if not isinstance(found.get(name, kind()), kind):
            raise UserError(f"'{name}' in done.json is not as it was written", where=str(folder), todo=AGAIN)
    return found


_DONE_KINDS = {"versions": dict, "commit": str, "arithmetic": dict}


def _lists_files(files: Any) -> bool:
    """Whether these are names with sizes and hashes."""
    entries = files.values() if isinstance(files, dict) else [None]
    return all(
        isinstance(entry, dict) and isinstance(entry.get("size"), int) and isinstance(entry.get("xxh3"), str) for entry in entries
    )


def wrong_with(folder: Path, *, only: Iterable[str] = (), deep: bool = False) -> str:
    """Why a folder that says that it is done cannot be believed; empty where all that it wrote is as it was written."""
    try:
        files = read_done(folder).get("files", {})
    except UserError as error:
        return error.message
    return damage(folder, files, only=only, deep=deep)


def forget(folder: Path) -> None:
    """Remove what a stage wrote, the word that it is done first; only under its lock."""
    (folder / DONE_FILE).unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK_FILE:
            path.unlink()
