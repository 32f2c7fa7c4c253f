"""A device that models run on: its memory, its peaks, and where these numbers stand.

parse(document, DeviceSpec)              # a file `device: my-gpu`, in tasks/devices or in a folder of --include_path
"""

from typing import Literal

from pydantic import Field

from harness.specs.model import Spec


class DeviceSpec(Spec):
    """A GPU, or all processors of a machine together."""

    device: str
    "Name for `--on`."
    kind: Literal["gpu", "cpu"] = "gpu"
    "A GPU has memory of its own beside that of its machine."
    description: str = ""
    "What it is, in a line."
    memory_gib: float = Field(gt=0, lt=1e6, allow_inf_nan=False)
    "Memory in GiB (what vendors call GB of device memory)."
    float32_tflops: float = Field(gt=0, lt=1e6, allow_inf_nan=False)
    "Peak of dense fp32 arithmetic in 10^12 operations a second, without reduced formats such as TF32."
    bfloat16_tflops: float | None = Field(default=None, gt=0, lt=1e6, allow_inf_nan=False)
    "The same of bf16 matrices summed in fp32, without sparsity; left out where the hardware has none: fp32 is computed there."
    float16_tflops: float | None = Field(default=None, gt=0, lt=1e6, allow_inf_nan=False)
    "The same of fp16, where it is not that of bf16."
    bandwidth_gbs: float = Field(gt=0, lt=1e6, allow_inf_nan=False)
    "Memory bandwidth in 10^9 bytes a second."
    cores: int | None = Field(default=None, ge=1, lt=1 << 20)
    "Cores, of processors."
    host_cores: int = Field(default=8, ge=1, lt=1 << 20)
    "Cores of its machine that a process on one GPU is given."
    source: str = Field(min_length=1)
    "Where the numbers stand: a datasheet by its name, or how they were reckoned."
