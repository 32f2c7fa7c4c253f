"""The number format of a training's passes: autocast, and for fp16 the scale that keeps small gradients.

    precision = Precision("bfloat16", device="cuda")
    with precision.autocast(): ...
    precision.scaled(loss).backward(); precision.unscale(optimizer); precision.step(optimizer)

Weights are fp32 throughout.  Autocast decides in one process and in several what is computed in the lower format; a model that is
divided gathers its weights in that format already, so that norms and tables of words are rounded to it as well.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from harness.training.optimizer import TrainingOptimizer


class Precision:
    """Number format and, for fp16, loss scale."""

    def __init__(self, name: str, *, device: str) -> None:
        """`name`: float32 | bfloat16 | float16."""
        import torch

        self.name = name
        self._kind = torch.device(device).type
        self._scaler = torch.amp.GradScaler(self._kind) if name == "float16" else None

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Within it products are computed in this format."""
        import torch

        if self.name == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self._kind, dtype=getattr(torch, self.name))

    def scaled(self, loss: torch.Tensor) -> torch.Tensor:
        """The loss to go backward from."""
        return loss if self._scaler is None else self._scaler.scale(loss)

    def unscale(self, optimizer: TrainingOptimizer) -> None:
        """Take the scale out of the gradients."""
        optimizer.take_gradients()
        if self._scaler is not None:
            self._scaler.unscale_(optimizer.inner)

    def step(self, optimizer: TrainingOptimizer) -> None:
        """Step, unless fp16 gradients have overflowed."""
        if self._scaler is None:
            optimizer.step()
        else:
            self._scaler.step(optimizer.inner)
            self._scaler.update()

    def facts(self) -> dict[str, Any]:
        """What a resumed run must know; empty but for fp16."""
        return {} if self._scaler is None else self._scaler.state_dict()

    def go_on(self, facts: dict[str, Any]) -> None:
        """Take over what a run before had."""
        if self._scaler is not None and facts:
            self._scaler.load_state_dict(facts)
