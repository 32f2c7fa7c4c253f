"""What an optimizer trains, at which rate.

freeze(module, training)
optimizer = torch.optim.AdamW(parameter_groups(module, training))
factor = rate_factor(training, total_steps=1000)      # factor(step): share of the peak rate
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.specs.recipe import Training

if TYPE_CHECKING:
    import torch


def freeze(module: torch.nn.Module, training: Training) -> None:
    """Hold still the tables of words, positions and types, if asked."""
    import torch

    if training.freeze == "embeddings":
        for table in module.modules():
            if isinstance(table, torch.nn.Embedding):
                table.requires_grad_(False)


def parameter_groups(module: torch.nn.Module, training: Training) -> list[dict[str, Any]]:
    """Weights with and without decay (biases and norms are vectors), fresh heads with their own rate."""
    groups: dict[tuple[bool, bool], list[Any]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((parameter.ndim > 1, name.startswith("heads.")), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": training.weight_decay if decays else 0.0,
            "lr": (training.head_learning_rate or training.learning_rate) if in_head else training.learning_rate,
        }
        for (decays, in_head), parameters in sorted(groups.items())
    ]


def rate_factor(training: Training, *, total_steps: int) -> Callable[[int], float]:
    """Factor of the learning rate at a step: linear warmup, then linear decay to 0 or constant."""
    warmup = training.warmup_steps if training.warmup_steps is not None else math.ceil(training.warmup_ratio * total_steps)

    def factor(step: int) -> float:
        if step < warmup:
            return step / max(1, warmup)
        if training.schedule == "constant":
            return 1.0
        return max(0.0, (total_steps - step) / max(1, total_steps - warmup))

    return factor
