"""A model divided among processes by torch's fully_shard (FSDP2): the one engine of training in several processes.

    distribute(adapter, machine=machine, precision="bfloat16")     # nothing happens in a process alone
    add_up_next(adapter.module, now=True); loss.backward()         # gradients of all processes are added up here
    for name, tensor in whole_tensors(adapter.module): ...         # one whole tensor after the other, in every process

`--sharding full` divides every weight, gradient and moment among the processes; `--sharding none` lets each of them hold all (a
mesh of N copies that nobody divides).  What is gathered and let go together (the *units*) the model says.  Weights are fp32; in
bfloat16 the forward and backward passes see them rounded, and gradients are added up in fp32.  Every process has to make the same
passes through the model, for units are gathered within them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from harness.api.errors import UserError
from harness.runtime.heap import return_blocks
from harness.runtime.machine import Machine
from harness.runtime.processes import join_alone, num_ranks

if TYPE_CHECKING:
    import torch


RETURNED_BYTES = 1 << 20
"Blocks from this size on are returned when they are freed: the heap would keep every layer that was gathered."


def is_divided(module: torch.nn.Module) -> bool:
    """Whether its parameters are shared among processes."""
    from torch.distributed.fsdp import FSDPModule

    return isinstance(module, FSDPModule)


def distribute(adapter: Any, *, machine: Machine, precision: str) -> None:
    """Divide the adapter's network as the machine says, then read what its loading left for now.

    A process alone has its weights divided between main memory and the device, with --offload cpu, or not at all.  Raises
    UserError for fp16: its scale is found in each process by itself.
    """
    if machine.shares_model:
        if precision == "float16":
            raise UserError(
                "float16 trains in one process only, and not offloaded", where="precision", todo="precision: bfloat16"
            )
        join_alone()
        _divide(adapter.module, machine, precision)
        adapter.read_weights(offloaded=machine.offload == "cpu")
        if machine.sharding != "full":
            _gather_once(adapter.module)
        adapter.weight_bytes = sum(local_part(one).numel() * one.element_size() for one in adapter.module.parameters())


def _divide(network: Any, machine: Machine, precision: str) -> None:
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, fully_shard

    kind = torch.device(machine.device).type
    is_full = machine.sharding == "full"
    sizes, names = ((num_ranks(),), ("shard",)) if is_full else ((num_ranks(), 1), ("copy", "shard"))
    if kind == "cpu" and is_full:
        return_blocks(RETURNED_BYTES)
    mesh = init_device_mesh(kind, sizes, mesh_dim_names=names)
    half = None if precision == "float32" else getattr(torch, precision)
    # Inputs are not cast: the residual stream stays what autocast makes of it, as in a process alone.
    in_precision = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=torch.float32, cast_forward_inputs=False)
    in_float32 = MixedPrecisionPolicy(reduce_dtype=torch.float32, cast_forward_inputs=False)
    # Pinned memory is for copies to a GPU.
    offload = CPUOffloadPolicy(pin_memory=kind == "cuda") if machine.offload == "cpu" else OffloadPolicy()
    for unit in network.units():
        fully_shard(unit.module, mesh=mesh, mp_policy=in_float32 if unit.in_float32 else in_precision, offload_policy=offload)
    fully_shard(network, mesh=mesh, mp_policy=in_precision, offload_policy=offload)
    for part in network.modules():
        if isinstance(part, FSDPModule):
            # Losses are divided by the targets of the whole batch: gradients are summed, not averaged.
            part.set_force_sum_reduction_for_comms(True)
            part.set_gradient_divide_factor(1.0)


def _gather_once(network: Any) -> None:
    """Gather each unit once: gradients are kept for a later pass, which torch 2.13 does of no unit that was never gathered.

    So are layers above the one whose vectors are wanted, and heads of tasks whose turn has not come.
    """
    from torch.distributed.fsdp import FSDPModule, fully_shard

    fully_shard.state(network)._lazy_init()  # type: ignore[attr-defined]  # else a unit that is called first takes itself for the root
    for part in network.modules():
        if isinstance(part, FSDPModule):
            part.unshard()
            part.reshard()


def add_up_next(module: torch.nn.Module, *, now: bool) -> None:
    """Say of the backward pass to come whether gradients are added up over the processes, or kept for a later one that does."""
    if is_divided(module):
        module.set_requires_gradient_sync(now)  # type: ignore[operator]


@contextlib.contextmanager
def gathered_root(module: torch.nn.Module) -> Iterator[None]:
    """What belongs to no unit (tables of words, the last norm) is whole: parts of the model can be called by themselves."""
    from torch.distributed.fsdp import fully_shard

    if not is_divided(module):
        yield
        return
    fully_shard.state(module)._lazy_init()  # type: ignore[attr-defined]  # else a unit that is called first takes itself for the root
    module.unshard()  # type: ignore[operator]
    try:
        yield
    finally:
        module.reshard()  # type: ignore[operator]


def whole_tensors(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of `state_dict` on the CPU, each whole, tied ones once, one after the other; every process goes through it."""
    from torch.distributed.tensor import DTensor

    if is_divided(module):
        module.reshard()  # type: ignore[operator]  # a forward pass leaves it whole, in its lower precision
    seen: set[int] = set()
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            whole: Any = tensor.detach()
            if isinstance(whole, DTensor):  # offloaded parts meet on the device
                there: Any = whole.to(whole.device_mesh.device_type)
                whole = there.full_tensor()
            yield name, whole.cpu()


def local_part(parameter: torch.Tensor) -> torch.Tensor:
    """What this process holds of a parameter: a plain tensor in the same memory."""
    from torch.distributed.tensor import DTensor

    tensor: Any = parameter.detach()
    own: torch.Tensor = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return own
