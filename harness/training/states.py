"""Resumable states of a training run: whole or absent, whenever the process dies.

states = States(folder=folder)
states.save(step, {"model": ..., "optimizer": ...}, facts={"best_score": 71.2})
states.newest()          # (step, tensors, facts) or None
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from harness.runtime.folders import remove_folder, write_folder
from harness.runtime.integrity import damage, seal

FILES = "files.json"
"Sizes and hashes of the files of a state."
KEPT = 2
"States that stay on disk: where the newest is broken, training goes on from the one before."


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
    "Keep every state instead of the newest ones only."

    def steps(self) -> list[int]:
        """The steps whose states are on disk."""
        found = (re.fullmatch(r"state-(\d+)", path.name) for path in self.folder.glob("state-*"))
        return sorted(int(match[1]) for match in found if match)

    def save(self, step: int, tensors: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Write the state of a step with the hashes of its files, and remove those older than the one before."""
        import torch

        def write(temporary: Path) -> None:
            torch.save(dict(tensors), temporary / "tensors.pt")
            (temporary / "facts.json").write_text(json.dumps(facts, sort_keys=True), encoding="utf-8")
            files = seal(temporary)
            (temporary / FILES).write_text(json.dumps(files, sort_keys=True), encoding="utf-8")

        write_folder(self.folder / f"state-{step}", write)
        if not self.keep_all:
            for old in self.steps()[:-KEPT]:
                remove_folder(self.folder / f"state-{old}")

    def newest(self, *, tell: Callable[[str], None] = lambda text: None) -> State | None:
        """The newest state that is as it was written; of newer ones it is told why they are not used."""
        import torch

        for step in reversed(self.steps()):
            place = self.folder / f"state-{step}"
            wrong = _damage(place)
            if not wrong:
                tensors = torch.load(place / "tensors.pt", map_location="cpu", weights_only=True)
                return State(step, tensors, json.loads((place / "facts.json").read_text(encoding="utf-8")))
            tell(f"{self.folder.name}: the state of step {step} is not used: {wrong}")
        return None

    def clear(self) -> None:
        """Remove all states, once the stage's result stands."""
        if not self.keep_all:
            for step in self.steps():
                remove_folder(self.folder / f"state-{step}")


def _damage(place: Path) -> str:
    try:
        files = json.loads((place / FILES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return f"its {FILES} cannot be read"
    return damage(place, files, deep=True)
