"""Finds the weights a stage starts from and loads the adapter that holds them.

adapter = load_adapter(stage, root=root, machine=machine, heads={"mnli": head}, labels={"mnli": ("no", "yes")})
"""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from harness.api.model_source import EngineHost, ModelSource
from harness.api.protocols import Adapter, HeadSpec
from harness.api.registry import ADAPTERS
from harness.runtime.arguments import InitArguments, PredictArguments, TrainArguments
from harness.runtime.engines import SERVER, versions, vllm_python
from harness.runtime.heap import settle_heap
from harness.runtime.machine import Machine
from harness.runtime.repeatability import make_repeatable
from harness.runtime.stages import AnyStage, Stage

ModelStage: TypeAlias = Stage[TrainArguments] | Stage[PredictArguments]
"A stage that loads a model."


def checkpoint_of(stage: AnyStage, root: Path) -> Path | None:
    """The checkpoint folder of the training stage that a stage starts from; None if it starts from the backbone."""
    trained = [parent for parent in stage.inputs if isinstance(parent.args, TrainArguments)]
    return trained[0].folder(root) / "checkpoint" if trained else None


def _made_here(stage: AnyStage, root: Path) -> Path | None:
    """The backbone folder of the init stage above a stage, for backbones trained from random weights."""
    for parent in stage.inputs:
        found = parent.folder(root) / "backbone" if isinstance(parent.args, InitArguments) else _made_here(parent, root)
        if found:
            return found
    return None


def model_source(stage: ModelStage, *, root: Path, machine: Machine, labels: Mapping[str, Sequence[str]]) -> ModelSource:
    """What an adapter loads for a stage: its `model` arguments, with the paths of this machine."""
    model, knobs = stage.args.model, stage.knobs
    base = _made_here(stage, root)
    checkpoint = checkpoint_of(stage, root) or knobs.checkpoint
    trains = isinstance(stage.args, TrainArguments)
    wanted = stage.args.hyper_parameters.precision if isinstance(stage.args, TrainArguments) else model.dtype
    return ModelSource(
        path=str(base or knobs.path),
        revision=None if base else knobs.revision,
        adapter=model.adapter,
        dtype=machine.dtype(wanted),
        attn_implementation=model.attn_implementation,
        device_map=knobs.device_map,
        cpu_memory_gib=knobs.cpu_memory_gib,
        gpu_memory_gib=knobs.gpu_memory_gib,
        checkpoint=str(checkpoint) if checkpoint else None,
        peft=knobs.peft,
        tokenizer=knobs.tokenizer,
        trust_remote_code=model.trust_remote_code,
        extra=model.extra,
        head_labels=labels,
        empty=trains and machine.sharding == "full" and machine.shares_model,
        engine=None if trains or model.engine is None else _engine_host(stage, model.engine, root=root),
    )


def _engine_host(stage: ModelStage, engine: str, *, root: Path) -> EngineHost:
    """What an engine must know of this machine."""
    if engine == SERVER:
        return EngineHost(python="", versions={}, log="", share=stage.knobs.engine)
    python = vllm_python()
    log = root / "logs" / f"{engine}-{stage.key}.log"
    log.unlink(missing_ok=True)
    return EngineHost(python=python, versions=versions(python), log=str(log), share=stage.knobs.engine)


def load_adapter(
    stage: ModelStage,
    *,
    root: Path,
    machine: Machine,
    heads: Mapping[str, HeadSpec],
    labels: Mapping[str, Sequence[str]],
    keep_heads: Mapping[str, str] | None = None,
) -> Adapter:
    """Load the adapter of a stage with the named heads: those in keep_heads (name -> name in the checkpoint) as they are.

    The others are fresh.

    `labels` gives the label names of each head in the order of its outputs, for adapters that map a head made elsewhere.
    """
    make_repeatable(machine.device, wanted=machine.repeatable)
    trains = isinstance(stage.args, TrainArguments)
    settle_heap(trains=trains)
    source = model_source(stage, root=root, machine=machine, labels=labels)
    module = importlib.import_module(f"models.{stage.args.model.engine}") if source.engine else ADAPTERS.load(source.adapter)
    seed = stage.args.seed if isinstance(stage.args, TrainArguments) else 0
    adapter: Adapter = module.load(
        source, heads=heads, keep_heads=keep_heads or {}, device=machine.device, seed=seed, inference=not trains
    )
    return adapter
