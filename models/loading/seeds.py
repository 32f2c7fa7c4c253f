"""Seeds of torch's generators from names, so that a fresh weight depends on nothing but its name and the run's seed.

torch.Generator().manual_seed(torch_seed("xnli", seed=1))
"""

import hashlib


def torch_seed(name: str, *, seed: int) -> int:
    """A seed of 63 bits, which is what torch takes on every platform."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:8], "big") >> 1
