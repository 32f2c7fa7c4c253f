"""The forward pass of linear layers with LoRA beside them, in as few calls as it takes.

    fuse(trained)            # peft's view of a model: outputs and gradients stay, but for rounding

A layer computes `W x + B A dropout(x) * scaling`.  Where weights are in bfloat16 and adapters in float32, peft adds eight calls
to that of W: a GPU that computes each in a moment waits for the next one, and layers that see the same x keep a copy each for the
backward pass.  Here there are four: each matrix in bfloat16, a product, and another one whose result is scaled and added at once.
Dropout comes on top of both.
"""

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn


def fuse(adapted: nn.Module) -> None:
    """Exchange the forward pass of each linear layer that has low-rank adapters beside it."""
    from peft.tuners.lora import LoraLayer

    for layer in adapted.modules():
        if isinstance(layer, LoraLayer) and isinstance(layer.base_layer, nn.Linear):
            layer.forward = MethodType(_forward, layer)


def _forward(layer: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """What is more than the plain sum is left to peft."""
    names = [name for name in layer.active_adapters if name in layer.lora_A]
    is_plain = not (args or kwargs or layer.disable_adapters or layer.merged)
    if not is_plain or not all(_is_simple(layer, name, x) for name in names):
        found: Tensor = type(layer).forward(layer, x, *args, **kwargs)
        return found
    result = layer.base_layer(x)
    summed = result.flatten(0, -2)
    for name in names:
        inner = layer.lora_A[name](layer.lora_dropout[name](x)).flatten(0, -2)
        summed = torch.addmm(summed, inner, layer.lora_B[name].weight.T, alpha=layer.scaling[name])
    return summed.view(result.shape)


def _is_simple(layer: Any, name: str, x: Tensor) -> bool:
    """Whether an adapter is two matrices, in a number format that goes with that of x."""
    if name in layer.lora_variant or layer.lora_bias[name]:
        return False
    kind = x.device.type
    converts = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return converts or layer.lora_A[name].weight.dtype == x.dtype
