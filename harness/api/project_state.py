"""The state of this project's own files, without reading them: what was found out of them holds while it is the same.

state = project_state("harness", "tasks")
state.digest         # of the state of each file; another one once a file is edited, added or removed
state.is_certain     # whether none of them was changed so lately that it may change again and look the same
"""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import xxhash

from harness.api.file_states import FileState, clock
from harness.api.registry import ROOT

KINDS = (".py", ".yaml", ".yml", ".json")
"Files that say what there is and how it is checked: code, specs and tables."


class ProjectState(NamedTuple):
    """What is known of the files below some folders without their content."""

    digest: str
    is_certain: bool


@cache
def project_state(*folders: str) -> ProjectState:
    """The state of the files below some folders of this project, as they were at the first question of this process."""
    looked_at = clock()
    paths = sorted(path for folder in folders for path in _files(ROOT / folder))
    states = [_state(path) for path in paths]
    said = repr([(path, state and tuple(state)) for path, state in zip(paths, states, strict=True)])
    now = clock()
    is_certain = all(state is not None and state.is_certain(looked_at=looked_at, now=now) for state in states)
    return ProjectState(xxhash.xxh3_128(said.encode("utf-8", "surrogateescape")).hexdigest(), is_certain)


def _state(path: str) -> FileState | None:
    """None of what cannot be looked at: a link to nothing, as some editors keep beside an open file, or a file that is gone."""
    try:
        return FileState.of(Path(path))
    except OSError:
        return None


def _files(folder: Path) -> Iterator[str]:
    for entry in os.scandir(folder):
        if entry.is_dir():
            yield from _files(Path(entry.path))
        elif entry.name.endswith(KINDS):
            yield entry.path
