"""What this machine can do: device, bfloat16, batch budgets.  torch is imported when a question is asked.

machine = Machine(place=place)
machine.dtype("auto")           # 'bfloat16' where the hardware multiplies it, else 'float32'
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.hardware import computes_bfloat16
from harness.api.protocols import Json
from harness.runtime.processes import num_ranks
from harness.runtime.repeatability import is_repeatable

if TYPE_CHECKING:
    from harness.data.locations import DataPlace

CPU_PREDICT_TOKENS = 4096
CPU_TRAIN_TOKENS = 1024
GPU_TOKENS_PER_GIB = 4096


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Knobs of this machine: none of them is part of a stage's key."""

    place: DataPlace
    "Where datasets lie."
    device_name: str | None = None
    "cpu, cuda, cuda:1, mps; None = the best there is."
    batch_tokens: int | None = None
    "Padded tokens per forward pass; None = by the device.  Halved by itself when memory runs out."
    save_every: int | None = None
    "Training steps between resumable states; None = as the recipe says."
    keep: str = "best"
    "Which checkpoints stay on disk: none | best | all."
    progress: bool = True
    "Progress bars on stderr."
    repeatable: bool = True
    "Ordered kernels: the same run again gives the same bytes on the same device (runtime/repeatability.py)."
    task_folders: Mapping[str, Path] = field(default_factory=dict)
    "Task -> folder of its YAML file, beside which local files are looked for."
    found: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    "Budgets found while running (after running out of memory)."

    @cached_property
    def device(self) -> str:
        """The device that models run on."""
        import torch

        if self.device_name:
            return self.device_name
        if torch.cuda.is_available():
            local = os.environ.get("LOCAL_RANK")  # torchrun: one device for each process
            return "cuda" if local is None else f"cuda:{local}"
        return "mps" if torch.backends.mps.is_available() else "cpu"

    def dtype(self, wanted: str) -> str:
        """`auto` settled for this machine."""
        return wanted if wanted != "auto" else "bfloat16" if computes_bfloat16(self.device) else "float32"

    def arithmetic(self, wanted: str) -> dict[str, Json]:
        """What decides how results are rounded and is in no key.

        Device, dtype (of `auto`, say), threads of a CPU, processes, whether sums have a fixed order.
        """
        import torch

        name = torch.cuda.get_device_name(self.device) if self.device.startswith("cuda") else self.device
        threads = torch.get_num_threads() if self.device == "cpu" else None
        return {
            "device": name,
            "dtype": self.dtype(wanted),
            "threads": threads,
            "processes": num_ranks(),
            "repeatable": is_repeatable(self.device, wanted=self.repeatable),
        }

    def budget(self, *, train: bool) -> int:
        """Padded tokens per forward pass."""
        import torch

        name = "train" if train else "predict"
        if name not in self.found:
            tokens = CPU_TRAIN_TOKENS if train else CPU_PREDICT_TOKENS
            if self.device.startswith("cuda"):
                gib = torch.cuda.get_device_properties(self.device).total_memory / 2**30
                tokens = int(gib * GPU_TOKENS_PER_GIB / (4 if train else 1))
            self.found[name] = self.batch_tokens or tokens
        return int(self.found[name])

    def halve_training(self) -> None:
        """Train with half the budget from now on: memory ran out."""
        self.found["train"] = max(1, self.budget(train=True) // 2)

    def fits(self, tokens: int) -> bool:
        """Whether a forward pass over so many padded tokens may fit, as far as is known."""
        return tokens <= int(self.found.get("too much", tokens + 1)) - 1

    def remember_too_much(self, tokens: int) -> None:
        """A forward pass over so many padded tokens ran out of memory: more than half of it is not tried again."""
        self.found["too much"] = tokens // 2 + 1
