"""Whether a device is here, and what it computes in its own instructions.

check_device("cuda:7")          # UserError where there are not so many; for `cpu` torch is not even imported
computes_bfloat16("cuda:0")     # True on an A100, False on a V100 or T4
"""

import re

from harness.api.errors import UserError

DEVICE = re.compile(r"cpu|mps|cuda(:(?P<number>\d{1,4}))?", re.ASCII)


def computes_bfloat16(device: str) -> bool:
    """Whether a device (a name of torch) multiplies bfloat16 in hardware; emulation is slower than float32 and does not count."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    checks = (torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported)
    return kind == "cpu" and any(check() for check in checks)


def check_device(name: str, *, where: str = "--device") -> None:
    """UserError for what is no name of a device, or names one that this machine does not have."""
    match = DEVICE.fullmatch(name)
    if match is None:
        raise UserError("no such device", where=where, expected="cpu, cuda, cuda:0, cuda:1, ... or mps", found=repr(name)[:80])
    if name == "cpu":
        return
    import torch

    if name == "mps":
        if not torch.backends.mps.is_available():
            raise UserError("there is no MPS device here", where=where, found=name, todo="leave --device out, or --device cpu")
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(match["number"] or 0) >= count:
        here = ", ".join(f"cuda:{number}" for number in range(count)) or "no CUDA device that torch can use"
        todo = f"--device cuda:{count - 1}" if count else "leave --device out, or --device cpu"
        raise UserError("there is no such CUDA device", where=where, expected=f"what is here: {here}", found=name, todo=todo)
