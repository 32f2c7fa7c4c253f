"""The list of layers in a model, wherever its family keeps it; and another function in place of a module's own for a while.

owner, name = find_layers(backbone)
layers = getattr(owner, name)
with replaced_forward(layers[-1], forward): ...
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from harness.api.errors import UserError


def find_layers(backbone: PreTrainedModel) -> tuple[nn.Module, str]:
    """The module that holds the list of layers, and the list's name in it."""
    num_layers = backbone.config.num_hidden_layers
    for owner in backbone.modules():
        for name, child in owner.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == num_layers:
                return owner, name
    raise UserError(f"cannot find the layers of {type(backbone).__name__}", expected=f"a list of {num_layers} modules")


@contextmanager
def replaced_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Let a module compute something else; afterwards it is as it was."""
    own = vars(module).get("forward")  # there where weights are spread over devices
    module.forward = forward
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own
