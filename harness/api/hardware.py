"""What a device computes in its own instructions.

computes_bfloat16("cuda:0")     # True on an A100, False on a V100 or T4
"""


def computes_bfloat16(device: str) -> bool:
    """Whether a device (a name of torch) multiplies bfloat16 in hardware; emulation is slower than float32 and does not count."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    checks = (torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported)
    return kind == "cpu" and any(check() for check in checks)
