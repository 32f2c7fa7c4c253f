"""Seeds from names: all randomness outside dropout is drawn per (seed, purpose, item), never per process or device.

generator("order", "mnli", 3, seed=1)   # numpy Generator; the same on every machine and in every process
torch.Generator().manual_seed(torch_seed("xnli", seed=1))
"""

import hashlib

import numpy as np


def seed_of(*names: str | int, seed: int) -> int:
    """A 64-bit seed from names and a seed."""
    return _number("\x1f".join(map(str, (seed, *names))))


def torch_seed(name: str, *, seed: int) -> int:
    """A seed of 63 bits, which is what torch takes on every platform: a fresh weight depends on its name and the run's seed."""
    return _number(f"{seed}\0{name}") >> 1


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def generator(*names: str | int, seed: int) -> np.random.Generator:
    """A generator of its own for each purpose."""
    return np.random.Generator(np.random.PCG64(seed_of(*names, seed=seed)))
