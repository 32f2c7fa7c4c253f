"""What a plan costs: rows, steps, device memory and disk, before anything is loaded.

numbers = estimate(plan, root=root, machine=machine)
numbers.training[stage.key].steps, numbers.notes
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from harness.api.cache import cache_folder, last_change, recall, remember
from harness.api.errors import UserError
from harness.api.registry import TASK_TYPES
from harness.data.examples import Split
from harness.data.rows import load_rows
from harness.data.values import READING
from harness.planning.plan import Plan
from harness.runtime.arguments import PredictArguments, SplitRows, TrainArguments, file_of
from harness.runtime.machine import Machine
from harness.runtime.stages import Stage, canonical
from harness.training.mixture import Mixture, SampledTask

BYTES_FULL_TRAINING = 16
"Per trained parameter: fp32 weights, gradients and AdamW's two moments."
BYTES_FROZEN = 4
BYTES_INFERENCE = {"float32": 4}
BYTES_HALF = 2


@dataclass(frozen=True, kw_only=True)
class TrainingCost:
    """The size of one training stage."""

    rows: int | None
    "Rows before windows and pieces are cut; None = the data are not here."
    batch_size: int
    steps: int | None
    rates: Mapping[str, float] = field(default_factory=dict)
    "Of a mixture: the share of the steps that each task gets."

    def shown(self) -> tuple[str, str, str]:
        """Rows, batch and steps as text."""
        return (_number(self.rows), str(self.batch_size), _number(self.steps))


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The costs of a plan."""

    training: Mapping[str, TrainingCost]
    "By stage key."
    test_rows: Mapping[str, int | None]
    "By task: test rows of all languages asked for."
    notes: tuple[str, ...]
    "Memory, disk, pitfalls: sentences."


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def estimate(plan: Plan, *, root: Path, machine: Machine) -> Estimate:
    """Costs of the stages of a plan; numbers of rows are kept in the user's cache folder."""
    training: dict[str, TrainingCost] = {}
    test_rows: dict[str, int | None] = {}
    counted: set[tuple[str, str]] = set()
    for stage in plan.stages:
        args = stage.args
        if isinstance(args, TrainArguments):
            training[stage.key] = training_cost(args, machine)
        if isinstance(args, PredictArguments) and (args.task, args.lang) not in counted:
            counted.add((args.task, args.lang))
            rows = _num_rows(args.rows, "test", machine)
            so_far = test_rows.setdefault(args.task, 0)
            test_rows[args.task] = None if rows is None or so_far is None else so_far + min(rows, args.limit or rows)
    return Estimate(training=training, test_rows=test_rows, notes=tuple(_notes(plan, root, machine)))


def num_test_rows(stage: Stage[PredictArguments], machine: Machine) -> int | None:
    """Test rows of a prediction without its limit; None where the data cannot be read here."""
    return _num_rows(stage.args.rows, "test", machine)


def training_cost(args: TrainArguments, machine: Machine) -> TrainingCost:
    """Rows and steps of a training."""
    training = args.hyper_parameters
    parts: list[SampledTask] = []
    for component in args.tasks:
        rows = _num_rows(component, "train", machine)
        if rows is None:
            return TrainingCost(rows=None, batch_size=training.batch_size, steps=training.max_steps)
        rows = min(rows, component.max_examples(training) or rows)
        batch_size = component.batch_size(training)
        parts.append(SampledTask(name=component.task, strata=(rows,), num_examples=rows, batch_size=batch_size))
    mixture = Mixture(
        components=parts,
        seed=0,
        sampling=training.sampling,
        cap=training.sampling_cap,
        temperature=training.sampling_temperature,
    )
    return TrainingCost(
        rows=sum(part.num_items for part in parts),
        batch_size=training.batch_size,
        steps=mixture.steps_for(epochs=training.epochs, max_steps=training.max_steps),
        rates=mixture.rates if len(parts) > 1 else {},
    )


def _num_rows(rows: SplitRows, split: Split, machine: Machine) -> int | None:
    """Rows of a split, read once for each fingerprint; None where the data cannot be read here."""
    store = cache_folder() / "row_counts.json"
    known = _known_rows(store, last_change(store))
    key = canonical([READING, rows.spec["data"], dict(rows.data)])
    if key not in known:
        spec = rows.task_spec
        folder = machine.task_folders.get(file_of(spec.task))
        try:
            known[key] = sum(
                len(load_rows(source, lang=lang, place=machine.place, task=spec.task, task_folder=folder).rows)
                for lang in rows.data
                for source in getattr(spec.data, split)
            )
        except UserError:
            return None  # the run itself reports data that cannot be read
        remember(store, known)
    return known[key]


@lru_cache(maxsize=1)
def _known_rows(store: Path, changed: int) -> dict[str, int]:
    """Counts of earlier plans; read again when another process changed them (`changed` is the time of that)."""
    return recall(store) if changed else {}


@dataclass(frozen=True, kw_only=True)
class MemoryNeeds:
    """Bytes that a plan takes of a device and of the disk."""

    train: float | None
    "Of the device to train, without activations; None where nothing is trained."
    predict: float
    "Of the device to predict."
    checkpoint: float
    "Of the disk for one checkpoint; low-rank adapters are about a hundredth of the model."
    is_low_rank: bool


def memory_of(plan: Plan) -> MemoryNeeds | None:
    """What the backbone of a plan takes by its size; None where the size is not known."""
    facts = plan.backbone.facts
    total, inner = facts.get("parameters"), facts.get("non_embedding_parameters")
    if not total:
        return None
    frozen = {stage.args.hyper_parameters.freeze for stage in plan.stages if isinstance(stage.args, TrainArguments)}
    full = total * BYTES_FULL_TRAINING
    if frozen == {"embeddings"} and inner:
        full = inner * BYTES_FULL_TRAINING + (total - inner) * BYTES_FROZEN
    low_rank = "lora" in plan.backbone.arguments.extra
    if low_rank:  # a frozen base in half precision; what is trained is about a hundredth of it
        full = total * BYTES_HALF
    return MemoryNeeds(
        train=full if frozen else None,
        predict=total * BYTES_INFERENCE.get(facts.get("dtype") or "", BYTES_HALF),
        checkpoint=total * 4 / 100 if low_rank else total * 4,
        is_low_rank=low_rank,
    )


def training_operations(args: TrainArguments, cost: TrainingCost, *, parameters: float, is_low_rank: bool) -> float | None:
    """Floating-point operations of a training at most; None where its steps or lengths are not known.

    Kaplan et al. (2020, arXiv 2001.08361): 2 a parameter (without embeddings) and token forwards, twice that backwards, of which
    frozen weights need half.  Every example counts with the most tokens that its task type cuts it to.
    """
    lengths: list[int] = []
    for component in args.tasks:
        options = TASK_TYPES.load(component.task_spec.type).Options.model_validate(component.options)
        lengths.append(getattr(options, "max_length", None) or 0)
    if cost.steps is None or not all(lengths):
        return None
    return (4 if is_low_rank else 6) * parameters * cost.steps * cost.batch_size * max(lengths)


def _notes(plan: Plan, root: Path, machine: Machine) -> list[str]:
    """Memory, disk and what goes wrong with the model."""
    facts = plan.backbone.facts
    memory = memory_of(plan)
    notes = []
    if memory and memory.train is not None:
        left = [stage for stage in plan.stages if isinstance(stage.args, TrainArguments) and not stage.is_done(root)]
        kept = 0 if machine.keep == "none" else len(left) * memory.checkpoint
        notes.append(f"device memory: about {gib(memory.train)} to train (without activations), {gib(memory.predict)} to predict")
        while_one_trains = gib(memory.checkpoint * 6)
        notes.append(
            "disk: checkpoints are low-rank adapters and heads, about a hundredth of the model each"
            if memory.is_low_rank
            else f"disk: {gib(kept)} of checkpoints stay (--keep {machine.keep}), {while_one_trains} more while one trains"
        )
    elif memory:
        notes.append(f"device memory: about {gib(memory.predict)} to predict; no checkpoints are written")
    for task in plan.tasks.values():
        module = TASK_TYPES.load(task.spec.type)
        note = module.plan_note(task.spec, dimension=facts.get("hidden_size"), limit=plan.request.limit)
        notes += [note] if note else []
    notes += [f"note on {plan.backbone.name}: {pitfall}" for pitfall in facts.get("pitfalls", [])]
    return notes


def gib(size: float) -> str:
    """Bytes as GiB, below half of one as MiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**29 else f"{size / 2**20:.0f} MiB"
