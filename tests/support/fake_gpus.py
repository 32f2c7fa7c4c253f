"""Two GPUs that are none: tensors that know their device and hold nothing, so that a wrong device is found on any machine.

with two_gpus(model.module, batch=batch, first=CPU, second=META) as fake:
    outputs = model.module(fake, head="nli")                # raises where two devices meet; outputs.device
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from harness.api.protocols import Batch
from models.headed.network import HeadedNetwork
from models.loading.layers import find_layers

CPU, META = torch.device("cpu"), torch.device("meta")
"torch has no guards for devices that it was not built for; in the mode of fake tensors these two serve as well as any."


@contextmanager
def two_gpus(module: HeadedNetwork, *, batch: Batch, first: torch.device, second: torch.device) -> Iterator[Batch]:
    """All layers but one lie on the second GPU, all else on the first, with hooks like those of accelerate; gives the batch."""
    backbone = module.backbone
    owner, name = find_layers(module.body)
    layers = list(getattr(owner, name))
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        _place(module, first)
        for layer in layers[1:]:
            _place(layer, second)
        there = {part for layer in layers[1:] for part in layer.modules()}
        hooks = [
            part.register_forward_pre_hook(_bringing(second if part in there else first), with_kwargs=True)
            for part in backbone.modules()
            if part is not backbone and any(True for _ in part.parameters())
        ]
        try:
            yield batch.on(first)
        finally:
            for hook in hooks:
                hook.remove()


def _place(module: nn.Module, device: torch.device) -> None:
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(parameter.data.to(device), requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = buffer.to(device)


def _bringing(device: torch.device) -> Any:
    """What the hooks of accelerate do before a layer: bring what it is given to its device."""

    def brought(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.to(device)
        return type(value)(map(brought, value)) if isinstance(value, tuple | list) else value

    return lambda _, args, kwargs: (brought(args), {name: brought(value) for name, value in kwargs.items()})
