"""Arrays on the device of a model.

indices = placed(np.array([3, 1]), outputs.device)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch


def placed(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """An array on a device; nobody waits for the copy to a GPU, as they would with `torch.tensor(..., device=device)`."""
    import torch

    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
