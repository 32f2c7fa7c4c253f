"""The only training loop: a mixture of tasks, a recipe, a parent checkpoint in; one checkpoint out.

    train(stage, root=Path("runs"), machine=machine)     # writes train/<name>-<key>/{checkpoint/, train.json, log.jsonl}

A run killed at any moment goes on from its last state (model, optimizer, schedule, position) to the same weights: which items a
step sees and what its dropout draws are functions of the step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from harness.cells import Question
from harness.checkpoints import States, link_folder, remove_folder, write_folder
from harness.devices import Machine
from harness.errors import UserError
from harness.gradients import Work, batch_gradients
from harness.loading import load_adapter
from harness.mixture import Schedule
from harness.optimization import freeze, parameter_groups, rate_factor
from harness.predicting import evaluate
from harness.processes import from_first, rank, together
from harness.progress import Log, Progress
from harness.protocols import Feature
from harness.randomness import generator, seed_of
from harness.registry import TASK_TYPES
from harness.specs.portable import revive
from harness.specs.recipe import Training
from harness.stages import Stage, write_json
from harness.training_data import TrainingData, label_entropy, read_training_data, revived_options

LOG_EVERY = 10
"Steps between writes to the log."
DEGENERATE_SHARE = 0.98
"A classifier whose final loss is above this share of the entropy of its labels has learnt nothing (domain: XLM-R large on XNLI)."
FINAL_SHARE = 0.1
"The final loss is the mean over this last share of the steps."


@dataclass(kw_only=True)
class Trainer:
    """The parts of one running training stage."""

    folder: Path
    machine: Machine
    training: Training
    data: TrainingData
    work: Work
    optimizer: Any
    scheduler: Any
    schedule: Schedule
    total_steps: int
    states: States
    save_every: int
    progress: Progress
    log: Log | None = None
    "Of the first process."

    @property
    def module(self) -> Any:
        """What is trained."""
        return self.work.adapter.module


def train(stage: Stage, *, root: Path, machine: Machine) -> dict[str, Any]:
    """Train the stage's checkpoint, resuming from its last state; returns the facts that go into train.json."""
    with together():
        trainer = prepare(stage, root=root, machine=machine)
        start = _resume(trainer)
    bar = tqdm(
        total=trainer.total_steps,
        initial=start,
        desc=f"train {stage.label}",
        unit="step",
        disable=not machine.progress or rank() > 0,
        delay=2,
    )
    with bar:
        for step in range(start, trainer.total_steps):
            if trainer.progress.stopped_early:
                break
            trainer.progress.losses.append(_step(trainer, step))
            bar.update()
            _after_step(trainer, step + 1, bar)
    return from_first(lambda: _finish(trainer))


def prepare(stage: Stage, *, root: Path, machine: Machine) -> Trainer:
    """Load data and model, build optimizer and schedule."""
    import torch
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import set_seed

    training = Training.model_validate(stage.args["training"])
    seed = stage.args["seed"]
    (component,) = stage.args["tasks"]
    spec = revive(component["task"], component["spec"])
    module = TASK_TYPES.load(spec.type)
    head = module.head(spec, revived_options(module, component))
    precision = machine.dtype(training.precision)
    if precision == "float16" and not machine.device.startswith("cuda"):
        raise UserError("float16 training needs a GPU", where=f"training stage {stage.name}", todo="precision: auto")
    set_seed(seed_of("start", seed=seed) % 2**31)
    heads = {spec.task: head} if head else {}
    adapter: Any = load_adapter(stage, root=root, machine=machine, heads=heads, labels={spec.task: spec.labels}, inference=False)
    data = read_training_data(stage, machine=machine, tokenizer=adapter.tokenizer, training=training)
    schedule = Schedule(sizes={data.name: len(data.items)}, batch_size=training.batch_size, seed=seed)
    total_steps = schedule.steps_for(epochs=training.epochs, max_steps=training.max_steps)
    mixed = {"bfloat16": "bf16", "float16": "fp16", "float32": "no"}[precision]
    AcceleratorState._reset_state()  # it is shared, and refuses another precision than that of the stage before
    accelerator = Accelerator(mixed_precision=mixed, cpu=machine.device == "cpu")
    if training.gradient_checkpointing:
        adapter.module.enable_gradient_checkpointing()
    freeze(adapter.module, training)
    optimizer = torch.optim.AdamW(
        parameter_groups(adapter.module, training),
        lr=training.learning_rate,
        betas=(0.9, training.adam_beta2),
        eps=training.adam_epsilon,
        fused=machine.device.startswith(("cpu", "cuda")),
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate_factor(training, total_steps=total_steps))
    adapter.module.train()
    return Trainer(
        folder=stage.folder(root),
        machine=machine,
        training=training,
        data=data,
        work=Work(
            adapter=adapter,
            module=data.module,
            options=data.options,
            question=Question.of(data.module, data.options, head=data.name),
            machine=machine,
            accelerator=accelerator,
            seed=seed,
        ),
        # The model is not wrapped: gradients.py exchanges gradients itself, once a step, whatever the pieces of each process.
        optimizer=accelerator.prepare_optimizer(optimizer),
        scheduler=scheduler,
        schedule=schedule,
        total_steps=total_steps,
        states=States(folder=stage.folder(root), keep_all=machine.keep == "all"),
        save_every=machine.save_every or stage.knobs.get("save_every", 500),
        progress=Progress(),
    )


def _resume(trainer: Trainer) -> int:
    """Restore the newest state, if there is one; returns the number of steps done."""
    state = trainer.states.newest()
    if state is not None:
        trainer.module.load_state_dict(state.tensors["model"])
        trainer.optimizer.load_state_dict(state.tensors["optimizer"])
        trainer.scheduler.load_state_dict(state.facts["scheduler"])
        if trainer.work.accelerator.scaler is not None:
            trainer.work.accelerator.scaler.load_state_dict(state.tensors["scaler"])
        trainer.progress = Progress(**state.facts["progress"])
    if rank() == 0:
        trainer.log = Log(trainer.folder / "log.jsonl", trainer.progress)
    return state.step if state else 0


def _save_state(trainer: Trainer, step: int) -> None:
    """Write everything that _resume needs; tied weights are written once by torch.save."""
    tensors = {"model": trainer.module.state_dict(), "optimizer": trainer.optimizer.state_dict()}
    if trainer.work.accelerator.scaler is not None:
        tensors["scaler"] = trainer.work.accelerator.scaler.state_dict()
    facts = {"progress": vars(trainer.progress), "scheduler": trainer.scheduler.state_dict()}
    trainer.states.save(step, tensors, facts)
    for old in trainer.folder.glob("best-*"):
        if old.name != f"best-{trainer.progress.best_step}":
            remove_folder(old)


def _step(trainer: Trainer, number: int) -> float:
    """One optimizer step; returns the loss (mean over targets)."""
    with together():
        items = trainer.schedule.step(number)
        groups = [_augmented(trainer, item, items.epoch) for item in items.items]
    loss = batch_gradients(trainer.work, groups, step=number)
    with together():
        if not math.isfinite(loss):
            raise UserError(
                f"the loss became {loss} at step {number + 1}",
                where=str(trainer.folder),
                todo="lower learning_rate, add warmup, or train in float32",
            )
    if trainer.training.max_grad_norm:
        trainer.work.accelerator.clip_grad_norm_(trainer.module.parameters(), trainer.training.max_grad_norm)
    trainer.optimizer.step()
    trainer.scheduler.step()
    trainer.optimizer.zero_grad()
    return loss


def _augmented(trainer: Trainer, item: int, epoch: int) -> list[Feature]:
    """The features of an item, with the type's per-epoch randomness drawn for (seed, task, example, epoch)."""
    data, work = trainer.data, trainer.work
    features = data.items[item]
    augment = getattr(data.module, "augment", None)
    if augment is None:
        return features
    rng = generator("augment", data.name, data.item_ids[item], epoch, seed=work.seed)
    return [augment(f, rng=rng, tokenizer=work.adapter.tokenizer, options=data.options) for f in features]


def _after_step(trainer: Trainer, done: int, bar: Any) -> None:
    """Evaluate, log and save where it is due."""
    progress, training = trainer.progress, trainer.training
    last = done == trainer.total_steps
    every = training.eval_every or trainer.schedule.steps_per_epoch
    evaluates = bool(trainer.data.validation_features) and (done % every == 0 or last)
    saves = done % trainer.save_every == 0 and not last
    if evaluates:
        _evaluate(trainer, done)
    if evaluates or saves or last or done % LOG_EVERY == 0:
        score = {"english": f"{progress.evaluations[-1][1]:.1f}"} if progress.evaluations else {}
        bar.set_postfix(loss=f"{np.mean(progress.losses[-LOG_EVERY:]):.3f}", **score, refresh=False)
        from_first(lambda: _write_log(trainer))
    if saves:
        from_first(lambda: _save_state(trainer, done))


def _write_log(trainer: Trainer) -> None:
    if trainer.log is not None:
        trainer.log.write()


def _evaluate(trainer: Trainer, done: int) -> None:
    """Score the English validation rows; a better score becomes the checkpoint to keep."""
    progress, data, work = trainer.progress, trainer.data, trainer.work
    assert data.validation_spec is not None
    with work.accelerator.autocast():
        score = evaluate(
            work.adapter,
            data.validation,
            data.validation_features,
            task=data.validation_spec,
            options=data.options,
            question=work.question,
            machine=trainer.machine,
        )
    trainer.module.train()
    progress.evaluations.append((done, score))
    if progress.best_score is None or score > progress.best_score:
        progress.best_step, progress.best_score, progress.evaluations_since_best = done, score, 0
        from_first(lambda: write_folder(trainer.folder / f"best-{done}", lambda place: work.adapter.save(str(place))))
    else:
        progress.evaluations_since_best += 1
    patience = trainer.training.patience
    progress.stopped_early = patience is not None and progress.evaluations_since_best >= patience


def _finish(trainer: Trainer) -> dict[str, Any]:
    """Give the chosen weights the name `checkpoint` and say what happened."""
    progress, data, folder = trainer.progress, trainer.data, trainer.folder
    if progress.best_step is None:
        write_folder(folder / "checkpoint", lambda place: trainer.work.adapter.save(str(place)))
    else:
        best = folder / f"best-{progress.best_step}"
        write_folder(folder / "checkpoint", lambda place: link_folder(best, place))
    steps = len(progress.losses)
    final_loss = float(np.mean(progress.losses[-max(1, int(steps * FINAL_SHARE)) :]))
    facts = {
        "task": data.name,
        "steps": steps,
        "planned_steps": trainer.total_steps,
        "examples": data.num_examples,
        "items": len(data.items),
        "epochs": round(steps / trainer.schedule.steps_per_epoch, 4),
        "trained_parameters": sum(p.numel() for p in trainer.module.parameters() if p.requires_grad),
        "final_loss": final_loss,
        "best_step": progress.best_step,
        "best_score": progress.best_score,
        "selection": "English validation" if data.validation_spec else "final checkpoint",
        "stopped_early": progress.stopped_early,
        "degenerate": degenerate(data, final_loss),
        "truncated_examples": data.num_truncated_examples,
        "removed_overlaps": data.num_removed,
        "dtype": trainer.machine.dtype(trainer.training.precision),
    }
    write_json(folder / "train.json", facts)
    return facts


def tidy(stage: Stage, *, root: Path, machine: Machine) -> None:
    """Remove what only an unfinished run needs; called when done.json stands."""
    folder = stage.folder(root)
    States(folder=folder, keep_all=machine.keep == "all").clear()
    for left in folder.glob("best-*"):
        remove_folder(left)


def degenerate(data: TrainingData, final_loss: float) -> str | None:
    """Says why a run has learnt nothing: all labels the same, or a loss that knowing their shares alone would give."""
    head = data.module.head(data.spec, data.options)
    if head is None or head.kind not in ("sequence", "token"):
        return None
    entropy = label_entropy(data.items)
    if entropy == 0.0:
        return "all training labels are the same"
    if final_loss >= DEGENERATE_SHARE * entropy:
        return f"final loss {final_loss:.4f} is that of guessing by the shares of the labels ({entropy:.4f})"
    return None
