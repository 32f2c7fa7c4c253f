"""What a plan costs on a device: each stage's memory by part, arithmetic, hours; and rows, steps and disk.

costing = costing_of(plan, machine=machine, device=device)
numbers = estimate(plan, root=root, machine=machine, device=device)
numbers.stages[stage.key].memory.total, numbers.stages[stage.key].seconds
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from harness.api.registry import ADAPTERS, TASK_TYPES
from harness.planning.costs.activations import BYTES
from harness.planning.costs.architectures import shape_of
from harness.planning.costs.calibration import calibration_of
from harness.planning.costs.devices import Device
from harness.planning.costs.flops import forward_flops, training_flops
from harness.planning.costs.loads import Loads, StageLoad
from harness.planning.costs.memory import AnswerLoad, Layout, MemoryParts, TrainingLoad, answer_memory, training_memory
from harness.planning.costs.rows import TrainingCost, num_test_rows, training_cost
from harness.planning.costs.shapes import ModelShape
from harness.planning.costs.speeds import OPTIMIZER_BYTES, TABLE_BYTES, Speed, speed_of
from harness.planning.costs.words import gib
from harness.planning.plan import Plan
from harness.runtime.arguments import PredictArguments, TrainArguments
from harness.runtime.engines import DEFAULT
from harness.runtime.machine import Machine
from harness.runtime.processes import announced_processes
from harness.runtime.stages import AnyStage, Stage
from harness.specs.limit import num_taken

LOW_RANK_SHARE = 100
"Low-rank adapters and heads are about so many times smaller than the model."
STATES = 6
"Times a checkpoint that a training has on the disk while it runs: two states of three parts each."
VLLM_SHARE = 0.9
"Share of a device's memory that vLLM takes where --model_args do not say."


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """What one stage takes."""

    verb: str
    memory: MemoryParts
    least: MemoryParts
    "With the smallest batch that there can be: what a device must have in any case."
    precision: str
    flops: float | None
    "None where rows are not here."
    seconds: float | None
    "On one device."
    tokens: float | None
    "With padding; of a training over all its steps."
    is_measured: bool
    "Whether lengths were counted in rows."
    is_spread: bool = False
    "Layers lie on several devices or outside of memory (device_map), or an engine takes its share: it is refused by none."


@dataclass(kw_only=True)
class Costing:
    """Reckons the stages of a plan on one device."""

    loads: Loads
    device: Device
    _speeds: dict[str, Speed] = field(default_factory=dict)

    @property
    def shape(self) -> ModelShape:
        """The backbone's."""
        return self.loads.shape

    @property
    def layout(self) -> Layout:
        """How trainings lie on devices."""
        return self.loads.layout

    def speed(self, precision: str) -> Speed:
        """How fast the device is in a precision."""
        if precision not in self._speeds:
            known = self.calibration
            self._speeds[precision] = speed_of(self.device, precision=precision, calibration=known)
        return self._speeds[precision]

    @cached_property
    def calibration(self) -> Mapping[str, object] | None:
        """Of the device, where it is here and was calibrated."""
        return calibration_of(self.device)

    def stage(self, stage: AnyStage) -> StageCost | None:
        """The cost of a training or prediction; None of other stages, which take next to nothing."""
        if isinstance(stage.args, TrainArguments):
            return self.training(stage)
        if isinstance(stage.args, PredictArguments) and stage.args.model.adapter != "fake":
            return self.prediction(stage)
        return None

    def training(self, stage: Stage[TrainArguments]) -> StageCost:
        """A training: gradients and the optimizer's step included."""
        load = self.loads.training(stage)
        assert isinstance(load.memory, TrainingLoad)
        assert isinstance(load.least, TrainingLoad)
        memory = training_memory(self.shape, load.memory, layout=self.layout)
        least = training_memory(self.shape, load.least, layout=self.layout)
        how, flops, seconds = load.memory.how, None, None
        if load.batch is not None:
            flops = training_flops(self.shape, load.batch, how)
            moved = OPTIMIZER_BYTES * load.memory.trained(self.shape) * load.steps
            if not (load.memory.frozen_tables or load.memory.lora_parameters):
                moved += TABLE_BYTES * (self.shape.tables - load.memory.idle(self.shape)) * load.batch.passes
            seconds = self._seconds(flops, how.precision, training=True, moved=moved, checkpointing=how.checkpointing)
        return _cost(load, memory, least, verb="train", precision=how.precision, work=(flops, seconds))

    def prediction(self, stage: Stage[PredictArguments]) -> StageCost:
        """The predictions of a cell."""
        load = self.loads.prediction(stage)
        assert isinstance(load.memory, AnswerLoad)
        assert isinstance(load.least, AnswerLoad)
        memory, least = (answer_memory(self.shape, one) for one in (load.memory, load.least))
        precision, flops, seconds = load.memory.precision, None, None
        if load.batch is not None:
            flops = forward_flops(self.shape, load.batch)
            weights = BYTES[precision] * self.shape.parameters
            # Text is written token by token: each pass reads all weights and what is kept, whatever it computes.
            moved = load.batch.passes * (weights + load.written * (weights + memory.kv_cache / 2))
            seconds = self._seconds(flops, precision, training=False, moved=moved)
        spread = bool(stage.knobs.device_map) or stage.args.model.engine is not None
        if stage.args.model.engine is not None:
            share = float(stage.knobs.engine.get("gpu_memory_utilization") or VLLM_SHARE)
            taken = int(share * self.device.memory) if self.device.spec.kind == "gpu" else memory.total
            rest = max(0, taken - memory.weights - memory.activations - memory.workspace)
            memory = MemoryParts(
                weights=memory.weights, activations=memory.activations, kv_cache=rest, workspace=memory.workspace
            )
        found = _cost(load, memory, least, verb="predict", precision=precision, work=(flops, seconds))
        return replace(found, is_spread=spread)

    def _seconds(self, flops: float, precision: str, *, training: bool, moved: float, checkpointing: bool = False) -> float:
        speed = self.speed(precision)
        return flops / speed.rate(self.shape.hidden, training=training, checkpointing=checkpointing) + moved / speed.bandwidth


def _cost(
    load: StageLoad,
    memory: MemoryParts,
    least: MemoryParts,
    *,
    verb: str,
    precision: str,
    work: tuple[float | None, float | None],
) -> StageCost:
    return StageCost(
        verb=verb,
        memory=memory,
        least=least,
        precision=precision,
        flops=work[0],
        seconds=work[1],
        tokens=load.batch.tokens if load.batch else None,
        is_measured=load.is_measured,
    )


def costing_of(
    plan: Plan, *, machine: Machine, device: Device, layout: Layout | None = None, counts: bool = True
) -> Costing | None:
    """What reckons a plan's stages on a device; None where nothing is known of the backbone's sizes.

    `counts` = False reads no rows: memory alone is known then.
    """
    backbone = plan.backbone
    if backbone.is_fake or backbone.engine.is_remote:
        return None
    causal = bool(ADAPTERS.constant(backbone.adapter, "CAUSAL"))
    kind = {"architecture": backbone.preset.spec.architecture} if backbone.preset else {}
    shape = shape_of(backbone.config, facts={**backbone.facts, **kind}, causal=causal)
    if shape is None:
        return None
    layout = layout or layout_of(machine, device)
    loads = Loads(plan=plan, shape=shape, device=device, machine=machine, layout=layout, counts=counts)
    return Costing(loads=loads, device=device)


def layout_of(machine: Machine, device: Device) -> Layout:
    """How the machine's knobs lay a training over devices: sharded, it takes all of them, else it has the processes of now."""
    full = machine.sharding == "full"
    return Layout(
        processes=device.count if full else announced_processes(),
        sharding="full" if full else "none",
        offload="cpu" if machine.offload == "cpu" else "none",
    )


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The costs of a plan."""

    training: Mapping[str, TrainingCost]
    "By stage key."
    test_rows: Mapping[str, int | None]
    "By task: test rows of all languages asked for."
    stages: Mapping[str, StageCost]
    "By stage key: trainings and predictions, where the backbone's sizes are known."
    device: Device
    layout: Layout
    shape: ModelShape | None
    sources: tuple[str, ...]
    "Where its speeds come from."
    notes: tuple[str, ...]
    "Disk, pitfalls: sentences."


def estimate(plan: Plan, *, root: Path, machine: Machine, device: Device) -> Estimate:
    """Costs of the stages of a plan; numbers of rows and tokens are kept in the user's cache folder."""
    costing = costing_of(plan, machine=machine, device=device)
    training: dict[str, TrainingCost] = {}
    test_rows: dict[str, int | None] = {}
    stages: dict[str, StageCost] = {}
    counted: set[tuple[str, str]] = set()
    for stage in plan.stages:
        args = stage.args
        if isinstance(args, TrainArguments):
            training[stage.key] = training_cost(args, machine)
        if isinstance(args, PredictArguments) and (args.task, args.lang) not in counted:
            counted.add((args.task, args.lang))
            rows = num_test_rows(stage, machine)
            so_far = test_rows.setdefault(args.task, 0)
            taken = num_taken(args.limit, of=rows) if rows is not None and args.limit else rows
            test_rows[args.task] = None if taken is None or so_far is None else so_far + taken
        if costing and (cost := costing.stage(stage)):
            stages[stage.key] = cost
    sources = dict.fromkeys(costing.speed(cost.precision).source for cost in stages.values()) if costing else {}
    return Estimate(
        training=training,
        test_rows=test_rows,
        stages=stages,
        device=device,
        layout=costing.layout if costing else Layout(),
        shape=costing.shape if costing else None,
        sources=tuple(sources),
        notes=tuple(_notes(plan, root, machine)),
    )


def checkpoint_bytes(plan: Plan) -> float | None:
    """Bytes of the disk for one checkpoint; None where the backbone's size is not known."""
    total = plan.backbone.facts.get("parameters")
    if not total:
        return None
    return float(4 * total / LOW_RANK_SHARE if "lora" in plan.backbone.arguments.extra else 4 * total)


def _notes(plan: Plan, root: Path, machine: Machine) -> list[str]:
    """Disk, and what goes wrong with the model."""
    facts = plan.backbone.facts
    checkpoint = checkpoint_bytes(plan)
    trainings = [stage for stage in plan.stages if isinstance(stage.args, TrainArguments)]
    notes = []
    if checkpoint and "lora" in plan.backbone.arguments.extra and trainings:
        notes.append("disk: checkpoints are low-rank adapters and heads, about a hundredth of the model each")
    elif checkpoint and trainings:
        left = [stage for stage in trainings if not stage.is_done(root)]
        kept = 0 if machine.keep == "none" else len(left) * checkpoint
        notes.append(
            f"disk: {gib(kept)} of checkpoints stay (--keep {machine.keep}), {gib(checkpoint * STATES)} more while one trains"
        )
    elif checkpoint:
        notes.append("disk: no checkpoints are written")
    for task in plan.tasks.values():
        module = TASK_TYPES.load(task.spec.type)
        note = module.plan_note(task.spec, dimension=facts.get("hidden_size"), limit=plan.request.limit)
        notes += [note] if note else []
    engine = plan.backbone.engine
    if engine.is_remote:
        notes.append(f"{engine.name}: nothing of the model is computed here")
    elif engine.name != DEFAULT:
        share = engine.knobs.get("gpu_memory_utilization") or VLLM_SHARE
        notes.append(
            f"{engine.name} takes {share:.0%} of a GPU's memory, whatever it needs: what is left of it holds keys and values"
        )
    notes += [f"note on {plan.backbone.name}: {pitfall}" for pitfall in facts.get("pitfalls", [])]
    return notes
