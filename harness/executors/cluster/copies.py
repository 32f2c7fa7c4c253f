"""What a node copies to and from the store: inputs before a stage, its progress meanwhile, its result behind it.

copies = NodeCopies(StageStore(url), root=folder_of_this_node)
copies.bring(order, stages)
with copies.pushing(todo): ...        # states are copied as they are written, finished cells as they are done
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.api.progress import tell
from harness.executors.cluster.store import StageStore, StoreFailed
from harness.runtime.stages import AnyStage
from harness.runtime.weights import has_weights

EVERY = 1.0
"Seconds between looks at what a stage has written."


class NodeCopies:
    """The copies of one node, whose own folder no other node sees."""

    def __init__(self, store: StageStore, *, root: Path) -> None:
        """`root`: the node's folder of stages."""
        self._store, self._root = store, root
        self._known: dict[str, set[str]] = {}
        self._pushed: set[str] = set()

    def bring(self, todo: Sequence[AnyStage]) -> None:
        """Fetch what stages read, and what they go on from; raises DamagedCopy and StoreFailed."""
        for stage in _inputs(todo):
            if not (stage.is_done(self._root) and has_weights(stage, self._root)):
                self._store.fetch(stage.name, root=self._root, weights=True)
        for stage in todo:
            self._known[stage.name] = self._store.fetch_progress(stage.name, root=self._root)

    @contextlib.contextmanager
    def pushing(self, todo: Sequence[AnyStage]) -> Iterator[None]:
        """Copy what stages write while they are done, and once more at the end, however that is."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(EVERY):
                try:
                    self._push(todo)
                except StoreFailed as error:  # at the end it has to succeed
                    tell(f"not copied yet: {error}")

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._push(todo)

    def _push(self, todo: Sequence[AnyStage]) -> None:
        for stage in todo:
            if stage.name in self._pushed:
                continue
            if stage.is_done(self._root):
                self._store.push(stage.name, root=self._root)
                self._pushed.add(stage.name)
            else:
                known = self._known.setdefault(stage.name, set())
                if state := self._store.push_progress(stage.name, root=self._root, known=known):
                    tell(f"{stage.name}: {state} is copied to {self._store.url}")


def _inputs(stages: Sequence[AnyStage]) -> list[AnyStage]:
    """The stages that others read: their inputs, and the backbone made by a run that a chain of trainings began with."""
    found: dict[str, AnyStage] = {}

    def climb(stage: AnyStage, *, direct: bool) -> None:
        for parent in stage.inputs:
            if direct or parent.verb == "init":
                found.setdefault(parent.key, parent)
            climb(parent, direct=False)

    for stage in stages:
        climb(stage, direct=True)
    return list(found.values())
