"""The only training loop: a mixture of tasks, a recipe, a parent checkpoint in; one checkpoint out.

    train(stage, root=Path("runs"), machine=machine)     # writes train/<name>-<key>/{checkpoint/, train.json, log.jsonl}

A run killed at any moment goes on from its last state (model, optimizer, schedule, RNG, position) to the same weights.  The loss
of a step is the sum over the recipe's batch divided by its number of targets, so that the device's batch size does not matter;
losses with in-batch negatives are computed over the whole recipe batch by gradient caching (Gao et al. 2021, arXiv 2101.06983).
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from harness.batching import collate, plan_batches
from harness.checkpoints import States, write_folder
from harness.devices import Machine
from harness.errors import UserError
from harness.loading import load_adapter
from harness.mixture import Schedule
from harness.predicting import Question, evaluate
from harness.protocols import Feature
from harness.randomness import generator, seed_of
from harness.registry import TASK_TYPES
from harness.specs.portable import revive
from harness.specs.recipe import Training
from harness.stages import Stage, write_json, write_text
from harness.training_data import TrainingData, read_training_data, revived_options

if TYPE_CHECKING:
    import torch

LOG_EVERY = 10
DEGENERATE_SHARE = 0.98
"A classifier whose final loss is above this share of ln C has learnt nothing (domain: XLM-R large at 33.3 on XNLI)."
FINAL_SHARE = 0.1
"The final loss is the mean over this last share of the steps."


@dataclass(kw_only=True)
class Progress:
    """What changes while training and must survive a kill; plain JSON."""

    best_step: int | None = None
    best_score: float | None = None
    evaluations_since_best: int = 0
    losses: list[float] = field(default_factory=list)
    "Loss of every step so far."
    evaluations: list[tuple[int, float]] = field(default_factory=list)
    stopped_early: bool = False


@dataclass(kw_only=True)
class Trainer:
    """The parts of one running training stage."""

    folder: Path
    machine: Machine
    training: Training
    data: TrainingData
    adapter: Any
    model: Any
    "The adapter's module as accelerate wraps it."
    optimizer: Any
    scheduler: Any
    accelerator: Any
    schedule: Schedule
    total_steps: int
    seed: int
    states: States
    save_every: int
    progress: Progress = field(default_factory=Progress)

    @property
    def question(self) -> Question:
        """What the model is asked: a head or a pooled vector."""
        return Question.of(self.data.module, self.data.options, head=self.data.name)


def train(stage: Stage, *, root: Path, machine: Machine) -> dict[str, Any]:
    """Train the stage's checkpoint, resuming from its last state; returns the facts that go into train.json."""
    trainer = _prepare(stage, root=root, machine=machine)
    start = _resume(trainer)
    bar = tqdm(
        total=trainer.total_steps,
        initial=start,
        desc=f"train {stage.label}",
        unit="step",
        disable=not (machine.progress and trainer.accelerator.is_main_process),
        delay=2,
    )
    with bar:
        for step in range(start, trainer.total_steps):
            if trainer.progress.stopped_early:
                break
            trainer.progress.losses.append(_step(trainer, step))
            bar.update()
            _after_step(trainer, step + 1, bar)
    facts = _finish(trainer)
    write_json(trainer.folder / "train.json", facts)
    return facts


def _prepare(stage: Stage, *, root: Path, machine: Machine) -> Trainer:
    """Load data and model, build optimizer and schedule."""
    import torch
    from accelerate import Accelerator
    from accelerate.utils import set_seed

    training = Training.model_validate(stage.args["training"])
    seed = stage.args["seed"]
    (component,) = stage.args["tasks"]
    spec = revive(component["task"], component["spec"])
    module = TASK_TYPES.load(spec.type)
    head = module.head(spec, revived_options(module, component))
    set_seed(seed_of("dropout", seed=seed) % 2**31)
    heads = {spec.task: head} if head else {}
    adapter = load_adapter(stage, root=root, machine=machine, heads=heads, labels={spec.task: spec.labels}, inference=False)
    data = read_training_data(stage, machine=machine, tokenizer=adapter.tokenizer, training=training)
    schedule = Schedule(sizes={data.name: len(data.items)}, batch_size=training.batch_size, seed=seed)
    total_steps = schedule.steps_for(epochs=training.epochs, max_steps=training.max_steps)
    precision = machine.dtype(training.precision)
    mixed = {"bfloat16": "bf16", "float16": "fp16", "float32": "no"}[precision]
    accelerator = Accelerator(mixed_precision=mixed, cpu=machine.device == "cpu")
    if training.gradient_checkpointing:
        adapter.module.enable_gradient_checkpointing()
    _freeze(adapter.module, training)
    optimizer = torch.optim.AdamW(
        _parameter_groups(adapter.module, training),
        lr=training.learning_rate,
        betas=(0.9, training.adam_beta2),
        eps=training.adam_epsilon,
        fused=machine.device.startswith(("cpu", "cuda")),
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate(training, total_steps))
    model, optimizer = accelerator.prepare(adapter.module, optimizer)
    model.train()
    return Trainer(
        folder=stage.folder(root),
        machine=machine,
        training=training,
        data=data,
        adapter=adapter,
        model=model,
        optimizer=optimizer,
        scheduler=scheduler,
        accelerator=accelerator,
        schedule=schedule,
        total_steps=total_steps,
        seed=seed,
        states=States(folder=stage.folder(root), keep_all=machine.keep == "all"),
        save_every=machine.save_every or stage.knobs.get("save_every", 500),
    )


def _freeze(module: torch.nn.Module, training: Training) -> None:
    """Hold still the tables of words, positions and types, if asked."""
    import torch

    if training.freeze == "embeddings":
        for table in module.modules():
            if isinstance(table, torch.nn.Embedding):
                table.requires_grad_(False)


def _parameter_groups(module: torch.nn.Module, training: Training) -> list[dict[str, Any]]:
    """Weights with and without decay (biases and norms are vectors), fresh heads with their own rate."""
    groups: dict[tuple[bool, bool], list[Any]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((parameter.ndim > 1, name.startswith("heads.")), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": training.weight_decay if decays else 0.0,
            "lr": (training.head_learning_rate or training.learning_rate) if in_head else training.learning_rate,
        }
        for (decays, in_head), parameters in sorted(groups.items())
    ]


def _rate(training: Training, total_steps: int) -> Any:
    """Factor of the learning rate at a step: linear warmup, then linear decay to 0 or constant."""
    warmup = training.warmup_steps if training.warmup_steps is not None else math.ceil(training.warmup_ratio * total_steps)

    def factor(step: int) -> float:
        if step < warmup:
            return step / max(1, warmup)
        if training.schedule == "constant":
            return 1.0
        return max(0.0, (total_steps - step) / max(1, total_steps - warmup))

    return factor


def _resume(trainer: Trainer) -> int:
    """Restore the newest state; returns the number of steps done."""
    import torch

    state = trainer.states.newest()
    if state is None:
        return 0
    module = trainer.accelerator.unwrap_model(trainer.model)
    module.load_state_dict(state.tensors["model"])
    trainer.optimizer.load_state_dict(state.tensors["optimizer"])
    trainer.scheduler.load_state_dict(json.loads(state.facts["scheduler"]))
    torch.set_rng_state(state.tensors["rng"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state.tensors["cuda_rng"])
    trainer.progress = Progress(**state.facts["progress"])
    return state.step


def _save_state(trainer: Trainer, step: int) -> None:
    """Write everything that _resume needs; tied weights are written once by torch.save."""
    import torch

    if not trainer.accelerator.is_main_process:
        return
    tensors = {
        "model": trainer.accelerator.unwrap_model(trainer.model).state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "rng": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        tensors["cuda_rng"] = torch.cuda.get_rng_state_all()
    facts = {"progress": vars(trainer.progress), "scheduler": json.dumps(trainer.scheduler.state_dict())}
    trainer.states.save(step, tensors, facts)
    for old in trainer.folder.glob("best-*"):
        if old.name != f"best-{trainer.progress.best_step}":
            shutil.rmtree(old)


def _step(trainer: Trainer, number: int) -> float:
    """One optimizer step; returns the loss (mean over targets).  Out of memory: the same step again in smaller pieces."""
    import torch

    items = trainer.schedule.step(number)
    groups = [_augmented(trainer, item, items.epoch) for item in items.items]
    while True:
        rng = torch.get_rng_state()
        try:
            loss = _forward_backward(trainer, groups)
            break
        except torch.OutOfMemoryError:
            trainer.optimizer.zero_grad()
            if trainer.machine.budget(train=True) <= max(len(f.input_ids) for group in groups for f in group):
                raise
            trainer.machine.halve(train=True)
            torch.set_rng_state(rng)
            torch.cuda.empty_cache()
    if not math.isfinite(loss):
        raise UserError(
            f"the loss became {loss} at step {number + 1}",
            where=str(trainer.folder),
            todo="lower learning_rate, add warmup, or train in float32",
        )
    if trainer.training.max_grad_norm:
        trainer.accelerator.clip_grad_norm_(trainer.model.parameters(), trainer.training.max_grad_norm)
    trainer.optimizer.step()
    trainer.scheduler.step()
    trainer.optimizer.zero_grad()
    return loss


def _augmented(trainer: Trainer, item: int, epoch: int) -> list[Feature]:
    """The features of an item, with the type's per-epoch randomness drawn for (seed, task, example, epoch)."""
    data = trainer.data
    features = data.items[item]
    augment = getattr(data.module, "augment", None)
    if augment is None:
        return features
    rng = generator("augment", data.name, data.item_ids[item], epoch, seed=trainer.seed)
    return [augment(f, rng=rng, tokenizer=trainer.adapter.tokenizer, options=data.options) for f in features]


def _forward_backward(trainer: Trainer, groups: Sequence[list[Feature]]) -> float:
    """Gradients of the mean loss over the targets of a recipe batch; returns that loss, the same on every process."""
    data, accelerator = trainer.data, trainer.accelerator
    num_targets = max(1, data.module.num_targets([f for group in groups for f in group]))
    mine = list(groups[accelerator.process_index :: accelerator.num_processes])
    if data.module.WHOLE_BATCH_LOSS:
        return _cached_gradients(trainer, groups, num_targets)
    features = [f for group in mine for f in group]
    # A process without items still takes part in the exchange of gradients, with weight 0.
    weight = 1.0 if features else 0.0
    features = features or list(groups[0])
    total = 0.0
    for batch, sync in _micro_batches(trainer, features):
        with sync, accelerator.autocast():
            loss = data.module.loss(_ask(trainer, batch), batch, data.options) * (
                weight * accelerator.num_processes / num_targets
            )
            accelerator.backward(loss)
        total += loss.detach().float()  # type: ignore[assignment]
    return float(accelerator.reduce(_tensor(total, accelerator.device), "mean"))


def _tensor(value: Any, device: Any) -> torch.Tensor:
    import torch

    return torch.as_tensor(value, device=device, dtype=torch.float32)


def _ask(trainer: Trainer, batch: Any) -> torch.Tensor:
    """Forward pass with gradient."""
    question = trainer.question
    outputs: torch.Tensor = trainer.model(batch, head=question.head, pooling=question.pooling)
    return outputs


def _micro_batches(trainer: Trainer, features: Sequence[Feature]) -> Iterator[tuple[Any, contextlib.AbstractContextManager[Any]]]:
    """Batches under the device's budget; gradients are exchanged between processes at the last one only."""
    budget = trainer.machine.budget(train=True)
    plans = plan_batches([len(f.input_ids) for f in features], max_tokens=budget)
    for number, indices in enumerate(plans):
        chosen = [features[i] for i in sorted(indices)]
        last = number == len(plans) - 1
        sync = contextlib.nullcontext() if last else trainer.accelerator.no_sync(trainer.model)
        yield collate(chosen, pad_id=trainer.adapter.tokenizer.pad_token_id, device=trainer.accelerator.device), sync


def _cached_gradients(trainer: Trainer, groups: Sequence[list[Feature]], num_targets: int) -> float:
    """Loss over all outputs of the recipe batch: outputs without graph, their gradients, then one backward per piece."""
    import torch

    accelerator, data = trainer.accelerator, trainer.data
    features = [f for group in groups for f in group]
    budget = trainer.machine.budget(train=True)
    pad_id = trainer.adapter.tokenizer.pad_token_id
    plans = plan_batches([len(f.input_ids) for f in features], max_tokens=budget)
    mine = set(range(accelerator.process_index, len(plans), accelerator.num_processes)) if len(plans) > 1 else {0}
    whole = collate(features, pad_id=pad_id, device=accelerator.device)
    if len(plans) == 1:
        with accelerator.autocast():
            loss = data.module.loss(_ask(trainer, whole), whole, data.options) / num_targets
        accelerator.backward(loss)
        return float(loss.detach())
    outputs: Any = None
    states: dict[int, torch.Tensor] = {}
    with torch.no_grad(), accelerator.autocast():
        for number in sorted(mine):
            states[number] = torch.get_rng_state()
            batch = collate([features[i] for i in plans[number]], pad_id=pad_id, device=accelerator.device)
            vectors = _ask(trainer, batch).float()
            if outputs is None:
                outputs = torch.zeros(len(features), vectors.shape[-1], device=accelerator.device)
            outputs[plans[number]] = vectors
    outputs = accelerator.reduce(outputs, "sum").requires_grad_()
    loss = data.module.loss(outputs, whole, data.options) / num_targets
    (gradient,) = torch.autograd.grad(loss, outputs)
    after = torch.get_rng_state()
    for position, number in enumerate(sorted(mine)):
        torch.set_rng_state(states[number])
        batch = collate([features[i] for i in plans[number]], pad_id=pad_id, device=accelerator.device)
        last = position == len(mine) - 1
        with contextlib.nullcontext() if last else accelerator.no_sync(trainer.model), accelerator.autocast():
            surrogate = (_ask(trainer, batch).float() * gradient[plans[number]]).sum() * accelerator.num_processes
            accelerator.backward(surrogate)
    torch.set_rng_state(after)
    return float(loss.detach())


def _after_step(trainer: Trainer, done: int, bar: Any) -> None:
    """Evaluate, log and save where it is due."""
    progress, training = trainer.progress, trainer.training
    if done % LOG_EVERY == 0 or done == trainer.total_steps:
        bar.set_postfix(loss=f"{np.mean(progress.losses[-LOG_EVERY:]):.3f}", refresh=False)
    every = training.eval_every or trainer.schedule.steps_per_epoch
    if trainer.data.validation_features and (done % every == 0 or done == trainer.total_steps):
        _evaluate(trainer, done)
        bar.set_postfix(loss=f"{np.mean(progress.losses[-LOG_EVERY:]):.3f}", english=f"{progress.evaluations[-1][1]:.1f}")
    if done % trainer.save_every == 0 and done < trainer.total_steps:
        _save_state(trainer, done)


def _evaluate(trainer: Trainer, done: int) -> None:
    """Score the English validation rows; a better score becomes the checkpoint to keep."""
    progress, data = trainer.progress, trainer.data
    assert data.validation_spec is not None
    with trainer.accelerator.autocast():
        score = evaluate(
            trainer.adapter,
            data.validation,
            data.validation_features,
            task=data.validation_spec,
            options=data.options,
            question=trainer.question,
            machine=trainer.machine,
        )
    trainer.model.train()
    progress.evaluations.append((done, score))
    if progress.best_score is None or score > progress.best_score:
        progress.best_step, progress.best_score, progress.evaluations_since_best = done, score, 0
        if trainer.accelerator.is_main_process:
            write_folder(trainer.folder / f"best-{done}", lambda place: trainer.adapter.save(str(place)))
    else:
        progress.evaluations_since_best += 1
    patience = trainer.training.patience
    progress.stopped_early = patience is not None and progress.evaluations_since_best >= patience


def _finish(trainer: Trainer) -> dict[str, Any]:
    """Give the chosen weights the name `checkpoint`, remove the states, and say what happened."""
    progress, data, folder = trainer.progress, trainer.data, trainer.folder
    steps = len(progress.losses)
    if trainer.accelerator.is_main_process:
        if progress.best_step is None:
            write_folder(folder / "checkpoint", lambda place: trainer.adapter.save(str(place)))
        else:
            best = folder / f"best-{progress.best_step}"
            write_folder(folder / "checkpoint", lambda place: _link_all(best, place))
        lines = [{"step": number + 1, "loss": loss} for number, loss in enumerate(progress.losses)]
        lines += [{"step": step, "english_score": score} for step, score in progress.evaluations]
        write_text(folder / "log.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    trainer.accelerator.wait_for_everyone()
    final_loss = float(np.mean(progress.losses[-max(1, int(steps * FINAL_SHARE)) :]))
    return {
        "task": data.name,
        "steps": steps,
        "planned_steps": trainer.total_steps,
        "examples": data.num_examples,
        "items": len(data.items),
        "epochs": round(steps / trainer.schedule.steps_per_epoch, 4),
        "final_loss": final_loss,
        "best_step": progress.best_step,
        "best_score": progress.best_score,
        "selection": "English validation" if data.validation_spec else "final checkpoint",
        "stopped_early": progress.stopped_early,
        "degenerate": _degenerate(trainer, final_loss),
        "truncated_examples": data.num_truncated_examples,
        "removed_overlaps": data.num_removed,
        "dtype": trainer.machine.dtype(trainer.training.precision),
    }


def _link_all(source: Path, target: Path) -> None:
    """Give the files of a folder a second name in another."""
    shutil.copytree(source, target, copy_function=os.link, dirs_exist_ok=True)


def tidy(stage: Stage, *, root: Path, machine: Machine) -> None:
    """Remove what only an unfinished run needs; called when done.json stands."""
    folder = stage.folder(root)
    States(folder=folder, keep_all=machine.keep == "all").clear()
    for left in folder.glob("best-*"):
        shutil.rmtree(left)


def _degenerate(trainer: Trainer, final_loss: float) -> str | None:
    """Says why a run has learnt nothing: a classifier whose loss stayed at that of a uniform guess."""
    head = trainer.data.module.head(trainer.data.spec, trainer.data.options)
    if head is None or head.kind not in ("sequence", "choice"):
        return None
    uniform = math.log(len(trainer.data.spec.labels)) if head.kind == "sequence" else math.inf
    if final_loss >= DEGENERATE_SHARE * uniform:
        return f"final loss {final_loss:.4f} is that of guessing (ln {len(trainer.data.spec.labels)} = {uniform:.4f})"
    return None
