"""Show what a run would do, without loading a model: stages, examples, steps, memory and disk.

python run_eval.py plan --model xlm-roberta-base --tasks xnli,xquad --intermediate none,mnli
"""

import argparse
from pathlib import Path

from harness.commands._arguments import (
    add_machine_arguments,
    add_request_arguments,
    catalog_of,
    machine_of,
    out,
    place_of,
    request_of,
)
from harness.commands._table import table
from harness.estimates import Estimate, estimate
from harness.plan import Plan, make_plan
from harness.stages import Stage

HELP = "show the stages of a run: done, to do, blocked; steps, memory, disk"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `plan`: those of `run`."""
    add_request_arguments(parser)
    add_machine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the plan; 1 if some cells are blocked."""
    catalog = catalog_of(args)
    plan = make_plan(request_of(args), catalog=catalog, place=place_of(args))
    machine = machine_of(args, catalog)
    root = Path(args.output_path)
    out(_training_table(plan, root, estimate(plan, root=root, machine=machine)))
    return 1 if any(cell.blocked for cell in plan.cells) else 0


def _users(plan: Plan, stage: Stage) -> int:
    """Scores that come from a stage."""
    return sum(cell.score is not None and stage.key in {s.key for s in _ancestors(cell.score)} for cell in plan.cells)


def _ancestors(stage: Stage) -> list[Stage]:
    return [stage, *(found for parent in stage.inputs for found in _ancestors(parent))]


def _training_table(plan: Plan, root: Path, numbers: Estimate) -> str:
    """All of the plan as text."""
    rows = []
    for stage in plan.stages:
        if stage.verb in ("init", "train"):
            cost = numbers.training.get(stage.key)
            state = "done" if stage.is_done(root) else "to do"
            rows.append([stage.name, state, f"{_users(plan, stage)}", *(cost.shown() if cost else ("-", "-", "-"))])
    parts = []
    if rows:
        parts.append(table(["stage", "state", "scores", "rows", "batch", "steps"], rows))
    counts = []
    for verb in ("init", "train", "predict", "score"):
        stages = [stage for stage in plan.stages if stage.verb == verb]
        done = sum(stage.is_done(root) for stage in stages)
        if stages:
            counts.append([verb, f"{len(stages)}", f"{done}", f"{len(stages) - done}"])
    parts.append(table(["verb", "stages", "done", "to do"], counts))
    parts.append(_predictions(plan, root, numbers))
    parts.append("\n".join(numbers.notes))
    blocked = list(dict.fromkeys(cell.blocked for cell in plan.cells if cell.blocked))
    if blocked:
        parts.append(f"{sum(bool(cell.blocked) for cell in plan.cells)} scores are blocked:\n" + "\n".join(blocked))
    return "\n\n".join(part for part in parts if part)


def _predictions(plan: Plan, root: Path, numbers: Estimate) -> str:
    """Test rows per task."""
    rows = []
    for task, entry in plan.tasks.items():
        cells = [cell for cell in plan.cells if cell.task == task]
        stages = {cell.predict.key: cell.predict for cell in cells if cell.predict}
        langs = {cell.lang for cell in cells if cell.score}
        done = sum(stage.is_done(root) for stage in stages.values())
        examples = numbers.test_rows.get(task)
        rows.append(
            [
                task,
                f"{len(langs)}/{len(entry.spec.languages)}",
                f"{len(stages)}",
                f"{done}",
                "?" if examples is None else f"{examples:,}",
            ]
        )
    return table(["target", "languages", "predictions", "done", "test rows a checkpoint"], rows)
