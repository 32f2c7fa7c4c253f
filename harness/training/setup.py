"""The parts of a training stage before its first step: data, model with its heads, optimizer, schedule.

run = prepare(stage, root=Path("runs"), machine=machine)
run.module, run.mixture.step(0)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.api.protocols import Feature, HeadSpec
from harness.api.randomness import seed_of
from harness.prediction.batching import check_lengths
from harness.prediction.questions import Question, route_module
from harness.prediction.vocabulary import check_ids
from harness.runtime.arguments import TrainArguments
from harness.runtime.budget import TrainingBudget
from harness.runtime.loading import load_adapter
from harness.runtime.machine import Machine
from harness.runtime.processes import gather, together
from harness.runtime.stages import Stage
from harness.runtime.threads import usable_cores
from harness.specs.recipe import Training
from harness.training.gradients import RecipeBatch, Work
from harness.training.items import TrainingData, read_training_data
from harness.training.mixture import Mixture, SampledTask
from harness.training.optimizer import TrainingOptimizer, freeze, rate_factor
from harness.training.pace import Pace
from harness.training.precision import Precision
from harness.training.progress import Log, Progress
from harness.training.sharding import distribute
from harness.training.states import States
from harness.training.word_rows import WordRows, ids_used, is_large


@dataclass(kw_only=True)
class TrainingRun:
    """The parts of one running training stage."""

    folder: Path
    machine: Machine
    training: Training
    data: Mapping[str, TrainingData]
    "By component, in the order of the stage's arguments."
    works: Mapping[str, Work]
    "By component; they share the adapter."
    optimizer: TrainingOptimizer
    scheduler: Any
    precision: Precision
    mixture: Mixture
    total_steps: int
    states: States
    save_every: int
    progress: Progress
    ahead: dict[int, tuple[Work, RecipeBatch]] = field(default_factory=dict)
    "What the step of this number needs, made ready while a GPU computed the one before it."
    word_ids: Any
    "[R], the rows that it looks up in the table of words; None where that is small, not trained, or used otherwise too."
    word_rows: WordRows | None
    "These rows as a table of their own; None where the whole table is trained."
    pace: Pace
    saved: tuple[int, int] | None = None
    "The progress (see `Progress.so_far`) that the newest state has; None where there is none."
    due: bool = False
    "Whether what comes after the last step (an evaluation) is still to be done."
    whole: bool = True
    "Whether weights, optimizer, schedule and progress are those of one step."
    log: Log | None = None
    "Of the first process."

    @property
    def adapter(self) -> Any:
        """What holds the weights."""
        return next(iter(self.works.values())).adapter

    @property
    def budget(self) -> TrainingBudget:
        """Tokens of a forward pass."""
        return next(iter(self.works.values())).budget

    @property
    def module(self) -> Any:
        """What is trained."""
        return self.adapter.module


def prepare(stage: Stage[TrainArguments], *, root: Path, machine: Machine, precision: str | None = None) -> TrainingRun:
    """Load data and model, build optimizer and schedule; `precision` instead of that of the recipe."""
    import torch
    from accelerate.utils import set_seed

    training, seed = stage.args.hyper_parameters, stage.args.seed
    name = machine.dtype(precision or training.precision)
    with together():
        if name == "float16" and not machine.device.startswith("cuda"):
            raise UserError("float16 training needs a GPU", where=f"training stage {stage.name}", todo="precision: auto")
        set_seed(seed_of("start", seed=seed) % 2**31)
        adapter: Any = _load(stage, root=root, machine=machine)
        data = {one.name: one for one in _read(stage, adapter, machine=machine)}
        mixture = _mixture(list(data.values()), training, seed)
        total_steps = mixture.steps_for(epochs=training.epochs, max_steps=training.max_steps)
        if training.gradient_checkpointing:
            adapter.module.enable_gradient_checkpointing()
        freeze(adapter.module, training)
        ids, rows = _words(adapter, data.values(), machine=machine, precision=name)
    distribute(adapter, machine=machine, precision=name)
    with together():
        optimizer = TrainingOptimizer(adapter.module, training, device=machine.device)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer.inner, rate_factor(training, total_steps=total_steps))
    adapter.module.train()
    passes = Precision(name, device=machine.device)
    model_bytes = sum(one.numel() * one.element_size() for one in adapter.module.parameters())
    tokens = machine.tokens(train=True, weights=adapter.weight_bytes, model=model_bytes if machine.shares_model else 0)
    budget = TrainingBudget(planned=min(gather(tokens)))  # all make the same number of passes
    return TrainingRun(
        folder=stage.folder(root),
        machine=machine,
        training=training,
        data=data,
        works={name: _work(one, adapter, passes, seed=seed, machine=machine, budget=budget) for name, one in data.items()},
        optimizer=optimizer,
        scheduler=scheduler,
        precision=passes,
        mixture=mixture,
        total_steps=total_steps,
        states=States(folder=stage.folder(root), keep_all=machine.keep == "all"),
        save_every=machine.save_every or stage.knobs.save_every,
        progress=Progress(),
        word_ids=ids,
        word_rows=rows,
        pace=Pace(threads=torch.get_num_threads(), cores=usable_cores()) if machine.device == "cpu" else Pace(threads=0, cores=0),
    )


def _words(adapter: Any, data: Iterable[TrainingData], *, machine: Machine, precision: str) -> tuple[Any, WordRows | None]:
    """The rows that are looked up in a large table of words that is trained; put in its place where they alone are trained."""
    words = adapter.module.word_table()
    if words is None or not is_large(words.table.weight):
        return None, None
    ids = ids_used(words, _features(data), also=[adapter.tokenizer.pad_token_id])
    # fp16 leaves out steps whose gradients have overflowed, and their decay with them.
    if not machine.word_rows or machine.shares_model or precision == "float16":
        return ids, None
    rows = WordRows.of(adapter.module, words, ids)
    if rows is not None:
        rows.put_in()
    return ids, rows


def _features(data: Iterable[TrainingData]) -> Iterator[Feature]:
    """All that is trained on, and all that chooses a checkpoint."""
    for one in data:
        yield from (feature for item in one.items for feature in item)
        yield from one.validation_features


def _read(stage: Stage[TrainArguments], adapter: Any, *, machine: Machine) -> list[TrainingData]:
    """Rows of each component as features; raises UserError for one that the model cannot take."""
    read = [
        read_training_data(
            component,
            stage=stage,
            machine=machine,
            tokenizer=adapter.tokenizer,
            max_positions=adapter.max_positions,
            training=stage.args.hyper_parameters,
        )
        for component in stage.args.tasks
    ]
    for one in read:
        trained = [feature for item in one.items for feature in item]
        for features, where in ((trained, "training"), (one.validation_features, "validation")):
            where = f"{where} rows of '{one.name}'"
            check_lengths(features, longest=adapter.max_positions, where=where)
            check_ids(
                features,
                num_embeddings=adapter.num_embeddings,
                tokenizer=adapter.tokenizer,
                where=where,
                also=_drawn(one.module, adapter.tokenizer),
            )
    return read


def _drawn(module: Any, tokenizer: Any) -> list[int]:
    """Ids that training puts in place of those of the rows."""
    return [] if module.augment is None or tokenizer.mask_token_id is None else [tokenizer.mask_token_id]


def _work(
    data: TrainingData,
    adapter: Any,
    precision: Precision,
    *,
    seed: int,
    machine: Machine,
    budget: TrainingBudget,
) -> Work:
    """What the loss of a component is computed with."""
    question = Question(None, data.question.pooling) if data.question.pooling else Question(data.head, None)
    return Work(
        adapter=adapter,
        module=data.module,
        options=data.options,
        question=question,
        machine=machine,
        budget=budget,
        precision=precision,
        seed=seed,
        one_pass_per_example=data.module.ONE_PASS_PER_EXAMPLE,
    )


def _load(stage: Stage[TrainArguments], *, root: Path, machine: Machine) -> Any:
    """The adapter with a head for each component, fresh unless the stage goes on with one of its parent's."""
    heads: dict[str, HeadSpec] = {}
    labels: dict[str, Sequence[str]] = {}
    kept: dict[str, str] = {}
    for component in stage.args.tasks:
        spec = component.task_spec
        module = route_module(spec, component.prompt, machine=machine)
        head = module.head(spec, module.Options.model_validate(component.options))
        if head:
            name = component.head_name
            heads[name], labels[name] = head, spec.labels
            if component.reuse_head is not None:
                kept[name] = component.reuse_head
    return load_adapter(stage, root=root, machine=machine, heads=heads, labels=labels, keep_heads=kept)


def _mixture(data: Sequence[TrainingData], training: Training, seed: int) -> Mixture:
    """Which items each step sees."""
    components = [
        SampledTask(
            name=one.name,
            strata=one.strata,
            num_examples=one.num_examples,
            batch_size=one.batch_size,
            alpha=one.spec.language_alpha if len(one.strata) > 1 else None,
        )
        for one in data
    ]
    return Mixture(
        components=components,
        seed=seed,
        sampling=training.sampling,
        cap=training.sampling_cap,
        temperature=training.sampling_temperature,
    )
