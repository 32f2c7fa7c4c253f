"""Several processes that do one job together, as `torchrun --nproc_per_node 2 run_eval.py ...` starts them.

    join("cuda")                        # enter the group that torchrun announces; nothing happens in a process alone
    rank(), num_ranks()                 # 0, 1 in a process alone
    decision = from_first(decide)       # the first process decides, all learn it
    agree(error)                        # after work that can fail in one process only: all go on, or all fail

The first process alone locks, writes and prints.  Where one fails, all must leave the work at the same place, or the others would
wait for it for ever: that is what `agree` is for.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from harness.api.errors import UserError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
PATIENCE = timedelta(days=30)
"While the first process waits for a lock, the others wait for the first."


class SharedFailure(Exception):
    """Work failed in some process, and every process knows; the message is the first failure's."""


def is_first() -> bool:
    """Whether this process locks, writes and prints; known before `join`, from the environment alone."""
    return not _announced() or int(os.environ.get("RANK", "0")) == 0


def _announced() -> bool:
    return announced_processes() > 1


def announced_processes() -> int:
    """How many processes torchrun has started; known before `join`, from the environment alone."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join(device: str) -> None:
    """Enter the process group, if one is announced."""
    if not _announced():
        return
    import torch
    import torch.distributed as dist

    if device.startswith("cuda"):
        torch.cuda.set_device(torch.device(device))
    if not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)


def leave() -> None:
    """Leave the process group, once all have come so far."""
    if num_ranks() > 1:
        import torch.distributed as dist

        dist.barrier()
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process, from 0."""
    import torch.distributed as dist

    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def num_ranks() -> int:
    """How many processes work together."""
    import torch.distributed as dist

    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def add_up(tensor: torch.Tensor) -> torch.Tensor:
    """Sum a tensor over the processes, in place."""
    if num_ranks() > 1:
        import torch.distributed as dist

        dist.all_reduce(tensor)
    return tensor


def gather(value: T) -> list[T]:
    """The value of each process, by rank, in every process."""
    if num_ranks() == 1:
        return [value]
    import torch.distributed as dist

    found: list[T] = [value] * num_ranks()
    dist.all_gather_object(found, value)
    return found


def from_first(decide: Callable[[], T]) -> T:
    """What the first process decides, in every process; if it fails, all fail."""
    value: list[T | None] = [None]
    with together():
        if rank() == 0:
            value[0] = decide()
    if num_ranks() > 1:
        import torch.distributed as dist

        dist.broadcast_object_list(value, src=0)
    decided: T = value[0]  # type: ignore[assignment]
    return decided


def agree(error: Exception | None) -> None:
    """Raise if any process brings an error: its own in a process alone, a SharedFailure where several work together."""
    if num_ranks() == 1:
        if error is not None:
            raise error
        return
    text = None if error is None else str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    failures = [found for found in gather(text) if found is not None]
    if failures:
        raise SharedFailure(failures[0]) from error


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Work in which no process waits for another: if it fails in one, it fails in all."""
    error: Exception | None = None
    try:
        yield
    except Exception as caught:
        error = caught
    agree(error)
