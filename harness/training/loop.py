"""The only training loop: a mixture of tasks, a recipe, a parent checkpoint in; one checkpoint out.

    train(stage, root=Path("runs"), machine=machine)     # writes train/<name>-<key>/{checkpoint/, train.json, log.jsonl}

A run killed at any moment goes on from its last state (model, optimizer, schedule, position) to the same weights: which items a
step sees and what its dropout draws are functions of the step.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from harness.api.errors import UserError
from harness.api.protocols import Feature
from harness.api.randomness import generator
from harness.prediction.loop import Asked, evaluate
from harness.runtime.machine import Machine
from harness.runtime.processes import from_first, rank, together
from harness.runtime.stages import Stage, write_json
from harness.training.gradients import batch_gradients
from harness.training.items import is_grouped
from harness.training.outcome import training_facts
from harness.training.progress import Log, Progress, mean_score
from harness.training.setup import Trainer, prepare
from harness.training.states import States, link_folder, remove_folder, write_folder

LOG_EVERY = 10
"Steps between writes to the log."


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


def _resume(trainer: Trainer) -> int:
    """Restore the newest state, if there is one; returns the number of steps done."""
    state = trainer.states.newest()
    if state is not None:
        trainer.module.load_state_dict(state.tensors["model"])
        trainer.optimizer.load_state_dict(state.tensors["optimizer"])
        trainer.scheduler.load_state_dict(state.facts["scheduler"])
        if trainer.accelerator.scaler is not None:
            trainer.accelerator.scaler.load_state_dict(state.tensors["scaler"])
        trainer.progress = Progress(**state.facts["progress"])
    if rank() == 0:
        trainer.log = Log(trainer.folder / "log.jsonl", trainer.progress)
    return state.step if state else 0


def _save_state(trainer: Trainer, step: int) -> None:
    """Write everything that _resume needs; tied weights are written once by torch.save."""
    tensors = {"model": trainer.module.state_dict(), "optimizer": trainer.optimizer.state_dict()}
    if trainer.accelerator.scaler is not None:
        tensors["scaler"] = trainer.accelerator.scaler.state_dict()
    facts = {"progress": vars(trainer.progress), "scheduler": trainer.scheduler.state_dict()}
    trainer.states.save(step, tensors, facts)
    for old in trainer.folder.glob("best-*"):
        if old.name != f"best-{trainer.progress.best_step}":
            remove_folder(old)


def _step(trainer: Trainer, number: int) -> float:
    """One optimizer step; returns the loss (mean over targets)."""
    with together():
        items = trainer.schedule.step(number)
        # A language that gets more than its share of an epoch may bring an item twice: as its own negative it would mislead.
        chosen = dict.fromkeys(items.items.tolist()) if is_grouped(trainer.data[items.task].module) else items.items.tolist()
        groups = [_augmented(trainer, items.task, item, items.epoch) for item in chosen]
    loss = batch_gradients(trainer.works[items.task], groups, step=number)
    with together():
        if not math.isfinite(loss):
            raise UserError(
                f"the loss became {loss} at step {number + 1}",
                where=str(trainer.folder),
                todo="lower learning_rate, add warmup, or train in float32",
            )
    if trainer.training.max_grad_norm:
        trainer.accelerator.clip_grad_norm_(trainer.module.parameters(), trainer.training.max_grad_norm)
    trainer.optimizer.step()
    trainer.scheduler.step()
    trainer.optimizer.zero_grad()
    return loss


def _augmented(trainer: Trainer, task: str, item: int, epoch: int) -> list[Feature]:
    """The features of an item, with the type's per-epoch randomness drawn for (seed, task, example, epoch)."""
    data, work = trainer.data[task], trainer.works[task]
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
    evaluates = any(data.validation_features for data in trainer.data.values()) and (done % every == 0 or last)
    saves = done % trainer.save_every == 0 and not last
    if evaluates:
        _evaluate(trainer, done)
    if evaluates or saves or last or done % LOG_EVERY == 0:
        score = {"english": f"{mean_score(progress.evaluations[-1][1]):.1f}"} if progress.evaluations else {}
        bar.set_postfix(loss=f"{np.mean(progress.losses[-LOG_EVERY:]):.3f}", **score, refresh=False)
        from_first(lambda: _write_log(trainer))
    if saves:
        from_first(lambda: _save_state(trainer, done))


def _write_log(trainer: Trainer) -> None:
    if trainer.log is not None:
        trainer.log.write()


def _evaluate(trainer: Trainer, done: int) -> None:
    """Score the English validation rows of every component that has some; a better mean becomes the checkpoint to keep."""
    progress = trainer.progress
    by_task: dict[str, float] = {}
    for name, data in trainer.data.items():
        if not data.validation_features:
            continue
        assert data.validation_spec is not None
        with trainer.accelerator.autocast():
            by_task[name] = evaluate(
                trainer.adapter,
                data.validation,
                data.validation_features,
                asked=Asked(data.validation_spec, data.module, data.options, data.question),
                machine=trainer.machine,
            )
    trainer.module.train()
    progress.evaluations.append((done, by_task))
    score = mean_score(by_task)
    if progress.best_score is None or score > progress.best_score:
        progress.best_step, progress.best_score, progress.evaluations_since_best = done, score, 0
        from_first(lambda: write_folder(trainer.folder / f"best-{done}", lambda place: trainer.adapter.save(str(place))))
    else:
        progress.evaluations_since_best += 1
    patience = trainer.training.patience
    progress.stopped_early = patience is not None and progress.evaluations_since_best >= patience


def _finish(trainer: Trainer) -> dict[str, Any]:
    """Give the chosen weights the name `checkpoint` and say what happened."""
    progress, folder = trainer.progress, trainer.folder
    if progress.best_step is None:
        write_folder(folder / "checkpoint", lambda place: trainer.adapter.save(str(place)))
    else:
        best = folder / f"best-{progress.best_step}"
        write_folder(folder / "checkpoint", lambda place: link_folder(best, place))
    facts = training_facts(trainer)
    write_json(folder / "train.json", facts)
    return facts


def tidy(stage: Stage, *, root: Path, machine: Machine) -> None:
    """Remove what only an unfinished run needs; called when done.json stands."""
    folder = stage.folder(root)
    States(folder=folder, keep_all=machine.keep == "all").clear()
    for left in folder.glob("best-*"):
        remove_folder(left)
