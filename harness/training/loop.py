"""The only training loop: a mixture of tasks, a recipe, a parent checkpoint in; one checkpoint out.

    train(stage, root=Path("runs"), machine=machine)     # writes train/<name>-<key>/{checkpoint/, train.json, log.jsonl}

A run killed at any moment goes on from its last state (model, optimizer, schedule, position) to the same weights: which items a
step sees and what its dropout draws are functions of the step.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np

from harness.api.progress import ProgressBar, progress_bar
from harness.api.protocols import Feature
from harness.api.randomness import generator
from harness.prediction.evaluation import AskedTask, evaluate
from harness.runtime.arguments import TrainArguments
from harness.runtime.folders import link_folder, remove_folder, write_folder
from harness.runtime.interruption import ECHO, Interrupted, held
from harness.runtime.machine import Machine
from harness.runtime.processes import end_together, from_first, num_ranks, rank, together
from harness.runtime.stages import Stage, write_json
from harness.training.checkpoints import resume, save_checkpoint, save_on_leaving, save_state, say, write_log
from harness.training.gradients import RecipeBatch, Work, batch_gradients
from harness.training.optimizer import clip
from harness.training.outcome import training_facts
from harness.training.progress import mean_score
from harness.training.second_attempt import LostLoss, begin_again, begun_again, forget_attempt, told
from harness.training.setup import TrainingRun, prepare
from harness.training.sharding import gathered_root
from harness.training.states import States

LOG_EVERY = 10
"Steps between writes to the log."


def train(stage: Stage[TrainArguments], *, root: Path, machine: Machine) -> dict[str, Any]:
    """Train the stage's checkpoint, resuming from its last state; returns the facts that go into train.json."""
    again = from_first(lambda: begun_again(stage.folder(root)))
    if again is None:
        try:
            return _train(stage, prepare(stage, root=root, machine=machine), machine=machine)
        except LostLoss as lost:
            again = lost.facts()
        gc.collect()  # the weights of the first attempt, before there are those of the second
        from_first(lambda: begin_again(stage.folder(root), again))
        say(f"note on {stage.name}: {told(again)}: it begins again in float32")
    return _train(stage, prepare(stage, root=root, machine=machine, precision="float32"), machine=machine, again=again)


def _train(
    stage: Stage[TrainArguments], run: TrainingRun, *, machine: Machine, again: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Make the steps that are left; raises LostLoss where it is to begin again."""
    start = resume(run)
    shown = machine.progress and rank() == 0
    bar = progress_bar(f"train {stage.label}", total=run.total_steps, initial=start, unit="step", stays=True, shown=shown)
    with held(echo=ECHO) if num_ranks() > 1 else nullcontext():  # told to end, processes leave together: see end_together
        try:
            with bar:
                _steps(run, start, bar)
        except Interrupted as told:
            if num_ranks() == 1 or told.everywhere:
                save_on_leaving(run)
            raise
        finally:
            if run.log is not None:
                run.log.close()
        return _finish(run, again=again)


def _steps(run: TrainingRun, start: int, bar: ProgressBar) -> None:
    """All steps that are left."""
    if run.due:  # the run before was told to end while it evaluated
        _after_step(run, start, bar)
    for step in range(start, run.total_steps):
        if run.progress.stopped_early:
            break
        _step(run, step)
        bar.update()
        _say_if_slow(run)
        end_together()
        _after_step(run, step + 1, bar)


def _say_if_slow(run: TrainingRun) -> None:
    remark = run.pace.remark()
    if remark and run.machine.progress:
        say(f"note on {run.folder.name}: {remark}")


def _step(run: TrainingRun, number: int) -> None:
    """One optimizer step."""
    with together():
        work, batch = run.ahead.pop(number) if number in run.ahead else _inputs(run, number)
    with run.pace.step(tokens=batch.num_tokens):
        loss = batch_gradients(work, batch, step=number, meanwhile=lambda: _look_ahead(run, number + 1))
    if not math.isfinite(loss):  # in every process: it is the sum over all
        lost = LostLoss(loss, step=number + 1, precision=run.precision.name)
        if run.machine.retry_in_float32 and lost.precision != "float32":
            raise lost
        with together():
            raise lost.as_user_error(str(run.folder))
    run.precision.unscale(run.optimizer)
    if run.training.max_grad_norm:
        clip(run.optimizer.parameters.values(), run.training.max_grad_norm)
    with held():  # told to end before, the weights are those of the step before; behind it, those of this one
        run.whole = False
        run.precision.step(run.optimizer)
        run.scheduler.step()
        run.optimizer.zero_grad()
        run.progress.losses.append(loss)
        run.due = run.whole = True


def _inputs(run: TrainingRun, number: int) -> tuple[Work, RecipeBatch]:
    """What a step trains, and on which items."""
    items = run.mixture.step(number)
    work = run.works[items.task]
    # A language that gets more than its share of an epoch may bring an item twice: as its own negative it would mislead.
    whole = run.data[items.task].module.EXAMPLES_ARE_ITEMS
    chosen = dict.fromkeys(items.items.tolist()) if whole else items.items.tolist()
    return work, work.batch([_augmented(run, items.task, item, items.epoch) for item in chosen])


def _look_ahead(run: TrainingRun, number: int) -> None:
    """Make ready what the next step needs."""
    if number < run.total_steps and run.machine.lookahead:
        with suppress(Exception):  # it fails again at its step, where the processes tell each other
            run.ahead = {number: _inputs(run, number)}


def _augmented(run: TrainingRun, task: str, item: int, epoch: int) -> list[Feature]:
    """The features of an item, with the type's per-epoch randomness drawn for (seed, task, example, epoch)."""
    data, work = run.data[task], run.works[task]
    features = data.items[item]
    augment = data.module.augment
    if augment is None:
        return features
    rng = generator("augment", data.name, data.item_ids[item], epoch, seed=work.seed)
    return [augment(f, rng=rng, tokenizer=work.adapter.tokenizer, options=data.options) for f in features]


def _after_step(run: TrainingRun, done: int, bar: ProgressBar) -> None:
    """Evaluate, log and save where it is due."""
    progress, training = run.progress, run.training
    last = done == run.total_steps
    every = training.eval_every or run.mixture.steps_per_epoch
    evaluates = any(data.validation_features for data in run.data.values()) and (done % every == 0 or last)
    saves = done % run.save_every == 0 and not last
    if evaluates:
        _evaluate(run, done)
    run.due = False
    if evaluates or saves or last or done % LOG_EVERY == 0:
        score = {"english": f"{mean_score(progress.evaluations[-1][1]):.1f}"} if progress.evaluations else {}
        bar.set_postfix(loss=f"{np.mean(progress.losses[-LOG_EVERY:]):.3f}", **score, refresh=False)
        write_log(run)
    if saves:
        save_state(run, done)


def _evaluate(run: TrainingRun, done: int) -> None:
    """Score the English validation rows of every component that has some; a better mean becomes the checkpoint to keep."""
    progress = run.progress
    by_task: dict[str, float] = {}
    for name, data in run.data.items():
        if not data.validation_features:
            continue
        assert data.validation_spec is not None
        in_words = bool(data.question.asks)
        with run.precision.autocast(), gathered_root(run.module) if in_words else nullcontext():
            by_task[name] = evaluate(
                run.adapter,
                data.validation,
                data.validation_features,
                asked=AskedTask(data.validation_spec, data.module, data.options, data.question),
                machine=run.machine,
                title=f"validate {name} at step {done}" if run.machine.progress else "",
                alike=in_words and run.machine.sharding == "full",
            )
    run.module.train()
    score = mean_score(by_task)
    is_best = progress.best_score is None or score > progress.best_score
    if is_best:
        save_checkpoint(run, run.folder / f"best-{done}")
    with held():
        progress.evaluations.append((done, by_task))
        progress.evaluations_since_best = 0 if is_best else progress.evaluations_since_best + 1
        if is_best:
            progress.best_step, progress.best_score = done, score
        patience = run.training.patience
        progress.stopped_early = patience is not None and progress.evaluations_since_best >= patience
        run.due = False


def _finish(run: TrainingRun, *, again: Mapping[str, Any] | None) -> dict[str, Any]:
    """Give the chosen weights the name `checkpoint` and say what happened."""
    progress, folder = run.progress, run.folder
    if progress.best_step is None:
        save_checkpoint(run, folder / "checkpoint")
    return from_first(lambda: _conclude(run, again=again))


def _conclude(run: TrainingRun, *, again: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the first process does of it."""
    if run.progress.best_step is not None:
        best = run.folder / f"best-{run.progress.best_step}"
        write_folder(run.folder / "checkpoint", lambda place: link_folder(best, place))
    facts = training_facts(run) | ({"begun_again_in_float32": dict(again)} if again else {})
    write_json(run.folder / "train.json", facts)
    return facts


def tidy(stage: Stage[TrainArguments], *, root: Path, machine: Machine) -> None:
    """Remove what only an unfinished run needs; called when done.json stands."""
    folder = stage.folder(root)
    forget_attempt(folder)
    States(folder=folder, keep_all=machine.keep == "all").clear()
    for left in folder.glob("best-*"):
        remove_folder(left)
