"""The loss of every type whose labels are one a token.

total = token_loss(outputs, batch)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api.protocols import Batch

if TYPE_CHECKING:
    import torch

IGNORED = -100
"The label of a token that is not to be predicted."


def token_loss(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Cross-entropy summed over the labelled tokens; outputs [B, T, V], or [M, V] of the M labelled ones in their order."""
    from torch.nn.functional import cross_entropy

    assert batch.labels is not None
    labels = batch.labels.flatten()
    if outputs.dim() == 2:
        assert batch.targets is not None
        labels = labels.index_select(0, batch.targets)
    return cross_entropy(outputs.float().flatten(0, -2), labels, ignore_index=IGNORED, reduction="sum")
