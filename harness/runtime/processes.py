"""Several processes that do one job together, as torchrun, `accelerate launch` or mpirun starts them.

    check_launch()                      # UserError where a launcher was asked for several processes and started one
    join("cuda")                        # enter the group that is announced; nothing happens in a process alone
    rank(), num_ranks()                 # 0, 1 in a process alone
    decision = from_first(decide)       # the first process decides, all learn it
    agree(error)                        # after work that can fail in one process only: all go on, or all fail

The first process alone locks, writes and prints.  Where one fails, all must leave the work at the same place, or the others would
wait for it for ever: that is what `agree` is for.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from harness.api.errors import UserError
from harness.runtime.interruption import Interrupted, waiting

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
PATIENCE = timedelta(days=30)
"While the first process waits for a lock, the others wait for the first."


class SharedFailure(Exception):
    """Work failed in some process, and every process knows; the message is the first failure's."""


class _Announced(NamedTuple):
    """Which of how many processes this one is, as its launcher says."""

    rank: int
    size: int
    local_rank: int
    local_size: int


LAUNCHERS = (
    ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE"),
)
"Variables of torchrun (and `accelerate launch` on several GPUs), Open MPI, Intel MPI and MPICH, MVAPICH."


def _place() -> _Announced:
    """What the environment announces; (0, 1, 0, 1) where nothing is."""
    for rank_name, size_name, local_rank, local_size in LAUNCHERS:
        size = os.environ.get(size_name, "")
        if size.isdecimal() and int(size) > 1:
            number = int(os.environ.get(rank_name, "0"))
            local = int(os.environ.get(local_rank, number))
            return _Announced(number, int(size), local, int(os.environ.get(local_size, size)))
    return _Announced(0, 1, 0, 1)


def announced_processes() -> int:
    """How many processes the launcher says there are; known before `join`, from the environment alone."""
    return _place().size


def local_rank() -> int:
    """Number of this process on its machine, from 0; which GPU is its own."""
    return _place().local_rank


def is_first() -> bool:
    """Whether this process locks, writes and prints; known before `join`, from the environment alone."""
    return _place().rank == 0


def check_launch() -> None:
    """Refuse a launch that looks like one of several processes and is none, or whose processes cannot find each other."""
    environment = os.environ
    if announced_processes() > 1:
        if "MASTER_ADDR" not in environment and _place().local_size < announced_processes():
            raise UserError(
                "the processes cannot find each other",
                where="the environment",
                expected="MASTER_ADDR and MASTER_PORT, the address of the first one",
                todo="torchrun sets them; with mpirun give -x MASTER_ADDR=... -x MASTER_PORT=...",
            )
    elif "WORLD_SIZE" not in environment and "MASTER_ADDR" in environment and "ACCELERATE_MIXED_PRECISION" in environment:
        # What `accelerate launch --cpu --num_processes 2` does: one process, and the address of a group that there is not.
        raise UserError(
            "accelerate was asked for several processes and has started one",
            where="accelerate launch --cpu",
            todo="torchrun --nproc_per_node N run_eval.py ... --device cpu, or accelerate launch --multi_gpu --num_processes N, "
            "which starts them on CPUs as well",
        )


def join(device: str) -> None:
    """Enter the process group, if one is announced."""
    place = _place()
    if place.size == 1:
        return
    told = {"RANK": place.rank, "WORLD_SIZE": place.size, "LOCAL_RANK": place.local_rank}
    for name, value in (*told.items(), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "29500")):
        os.environ.setdefault(name, str(value))
    import torch
    import torch.distributed as dist

    if device.startswith("cuda"):
        torch.cuda.set_device(torch.device(device))
    if not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)


def join_alone() -> None:
    """Make a group of this process alone, where it is in none: torch divides models within a group."""
    import torch.distributed as dist

    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if dist.is_nccl_available() else "gloo"
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)


def leave() -> None:
    """Leave the process group, once all have come so far."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
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


def wait_for_all() -> None:
    """Go on once every process has come so far."""
    if num_ranks() > 1:
        import torch.distributed as dist

        dist.barrier()


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


def end_together() -> None:
    """Raise Interrupted in every process if any of several has been told to end; all call it at the same places.

    Within `held`: a process that left by itself would leave the others waiting for it in the middle of their work.
    """
    if num_ranks() > 1:
        import torch

        told = waiting()
        if add_up(torch.tensor([float(told is not None)])).item():
            raise Interrupted(told or signal.SIGTERM, everywhere=True)


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
