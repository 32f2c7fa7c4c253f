"""Resumable states of a training run: whole or absent, whenever the process dies.

states = States(folder=folder)
states.save(step, {"model": ..., "optimizer": ...}, facts={"best_score": 71.2})
states.newest()          # (step, tensors, facts) or None
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from harness.runtime.folders import remove_folder, write_folder


class State(NamedTuple):
    """What training resumes from."""

    step: int
    tensors: dict[str, Any]
    facts: dict[str, Any]


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
