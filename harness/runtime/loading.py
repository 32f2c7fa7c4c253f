"""Finds the weights a stage starts from and loads the adapter that holds them.

adapter = load_adapter(stage, root=root, machine=machine, heads={"mnli": head}, keep_heads={"mnli": "mnli"})
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.api.protocols import Adapter, HeadSpec, ModelSource
from harness.api.registry import ADAPTERS
from harness.runtime.engines import versions, vllm_python
from harness.runtime.machine import Machine
from harness.runtime.stages import Stage


def checkpoint_of(stage: Stage, root: Path) -> Path | None:
    """The checkpoint folder of the training stage that a stage starts from; None if it starts from the backbone."""
    trained = [parent for parent in stage.inputs if parent.verb == "train"]
    return trained[0].folder(root) / "checkpoint" if trained else None


def has_weights(stage: Stage, root: Path) -> bool:
    """Whether a finished training stage still has its checkpoint (see --keep)."""
    return stage.verb != "train" or (stage.folder(root) / "checkpoint").is_dir()


def _made_here(stage: Stage, root: Path) -> Path | None:
    """The backbone folder of the init stage above a stage, for backbones trained from random weights."""
    for parent in stage.inputs:
        found = parent.folder(root) / "backbone" if parent.verb == "init" else _made_here(parent, root)
        if found:
            return found
    return None


def model_source(stage: Stage, *, root: Path, machine: Machine, labels: Mapping[str, Sequence[str]]) -> ModelSource:
    """What an adapter loads for a stage: its `model` arguments, with the paths of this machine."""
    model = stage.args["model"]
    base = _made_here(stage, root)
    checkpoint = checkpoint_of(stage, root) or stage.knobs.get("checkpoint")
    return ModelSource(
        path=str(base or stage.knobs["path"]),
        revision=None if base else stage.knobs.get("revision"),
        adapter=model["adapter"],
        dtype=machine.dtype(model.get("dtype") or stage.args.get("training", {}).get("precision", "auto")),
        attn_implementation=model.get("attn_implementation", "sdpa"),
        device_map=stage.knobs.get("device_map"),
        checkpoint=str(checkpoint) if checkpoint else None,
        tokenizer=stage.knobs.get("tokenizer"),
        trust_remote_code=model.get("trust_remote_code", False),
        extra={**model.get("extra", {}), "task_labels": labels},
    )


def _engine_knobs(stage: Stage, engine: str, *, root: Path) -> dict[str, Any]:
    """What an engine must know of this machine: its interpreter, its share of the devices, the file for what it prints."""
    python = vllm_python()
    log = root / "logs" / f"{engine}-{stage.key}.log"
    log.unlink(missing_ok=True)
    return {**stage.knobs.get(engine, {}), "python": python, "versions": versions(python), "log": str(log)}


def load_adapter(
    stage: Stage,
    *,
    root: Path,
    machine: Machine,
    heads: Mapping[str, HeadSpec],
    labels: Mapping[str, Sequence[str]],
    keep_heads: Mapping[str, str] | None = None,
    inference: bool,
) -> Adapter:
    """Load the adapter of a stage with the named heads: those in keep_heads (name -> name in the checkpoint) as they are.

    The others are fresh.

    `labels` gives the label names of each head in the order of its outputs, for adapters that map a head made elsewhere.
    """
    source = model_source(stage, root=root, machine=machine, labels=labels)
    engine = stage.args["model"].get("engine")
    if engine:  # written to predictions only: training is never theirs
        source = replace(source, extra={**source.extra, engine: _engine_knobs(stage, engine, root=root)})
    module = importlib.import_module(f"models.{engine}") if engine else ADAPTERS.load(source.adapter)
    seed = int(stage.args.get("seed", 0))
    adapter: Adapter = module.load(
        source, heads=heads, keep_heads=keep_heads or {}, device=machine.device, seed=seed, inference=inference
    )
    return adapter
