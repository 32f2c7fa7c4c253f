"""What a worker must find on its node, as the driver knows it.

facts = HostFacts(root, token, copy_to, machine)
with facts.proof():                 # a file in the run folder by which workers know that theirs is the same
    host = facts.host(stages)
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.api.registry import ROOT
from harness.executors.cluster.worker import Host, proof_file
from harness.runtime.machine import Machine
from harness.runtime.stages import VERSIONS, AnyStage, sweep_stale, write_text


class HostFacts:
    """What one driver asks of nodes."""

    def __init__(self, root: Path, token: str, copy_to: str | None, machine: Machine) -> None:
        """`root`: the run folder, absolute; `token` tells this driver from others."""
        self._root, self._token, self._copy_to, self._machine = root, token, copy_to, machine
        self.own_folder = "xlift-" + hashlib.sha256((copy_to or "").encode()).hexdigest()[:12]
        "Beginning of the name of a node's own folder, if it has one."

    @property
    def _proof_file(self) -> Path:
        return proof_file(self._root, self._token)

    @contextlib.contextmanager
    def proof(self) -> Iterator[None]:
        """Have the proof removed in the end, and those of drivers that were killed."""
        sweep_stale(self._proof_file.parent)
        try:
            yield
        finally:
            self._proof_file.unlink(missing_ok=True)

    def host(self, stages: Iterable[AnyStage]) -> Host:
        """What a worker that comes now must find."""
        shared = self._copy_to is None
        if shared:
            write_text(self._proof_file, self._token)
        return Host(
            root=str(self._root) if shared else self.own_folder,
            proof=self._token if shared else "",
            copy_to=self._copy_to,
            folder=os.getcwd(),
            paths=tuple(self._paths(stages)),
            versions=dict(VERSIONS),
        )

    def _paths(self, stages: Iterable[AnyStage]) -> list[str]:
        """Folders of models and data that are on this machine; those of this program's own tasks come with it."""
        place = self._machine.place
        named = [str(place.data_dir or ""), *map(str, place.allowed)]
        named += [str(folder) for folder in self._machine.task_folders.values() if not folder.absolute().is_relative_to(ROOT)]
        for stage in stages:
            knobs = stage.knobs
            named += [name for name in (knobs.path, knobs.checkpoint, knobs.tokenizer) if name]
        return [os.path.abspath(name) for name in dict.fromkeys(named) if name and os.path.exists(name)]
