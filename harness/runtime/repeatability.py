"""Makes torch compute the same bytes each time on the same machine: a run that is made again is the same run.

make_repeatable("cuda", wanted=True)    # before the first model is on the device
told = unrepeatable(error)              # words for an error of torch, or None if it is another error

What it fixes on CUDA: sums by atomic additions (backward passes of attention, embeddings, gather) take their ordered kernels;
cuBLAS keeps one workspace, without which it may split a sum otherwise (NVIDIA's documentation of cuBLAS, "Results
reproducibility"); attention takes its kernel from a list without cuDNN's, whose backward pass has no ordered form, so that
training and prediction take the same one.  On a CPU the same rule holds for scattered sums of several threads.
"""

import os

from harness.api.errors import UserError

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"cuBLAS reads it when it makes its first handle."
ORDERED_WORKSPACE = ":4096:8"
"Eight buffers of 4 MiB: the larger of the two settings that cuBLAS documents as reproducible."
REFUSAL = "does not have a deterministic implementation"
"How torch says that an operation has no ordered kernel on this device."


def make_repeatable(device: str, *, wanted: bool) -> None:
    """Choose ordered kernels for everything that this process computes from now on, or (not wanted) the fastest ones."""
    import torch

    if wanted and device.startswith("cuda"):
        os.environ.setdefault(WORKSPACE, ORDERED_WORKSPACE)
    # What `use_deterministic_algorithms` sets, without the settings of torch's compiler, which is not used here.
    torch.set_deterministic_debug_mode("error" if is_repeatable(device, wanted=wanted) else "default")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # for debugging, and it costs time
    torch.backends.cudnn.benchmark = False  # trials choose by time, and time differs from run to run
    torch.backends.cuda.enable_cudnn_sdp(not wanted)


def is_repeatable(device: str, *, wanted: bool) -> bool:
    """Whether equal runs on the device give equal bytes; nobody promises it of Apple's."""
    return wanted and not device.startswith("mps")


def unrepeatable(error: BaseException) -> UserError | None:
    """What to say where an operation of the model has no ordered kernel; None if the error is another."""
    if not isinstance(error, RuntimeError) or REFUSAL not in str(error):
        return None
    return UserError(
        f"an operation of this model cannot be computed repeatably here: {str(error).split(REFUSAL)[0].strip()}",
        todo="--unrepeatable lets it vary from run to run in the last bits; the board says so",
    )
