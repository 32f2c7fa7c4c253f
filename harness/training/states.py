"""States and checkpoints of a training run: whole or absent, whenever the process dies.

    states = States(folder)
    states.save(step, {"model": ..., "optimizer": ...}, facts={"best_score": 71.2})
    states.newest()          # (step, tensors, facts) or None

A folder is written under a temporary name and renamed, so that a name without the temporary mark is complete.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class State(NamedTuple):
    """What training resumes from."""

    step: int
    tensors: dict[str, Any]
    facts: dict[str, Any]


def write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Fill a folder by `write(temporary)` and give it its name at the end; an older one of the name is replaced."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    write(temporary)
    remove_folder(folder)
    temporary.rename(folder)


def remove_folder(folder: Path) -> None:
    """Remove a folder, if it is there: its name goes first, so that a name is never left to half of the content."""
    if folder.exists():
        doomed = folder.with_name(f".{folder.name}.{os.getpid()}.0")
        shutil.rmtree(doomed, ignore_errors=True)
        folder.rename(doomed)
        shutil.rmtree(doomed)


def link_folder(source: Path, target: Path) -> None:
    """Give the files of a folder a second name in another; copies where the file system has no links."""

    def link(old: str, new: str) -> str:
        try:
            os.link(old, new)
        except OSError:
            shutil.copy2(old, new)
        return new

    shutil.copytree(source, target, copy_function=link, dirs_exist_ok=True)


def sweep(folder: Path) -> None:
    """Remove half-written folders that a killed process left; only under the stage's lock."""
    for left in folder.glob(".*.[0-9]*"):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


@dataclass(frozen=True, kw_only=True)
class States:
    """The resumable states below a training stage's folder."""

    folder: Path
    keep_all: bool = False
    "Keep every state instead of the newest only."

    def _steps(self) -> list[int]:
        found = (re.fullmatch(r"state-(\d+)", path.name) for path in self.folder.glob("state-*"))
        return sorted(int(match[1]) for match in found if match)

    def save(self, step: int, tensors: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Write the state of a step and remove older ones."""
        import torch

        def write(temporary: Path) -> None:
            torch.save(dict(tensors), temporary / "tensors.pt")
            (temporary / "facts.json").write_text(json.dumps(facts, sort_keys=True), encoding="utf-8")

        write_folder(self.folder / f"state-{step}", write)
        if not self.keep_all:
            for old in self._steps()[:-1]:
                remove_folder(self.folder / f"state-{old}")

    def newest(self) -> State | None:
        """The newest complete state."""
        import torch

        if not self._steps():
            return None
        step = self._steps()[-1]
        place = self.folder / f"state-{step}"
        tensors = torch.load(place / "tensors.pt", map_location="cpu", weights_only=True)
        return State(step, tensors, json.loads((place / "facts.json").read_text(encoding="utf-8")))

    def clear(self) -> None:
        """Remove all states, once the stage's result stands."""
        if not self.keep_all:
            for step in self._steps():
                remove_folder(self.folder / f"state-{step}")
