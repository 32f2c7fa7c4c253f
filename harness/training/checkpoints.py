"""What a training writes down of its weights: resumable states, and checkpoints that others load.

save_state(run, step); step = resume(run)          # in all processes: each writes and reads its own part
save_checkpoint(run, run.folder / "best-300")       # an ordinary folder; a divided model passes through tensor by tensor
"""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.progress import tell
from harness.runtime.budget import TrainingBudget
from harness.runtime.folders import remove_folder, write_folder
from harness.runtime.processes import from_first, num_ranks, rank, together
from harness.training.progress import Log, Progress
from harness.training.setup import TrainingRun
from harness.training.sharding import is_divided, whole_tensors
from harness.training.states import State
from harness.training.trackers import Trackers
from harness.training.word_rows import read_rows, share_left, take_rows

if TYPE_CHECKING:
    import torch

CHEAP_BYTES = 4 << 30
"Size of a process's part of a state up to which a training that is told to end writes it: a matter of seconds."


def resume(run: TrainingRun) -> int:
    """Restore the newest state, if there is one; returns the number of steps done."""
    state = run.states.newest(tell=say)
    if state is not None and _is_of_other_words(run, state):
        say(f"{run.folder.name}: the state of step {state.step} is not used: its rows look up other words than those of now")
        state = None
    if state is not None:
        room = run.optimizer.restore(state.facts["optimizer"])
        _read_tensors(run, state, _named(run.optimizer.parameters, room))
        run.scheduler.load_state_dict(state.facts["scheduler"])
        for group, rate in zip(run.optimizer.param_groups, run.scheduler.get_last_lr(), strict=True):
            group["lr"] = rate
        run.precision.go_on(state.facts["precision"])
        run.progress = Progress(**state.facts["progress"])
        run.saved = run.progress.so_far
        run.due = state.facts["due"]
        run.budget.go_on(TrainingBudget(**state.facts["budget"]), wanted=run.machine.batch_tokens is not None)
    if rank() == 0:
        start, settings = state.step if state else 0, run.training.model_dump()
        trackers = Trackers(run.machine.trackers, folder=run.folder, start=start, settings=settings)
        run.log = Log(run.folder / "log.jsonl", run.progress, trackers=trackers)
    return state.step if state else 0


def _read_tensors(run: TrainingRun, state: State, tensors: dict[str, torch.Tensor]) -> None:
    """Fill tensors from a state, of which another number of processes may have trained more or fewer rows of a table."""

    def read(wanted: dict[str, torch.Tensor]) -> None:
        run.states.read(state, wanted)

    there, here = state.facts.get("word_rows"), run.word_rows
    if there and not here:
        read_rows(tensors, read, name=there["name"], ids=run.word_ids, share=_share_left(run, state.step))
    elif here and not there:
        take_rows(tensors, read, rows=here)
    else:
        read(tensors)


def _is_of_other_words(run: TrainingRun, state: State) -> bool:
    """Whether a state holds rows of a table for other words: of which rows there are decides also what could not be read."""
    there = state.facts.get("word_rows")
    return there is not None and (run.word_ids is None or there["ids"] != _hash_of(run.word_ids))


def _hash_of(ids: torch.Tensor) -> str:
    return hashlib.sha256(ids.numpy().tobytes()).hexdigest()[:16]


def _share_left(run: TrainingRun, steps: int) -> float:
    return share_left(run.training, steps=steps, total_steps=run.total_steps)


def save_state(run: TrainingRun, step: int) -> None:
    """Write everything that `resume` needs; what is not trained is where the stage began."""
    facts = {
        "progress": vars(run.progress),
        "scheduler": run.scheduler.state_dict(),
        "optimizer": run.optimizer.steps(),
        "precision": run.precision.facts(),
        "due": run.due,
        "budget": vars(run.budget),
        "word_rows": {"name": run.word_rows.name, "ids": _hash_of(run.word_ids)} if run.word_rows else None,
    }
    run.states.save(step, _named(run.optimizer.parameters, run.optimizer.tensors()), facts)
    run.saved = run.progress.so_far
    from_first(lambda: _forget_worse(run))


def _named(parameters: dict[str, torch.nn.Parameter], moments: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a state: trained parameters, and what the optimizer knows of them."""
    weights = {f"model/{name}": parameter.detach() for name, parameter in parameters.items()}
    return {**weights, **{f"optimizer/{name}": tensor for name, tensor in moments.items()}}


def _forget_worse(run: TrainingRun) -> None:
    for old in run.folder.glob("best-*"):
        if old.name != f"best-{run.progress.best_step}":
            remove_folder(old)


def save_on_leaving(run: TrainingRun) -> None:
    """Save the state of the last step that is wholly done, where that is a matter of seconds; called when told to end."""
    step = len(run.progress.losses)
    tensors = [*run.optimizer.parameters.values(), *run.optimizer.tensors().values()]
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if run.whole and step > 0 and run.saved != run.progress.so_far and size <= CHEAP_BYTES * num_ranks():
        save_state(run, step)
        write_log(run)  # trackers that go on behind this state have what came before
        say(f"{run.folder.name}: the state of step {step} is saved")


def write_log(run: TrainingRun) -> None:
    """Have the first process append to the log what is new; called by all."""
    log = run.log
    from_first(lambda: log.write() if log is not None else None)


def save_checkpoint(run: TrainingRun, folder: Path) -> None:
    """Write a checkpoint by the first process, with the help of the others where the model is divided among them."""
    if not is_divided(run.module):
        rows, steps = run.word_rows, len(run.progress.losses)
        with rows.whole(share=_share_left(run, steps)) if rows else nullcontext():
            write_folder(folder, lambda place: run.adapter.save(str(place)))
        return
    tensors = whole_tensors(run.module)
    with together():
        try:
            if rank() == 0:
                write_folder(folder, lambda place: run.adapter.save(str(place), tensors=tensors))
        finally:
            for _ in tensors:  # the others give their parts to the end, whatever becomes of it here
                pass


def say(text: str) -> None:
    """Say something beside the progress bar, once."""
    if rank() == 0:
        tell(text)
