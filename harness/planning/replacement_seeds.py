"""Runs that have learnt nothing, and the seeds that take their place on request (--replace_degenerate).

    found = degenerate_runs(plan, root=root)           # what to say on the board
    request = with_replacements(plan, found)           # the same request with other seeds, or None if there is nothing to replace

A seed is replaced for a task in all intermediate settings at once: lifts pair runs of one seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.planning.plan import Plan
from harness.planning.request import RunRequest
from harness.runtime.stages import TrainingPhase, read_json

MOST_TRIES = 3
"Seeds that are tried in the place of one."


@dataclass(frozen=True, kw_only=True, order=True)
class DegenerateRun:
    """A training of the run that has learnt nothing."""

    intermediate: str
    task: str | None
    "The target; None where it is the intermediate phase."
    tasks: tuple[str, ...]
    "The targets that rest on it."
    recipe: str
    seed: int
    stage: str
    why: str


def degenerate_runs(plan: Plan, *, root: Path) -> list[DegenerateRun]:
    """The finished trainings behind the plan's cells that say of themselves that they have learnt nothing."""
    tasks: dict[tuple[str, str | None, int, str], dict[str, None]] = {}
    why: dict[str, str] = {}
    for cell in plan.cells:
        for stage in cell.train:
            if stage.name not in why:
                done = stage.folder(root) / "done.json"
                why[stage.name] = (read_json(done).get("degenerate") or "") if done.is_file() else ""
            if why[stage.name]:
                key = (cell.intermediate, cell.task if stage.phase == TrainingPhase.TARGET else None, stage.args.seed, stage.name)
                tasks.setdefault(key, {})[cell.task] = None
    return [
        DegenerateRun(
            intermediate=intermediate,
            task=task,
            tasks=tuple(found),
            recipe=plan.recipe.spec.recipe,
            seed=seed,
            stage=stage,
            why=why[stage],
        )
        for (intermediate, task, seed, stage), found in tasks.items()
    ]


def with_replacements(request: RunRequest, found: Sequence[DegenerateRun]) -> RunRequest | None:
    """The request with another seed for each task whose run is degenerate; None if none is, or none may be tried any more."""
    seeds = request.seeds
    now = {(task, asked): new for task, asked, new in request.replaced}
    changed = False
    for task in dict.fromkeys(task for run in found for task in run.tasks):
        bad = {run.seed for run in found if task in run.tasks}
        for place, asked in enumerate(seeds):
            current = now.get((task, asked), asked)
            tries = 0 if current == asked else (current - max(seeds) - 1 - place) // len(seeds) + 1
            if current in bad and tries < MOST_TRIES:
                now[task, asked] = max(seeds) + 1 + place + tries * len(seeds)
                changed = True
    return replace(request, replaced=tuple((task, asked, new) for (task, asked), new in sorted(now.items()))) if changed else None


def replaced_by(run: DegenerateRun, before: RunRequest, after: RunRequest | None) -> int | None:
    """The seed that stands in the place of a degenerate one; None if it was not replaced."""
    if after is None:
        return None
    task = run.tasks[0]
    asked = next(seed for seed in before.seeds if before.seed_of(task, seed) == run.seed)
    new = after.seed_of(task, asked)
    return new if new != run.seed else None
