"""What of this machine a stage uses: where files lie, how much of the devices it gets.  Part of no key.

Knobs(path="models/e5", save_every=100)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """What of this machine a stage uses and no key holds: it cannot change a result beyond rounding."""

    path: str | None = None
    "Folder or hub id of the backbone; None where this run makes it."
    revision: str | None = None
    "Commit on the hub."
    checkpoint: str | None = None
    "Folder of a checkpoint of this project that --model names."
    peft: str | None = None
    "Folder of an adapter of peft that --model names; `path` is what it was trained on."
    tokenizer: str | None = None
    "Folder or hub id of the tokenizer, where it is not the backbone's."
    device_map: str | None = None
    "How the model is spread over devices, main memory and disk."
    cpu_memory_gib: float | None = None
    "Main memory for its weights then."
    gpu_memory_gib: float | None = None
    "Memory of each GPU for them."
    engine: Mapping[str, Any] = field(default_factory=dict)
    "How much of the machine the engine gets, or where a server is: fields of EngineArgs in harness/specs/model_args.py."
    save_every: int = 500
    "Training steps between resumable states."
