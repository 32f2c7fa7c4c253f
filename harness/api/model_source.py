"""What an adapter is told to load, and what an engine in its place must know of this machine.

source = ModelSource(path="models/e5", adapter="encoder", dtype="bfloat16")
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class EngineHost:
    """What an engine that answers in an adapter's place must know of this machine."""

    python: str
    "Interpreter that has it; empty for a server."
    versions: Mapping[str, str]
    "Package -> version in that interpreter's environment."
    log: str
    "File for what it prints."
    share: Mapping[str, Any] = field(default_factory=dict)
    "How much of the machine it gets, or where a server is: fields of EngineArgs in harness/specs/model_args.py."


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """Where an adapter loads from: everything a stage knows of a model."""

    path: str
    "Hub id or local folder of the backbone."
    revision: str | None = None
    adapter: str = "encoder"
    dtype: str = "auto"
    """float32 | bfloat16 | float16 | auto (bfloat16 where the hardware has it) for inference, and for what LoRA leaves as it is;
    what is trained is fp32."""
    attn_implementation: str = "sdpa"
    device_map: str | None = None
    "How a model is spread over devices, main memory and disk; None = it lies on one device."
    cpu_memory_gib: float | None = None
    "Main memory for weights under a device_map; None = most of what is free."
    gpu_memory_gib: float | None = None
    "Memory of each GPU for weights under a device_map; None = most of it."
    checkpoint: str | None = None
    "Folder of one of our checkpoints whose backbone weights (and heads, if asked) replace those of `path`."
    peft: str | None = None
    "Folder of an adapter that peft has trained elsewhere on `path`, where no checkpoint is named."
    tokenizer: str | None = None
    "Folder or id of the tokenizer where it is not that of `path`."
    trust_remote_code: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    "Adapter-specific keys of the preset (e.g. tokenizer_class, encoder_half)."
    head_labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    "Head -> its label names in the order of its outputs, for adapters that map a head made elsewhere."
    empty: bool = False
    "For training: the backbone's parameters are only described (meta device) until `read_weights`, when processes share them."
    engine: EngineHost | None = None
    "Where the engine runs that answers in the adapter's place; None = transformers, in this process."
