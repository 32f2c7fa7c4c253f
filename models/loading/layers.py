"""The list of layers in a model, wherever its family keeps it.

owner, name = find_layers(backbone)
layers = getattr(owner, name)
"""

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
