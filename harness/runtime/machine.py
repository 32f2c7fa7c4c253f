"""What this machine can do: device, bfloat16, batch budgets.  torch is imported when a question is asked.

machine = Machine(place=place)
machine.dtype("auto")           # 'bfloat16' where the hardware multiplies it, else 'float32'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.hardware import computes_bfloat16
from harness.api.own_modules import OwnModule
from harness.api.protocols import Json
from harness.api.registry import METRICS
from harness.runtime.budget import device_tokens
from harness.runtime.processes import announced_processes, local_rank, num_ranks
from harness.runtime.repeatability import is_repeatable

if TYPE_CHECKING:
    from harness.data.locations import DataPlace

CPU_PREDICT_TOKENS = 4096
CPU_TRAIN_TOKENS = 1024
CPU_STREAMED_TOKENS = 8192
"Where weights are read from the disk for every batch: a pass should take longer than that."


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Knobs of this machine: none of them is part of a stage's key."""

    place: DataPlace
    "Where datasets lie."
    device_name: str | None = None
    "cpu, cuda, cuda:1, mps; None = the best there is."
    batch_tokens: int | None = None
    "Tokens per forward pass, with the padding that is computed; None = by the device.  Halved by itself when memory runs out."
    device_memory: int | None = None
    "Bytes of the memory of a GPU, all in all; None = as it says."
    save_every: int | None = None
    "Training steps between resumable states; None = as the recipe says."
    keep: str = "best"
    "Which checkpoints stay on disk: none | best | all."
    sharding: str = "none"
    """What several processes do in training: none = each holds the whole model, full = each holds a part of every weight,
    gradient and moment (FSDP)."""
    offload: str = "none"
    "cpu = weights, gradients and moments of a sharded training lie in main memory and visit the device; or none."
    retry_in_float32: bool = False
    "A training in fewer bits whose loss is no number begins again in fp32; its facts and the board say so."
    trackers: tuple[str, ...] = ()
    "What shows losses and scores besides the log of a training (harness/training/trackers.py)."
    progress: bool = True
    "Progress bars on stderr."
    repeatable: bool = True
    "Ordered kernels: the same run again gives the same bytes on the same device (runtime/repeatability.py)."
    lookahead: bool = True
    """Batches are made ready, and answers written, in threads beside the device that computes, and those of a training before the
    loss of a step is looked at; the results are the same without."""
    word_rows: bool = True
    """Of a large table of words a training trains the rows that its own rows look up (training/word_rows.py); the results are the
    same without, but for the order of sums."""
    task_folders: Mapping[str, Path] = field(default_factory=dict)
    "Task -> folder of its YAML file, beside which local files are looked for."
    own_metrics: tuple[OwnModule, ...] = ()
    "Metrics of the user's own: a process that has read no catalog finds them here (`metrics_at_hand`)."

    def metrics_at_hand(self) -> None:
        """Tell this process of the user's own metrics, where it does not know them."""
        known = METRICS.own()
        if any(known.get(own.name) != own for own in self.own_metrics):
            METRICS.put_own([*({**known, **{own.name: own for own in self.own_metrics}}.values())])

    @cached_property
    def device(self) -> str:
        """The device that models run on."""
        import torch

        if self.device_name:
            return self.device_name
        if torch.cuda.is_available():
            return "cuda" if announced_processes() == 1 else f"cuda:{local_rank()}"
        return "mps" if torch.backends.mps.is_available() else "cpu"

    @property
    def shares_model(self) -> bool:
        """Whether a trained model is divided: among processes, or between main memory and the device."""
        return num_ranks() > 1 or self.offload == "cpu"

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

    def training_arithmetic(self, wanted: str) -> dict[str, Json]:
        """The same of a training: besides, how its processes share the model."""
        return {**self.arithmetic(wanted), "sharding": self.sharding, "offload": self.offload}

    def tokens(self, *, train: bool, weights: int = 0, model: int = 0, streamed: bool = False) -> int:
        """Tokens per forward pass (as `batch_tokens`), where weights take so many bytes; never by what is free just now.

        `model`: bytes of the whole model, where the device has a part of its weights.  `streamed`: weights are brought to where
        they are computed with for every batch.
        """
        import torch

        if self.batch_tokens:
            return self.batch_tokens
        if not self.device.startswith("cuda"):
            return CPU_TRAIN_TOKENS if train else CPU_STREAMED_TOKENS if streamed else CPU_PREDICT_TOKENS
        memory = self.device_memory or torch.cuda.get_device_properties(self.device).total_memory
        return device_tokens(memory, weights=weights, train=train, model=model)
