"""Resumable states of a training run: whole or absent, whenever a process dies, and of use to any number of processes.

    states = States(folder=folder)
    states.save(step, {"model/...": tensor}, facts={"best_score": 71.2})      # by all processes: each writes its own part
    state = states.newest()                                                   # State(step, place, facts) or None
    states.read(state, {"model/...": tensor})                                 # fills the tensors, however they are divided now

Tensors are written and read by torch.distributed.checkpoint as safetensors files, each with the part of every tensor that a
process holds (a DTensor's) or, where all hold the same, a share of them.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.runtime.folders import remove_folder, write_folder_together
from harness.runtime.integrity import damage, seal
from harness.runtime.processes import from_first, gather, num_ranks, rank, together

if TYPE_CHECKING:
    import torch

FILES = "files.json"
"Sizes and hashes of the files of a state."
KEPT = 2
"States that stay on disk: where the newest is broken, training goes on from the one before."
FORMAT = 2
"Of states; one of another format is not read."
FILE_BYTES = 1 << 30
"Of a file of tensors about: so much of a GPU's tensors is in main memory at a time."


class State(NamedTuple):
    """What training resumes from."""

    step: int
    place: Path
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

    def save(self, step: int, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
        """Write the state of a step with the hashes of its files, and remove those older than the one before."""

        def write(temporary: Path) -> None:
            _write_tensors(tensors, temporary)
            if rank() == 0:
                content = json.dumps({**facts, "format": FORMAT}, sort_keys=True)
                (temporary / "facts.json").write_text(content, encoding="utf-8")

        def finish(temporary: Path) -> None:
            with together():
                own = seal(temporary, part=rank(), parts=num_ranks())
            files = {name: entry for part in gather(own) for name, entry in part.items()}
            from_first(lambda: (temporary / FILES).write_text(json.dumps(files, sort_keys=True), encoding="utf-8"))

        write_folder_together(self.folder / f"state-{step}", write, finish=finish)
        if not self.keep_all:
            from_first(self._forget_old)

    def _forget_old(self) -> None:
        for old in self.steps()[:-KEPT]:
            remove_folder(self.folder / f"state-{old}")

    def newest(self, *, tell: Callable[[str], None] = lambda text: None) -> State | None:
        """The newest state that is as it was written; of newer ones it is told why they are not used."""
        for step in reversed(from_first(self.steps)):
            place = self.folder / f"state-{step}"
            wrong = next((text for text in gather(_damage(place)) if text), "")
            if not wrong:
                return State(step, place, _facts(place))
            tell(f"{self.folder.name}: the state of step {step} is not used: {wrong}")
        return None

    def read(self, state: State, tensors: Mapping[str, torch.Tensor]) -> None:
        """Fill tensors (plain ones, or this process's parts of DTensors) with what the state holds of them."""
        import torch.distributed.checkpoint as checkpoint
        from torch.distributed.checkpoint import HuggingFaceStorageReader

        with _quietly():
            checkpoint.load(dict(tensors), storage_reader=HuggingFaceStorageReader(str(state.place)), no_dist=num_ranks() == 1)

    def clear(self) -> None:
        """Remove all states, once the stage's result stands."""
        if not self.keep_all:
            for step in self.steps():
                remove_folder(self.folder / f"state-{step}")


def _write_tensors(tensors: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Write what this process holds of the tensors; raises what has failed in whichever process."""
    import torch.distributed.checkpoint as checkpoint
    from torch.distributed.checkpoint.api import CheckpointException

    try:
        with _quietly():
            checkpoint.save(dict(tensors), storage_writer=_writer(folder), no_dist=num_ranks() == 1)
    except CheckpointException as error:
        first = next(iter(error.failures.values()))[0]
        raise first from error


def _writer(folder: Path) -> Any:
    """A writer of torch.distributed.checkpoint whose files HuggingFaceStorageReader reads; equal tensors give equal bytes.

    torch's own writes headers in any order, and makes each file in memory first.
    """
    from safetensors.torch import save_file
    from torch.distributed.checkpoint import HuggingFaceStorageWriter
    from torch.distributed.checkpoint._hf_utils import CUSTOM_METADATA_KEY, SAVED_OFFSETS_KEY
    from torch.distributed.checkpoint.storage import WriteResult
    from torch.futures import Future

    class OrderedWriter(HuggingFaceStorageWriter):
        def write_data(self, plan: Any, planner: Any) -> Any:
            held: dict[str, torch.Tensor] = {}
            offsets: dict[str, Any] = {}
            results = []
            number = size = 0

            def put() -> None:
                nonlocal number, size
                place = folder / f"process-{plan.storage_data['shard_index']:05}-{number:05}.safetensors"
                save_file(held, place, metadata={CUSTOM_METADATA_KEY: json.dumps(offsets)})
                held.clear()
                offsets.clear()
                number, size = number + 1, 0

            for item in plan.items:
                tensor = planner.resolve_data(item).detach().cpu().contiguous()
                held[item.index.fqn] = tensor
                offsets[item.index.fqn] = {SAVED_OFFSETS_KEY: list(item.tensor_data.chunk.offsets)}
                own = tensor.numel() * tensor.element_size()
                size += own
                results.append(WriteResult(index=item.index, size_in_bytes=own, storage_data=None))
                if size >= FILE_BYTES:
                    put()
            if held:
                put()
            done: Future[list[Any]] = Future()
            done.set_result(results)
            return done

    return OrderedWriter(str(folder), save_distributed=True)


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence the remark that a process alone saves for itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*single process", category=UserWarning)
        yield


def _facts(place: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((place / "facts.json").read_text(encoding="utf-8"))
    return facts


def _damage(place: Path) -> str:
    """What this process finds wrong with its share of a state's files."""
    try:
        files = json.loads((place / FILES).read_text(encoding="utf-8"))
        own = {name: files[name] for name in sorted(files)[rank() :: num_ranks()]}
        wrong = damage(place, own, deep=True)
        return wrong or ("" if _facts(place).get("format") == FORMAT else "another version has written it")
    except (OSError, ValueError):
        return f"its {FILES} cannot be read"
