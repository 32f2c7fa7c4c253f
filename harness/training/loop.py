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

from harness.api.errors import UserError
from harness.api.progress import ProgressBar, progress_bar, tell
from harness.api.protocols import Feature
from harness.api.randomness import generator
from harness.prediction.loop import AskedTask, evaluate
from harness.runtime.arguments import TrainArguments
from harness.runtime.budget import TrainingBudget
from harness.runtime.folders import link_folder, remove_folder, write_folder
from harness.runtime.interruption import Interrupted, held
from harness.runtime.machine import Machine
from harness.runtime.processes import from_first, rank, together
from harness.runtime.stages import Stage, write_json
from harness.training.gradients import batch_gradients
from harness.training.outcome import training_facts
from harness.training.progress import Log, Progress, mean_score
from harness.training.setup import TrainingRun, prepare
from harness.training.states import States

LOG_EVERY = 10
"Steps between writes to the log."
CHEAP_BYTES = 4 << 30
"Size of a state up to which a training that is told to end writes it: a matter of seconds, before it is ended by force."


def train(stage: Stage[TrainArguments], *, root: Path, machine: Machine) -> dict[str, Any]:
    """Train the stage's checkpoint, resuming from its last state; returns the facts that go into train.json."""
    with together():
        run = prepare(stage, root=root, machine=machine)
        start = _resume(run)
    shown = machine.progress and rank() == 0
    bar = progress_bar(f"train {stage.label}", total=run.total_steps, initial=start, unit="step", stays=True, shown=shown)
    try:
        with bar:
            if run.due:  # the run before was told to end while it evaluated
                _after_step(run, start, bar)
            for step in range(start, run.total_steps):
                if run.progress.stopped_early:
                    break
                _step(run, step)
                bar.update()
                _say_if_slow(run)
                _after_step(run, step + 1, bar)
    except Interrupted:
        _save_on_leaving(run)
        raise
    return from_first(lambda: _finish(run))


def _resume(run: TrainingRun) -> int:
    """Restore the newest state, if there is one; returns the number of steps done."""
    state = run.states.newest(tell=_tell)
    if state is not None:
        run.module.load_state_dict(state.tensors["model"])
        run.optimizer.load_state_dict(state.tensors["optimizer"])
        run.scheduler.load_state_dict(state.facts["scheduler"])
        if run.accelerator.scaler is not None:
            run.accelerator.scaler.load_state_dict(state.tensors["scaler"])
        run.progress = Progress(**state.facts["progress"])
        run.due = state.facts.get("due", False)
        if "budget" in state.facts:
            run.budget.go_on(TrainingBudget(**state.facts["budget"]), wanted=run.machine.batch_tokens is not None)
    if rank() == 0:
        run.log = Log(run.folder / "log.jsonl", run.progress)
    return state.step if state else 0


def _tell(text: str) -> None:
    """Say something beside the progress bar, once."""
    if rank() == 0:
        tell(text)


def _save_state(run: TrainingRun, step: int) -> None:
    """Write everything that _resume needs; tied weights are written once by torch.save."""
    tensors = {"model": run.module.state_dict(), "optimizer": run.optimizer.state_dict()}
    if run.accelerator.scaler is not None:
        tensors["scaler"] = run.accelerator.scaler.state_dict()
    facts = {"progress": vars(run.progress), "scheduler": run.scheduler.state_dict(), "due": run.due}
    facts["budget"] = vars(run.budget)
    run.states.save(step, tensors, facts)
    for old in run.folder.glob("best-*"):
        if old.name != f"best-{run.progress.best_step}":
            remove_folder(old)


def _save_on_leaving(run: TrainingRun) -> None:
    """Save the state of the last step that is wholly done, where that is a matter of seconds; called when told to end."""
    step = len(run.progress.losses)
    if rank() == 0 and run.whole and step > 0 and step not in run.states.steps() and _bytes_of_state(run) <= CHEAP_BYTES:
        _save_state(run, step)
        _tell(f"{run.folder.name}: the state of step {step} is saved")


def _bytes_of_state(run: TrainingRun) -> int:
    """Bytes of the tensors of a state."""
    moments = (value for own in run.optimizer.state_dict()["state"].values() for value in own.values())
    tensors = [value for value in (*run.module.state_dict().values(), *moments) if hasattr(value, "element_size")]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _say_if_slow(run: TrainingRun) -> None:
    remark = run.pace.remark()
    if remark and run.machine.progress:
        _tell(f"note on {run.folder.name}: {remark}")


def _step(run: TrainingRun, number: int) -> None:
    """One optimizer step."""
    with together():
        items = run.mixture.step(number)
        # A language that gets more than its share of an epoch may bring an item twice: as its own negative it would mislead.
        whole = run.data[items.task].module.EXAMPLES_ARE_ITEMS
        chosen = dict.fromkeys(items.items.tolist()) if whole else items.items.tolist()
        groups = [_augmented(run, items.task, item, items.epoch) for item in chosen]
    with run.pace.step(tokens=sum(len(feature.input_ids) for group in groups for feature in group)):
        loss = batch_gradients(run.works[items.task], groups, step=number)
    with together():
        if not math.isfinite(loss):
            raise UserError(
                f"the loss became {loss} at step {number + 1}",
                where=str(run.folder),
                todo="lower learning_rate, add warmup, or train in float32",
            )
    if run.training.max_grad_norm:
        run.accelerator.clip_grad_norm_(run.module.parameters(), run.training.max_grad_norm)
    with held():  # told to end before, the weights are those of the step before; behind it, those of this one
        run.whole = False
        run.optimizer.step()
        run.scheduler.step()
        run.optimizer.zero_grad()
        run.progress.losses.append(loss)
        run.due = run.whole = True


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
        from_first(lambda: _write_log(run))
    if saves:
        from_first(lambda: _save_state(run, done))


def _write_log(run: TrainingRun) -> None:
    if run.log is not None:
        run.log.write()


def _evaluate(run: TrainingRun, done: int) -> None:
    """Score the English validation rows of every component that has some; a better mean becomes the checkpoint to keep."""
    progress = run.progress
    by_task: dict[str, float] = {}
    for name, data in run.data.items():
        if not data.validation_features:
            continue
        assert data.validation_spec is not None
        with run.accelerator.autocast():
            by_task[name] = evaluate(
                run.adapter,
                data.validation,
                data.validation_features,
                asked=AskedTask(data.validation_spec, data.module, data.options, data.question),
                machine=run.machine,
                title=f"validate {name} at step {done}" if run.machine.progress else "",
            )
    run.module.train()
    score = mean_score(by_task)
    is_best = progress.best_score is None or score > progress.best_score
    if is_best:
        from_first(lambda: write_folder(run.folder / f"best-{done}", lambda place: run.adapter.save(str(place))))
    with held():
        progress.evaluations.append((done, by_task))
        progress.evaluations_since_best = 0 if is_best else progress.evaluations_since_best + 1
        if is_best:
            progress.best_step, progress.best_score = done, score
        patience = run.training.patience
        progress.stopped_early = patience is not None and progress.evaluations_since_best >= patience
        run.due = False


def _finish(run: TrainingRun) -> dict[str, Any]:
    """Give the chosen weights the name `checkpoint` and say what happened."""
    progress, folder = run.progress, run.folder
    if progress.best_step is None:
        write_folder(folder / "checkpoint", lambda place: run.adapter.save(str(place)))
    else:
        best = folder / f"best-{progress.best_step}"
        write_folder(folder / "checkpoint", lambda place: link_folder(best, place))
    facts = training_facts(run)
    write_json(folder / "train.json", facts)
    return facts


def tidy(stage: Stage[TrainArguments], *, root: Path, machine: Machine) -> None:
    """Remove what only an unfinished run needs; called when done.json stands."""
    folder = stage.folder(root)
    States(folder=folder, keep_all=machine.keep == "all").clear()
    for left in folder.glob("best-*"):
        remove_folder(left)
