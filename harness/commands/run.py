"""Train what is not trained yet, predict and score all languages, print the board.

    python run_eval.py --model xlm-roberta-base --tasks xnli,panx --intermediate none,mnli --output_path runs/x

Everything finished is kept below --output_path and never made again; the same command after a crash goes on where it was.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.commands import plan as plan_command
from harness.commands._arguments import (
    add_machine_arguments,
    add_request_arguments,
    catalog_of,
    out,
    place_of,
    say,
)
from harness.commands._requests import plans_of, print_remarks
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.overlaps import find_overlaps
from harness.planning.plan import Plan, make_plan
from harness.planning.replacement_seeds import DegenerateRun, degenerate_runs, replaced_by, with_replacements
from harness.planning.request import RunRequest
from harness.report.board.references import named_references
from harness.report.record.writer import write_request
from harness.runtime.machine import Machine
from harness.runtime.outputs import make_output_folder, output_folder
from harness.runtime.processes import is_first
from harness.runtime.stages import sweep_stale

if TYPE_CHECKING:
    from harness.executors.local import Report

HELP = "train, predict, score and print the board (the default)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `run`."""
    add_request_arguments(parser)
    add_machine_arguments(parser)
    parser.add_argument("--dry_run", action="store_true", help="only print the plan, as the command `plan` does")
    parser.add_argument(
        "--replace_degenerate",
        action="store_true",
        help="run a seed that has learnt nothing again with another, in all intermediate settings of its task; the board says so",
    )
    parser.add_argument(
        "--verify", action="store_true", help="check all that finished stages wrote against its hashes, weights included"
    )
    parser.add_argument(
        "--references", default="", metavar="NAME,...", help="published numbers to show on the board (see `ls references`)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the plan; 1 if a cell has no score."""
    if args.dry_run:
        return plan_command.run(args)
    root = output_folder(args.output_path, where="--output_path")
    references = named_references(args.references)
    catalog = catalog_of(args)
    place = place_of(args, runs=[root])
    plans, machine = plans_of(args, catalog, place)
    print_remarks(catalog, plans)
    if is_first():
        make_output_folder(root, where="--output_path")
        sweep_stale(root)
        sweep_stale(root / "requests")
    ends = [_run_model(plan, args, catalog=catalog, place=place, machine=machine) for plan in plans]
    if not is_first():
        return 0
    if not any(end.has_scores for end in ends):
        return 1
    from harness.report.board.board import build_board, write_board
    from harness.report.board.markdown import markdown
    from harness.report.board.notes import stand_ins

    board = build_board([root], requests=[end.request.name for end in ends], references=references)
    write_board(board, root / "leaderboard.json")
    out(markdown(board))
    for text in stand_ins(board):
        say(f"note: {text}")
    say(f"board: {root / 'leaderboard.json'}{_of_others(root, own=len(ends))}")
    return 0 if all(end.is_complete for end in ends) else 1


class _End(NamedTuple):
    """What became of the request for one model."""

    request: Path
    has_scores: bool
    is_complete: bool


def _run_model(plan: Plan, args: argparse.Namespace, *, catalog: Catalog, place: DataPlace, machine: Machine) -> _End:
    """All stages of one model; degenerate seeds again with others, if that is asked for."""
    root = Path(args.output_path)
    replaced: list[dict[str, object]] = []
    while True:
        report, request = _execute(plan, args, catalog=catalog, machine=machine, replaced=replaced)
        found = degenerate_runs(plan, root=root)
        again = with_replacements(plan.request, found) if args.replace_degenerate else None
        replaced += [_replacement(run, plan, again) for run in found if args.replace_degenerate]
        if again is None:
            break
        if is_first():
            say(f"{len(found)} degenerate runs: again with other seeds")
            request.unlink()
        plan = make_plan(again, catalog=catalog, place=place)
    has_scores = any(cell.score and cell.score.is_done(root) for cell in plan.cells)
    if not is_first():
        return _End(request, has_scores, is_complete=True)
    overlaps = find_overlaps(plan, root=root, machine=machine)
    failures = [(stage.name, error) for stage, error in report.failed]
    write_request(plan, catalog=catalog, root=root, overlaps=overlaps, failures=failures, replaced=replaced, is_end=True)
    blocked = _tell(plan, report)
    return _End(request, has_scores, is_complete=not (report.failed or report.not_run or blocked))


def _execute(
    plan: Plan,
    args: argparse.Namespace,
    *,
    catalog: Catalog,
    machine: Machine,
    replaced: Sequence[Mapping[str, object]],
) -> tuple["Report", Path]:
    """Run the stages; under torchrun all but the first process train and predict with it and write nothing."""
    request = root = Path(args.output_path)
    if is_first():
        todo = [stage for stage in plan.stages if not stage.is_done(root)]
        done = len(plan.stages) - len(todo)
        counts = f"{len(plan.cells)} scores, {len(plan.stages)} stages"
        say(f"{plan.backbone.name}: {counts}: {done} done, {len(todo)} to do, in {root}")
        request = write_request(plan, catalog=catalog, root=root, replaced=replaced)
    from harness.executors.local import execute  # imports torch

    return execute(plan.stages, root=root, machine=machine, verify=args.verify), request


def _of_others(root: Path, *, own: int) -> str:
    """That the board is of this command's own requests, where the folder holds others."""
    number = len(list((root / "requests").glob("*.json"))) - own
    return f" (of this command; `leaderboard {root}` has those of {number} more)" if number else ""


def _replacement(run: DegenerateRun, plan: Plan, again: RunRequest | None) -> dict[str, object]:
    """A degenerate run as the board lists it."""
    return {
        "model": plan.backbone.name,
        "intermediate": run.intermediate,
        "task": run.task,
        "recipe": run.recipe,
        "seed": run.seed,
        "by": replaced_by(run, plan.request, again),
        "stage": run.stage,
        "why": run.why,
    }


def _tell(plan: Plan, report: "Report") -> list[str]:
    """Say on stderr what was not done and why; returns the reasons of blocked cells."""
    missing, mistakes = plan.missing(), [str(error) for error in plan.wrong()]
    for stage, fault in report.made_again:
        say(f"made again: {stage.name} ({fault})")
    for reason in missing:
        say(f"missing: {reason}")
    for reason in mistakes:
        say(f"wrong: {reason}")
    for stage, error in report.failed:
        say(f"failed: {stage.name}\n  {error}")
    for stage in report.not_run:
        say(f"not run: {stage.name} (it needs a stage that failed)")
    if report.failed or report.not_run:
        counts = f"{len(report.done)} done now, {len(report.reused)} done before"
        say(f"{counts}, {len(report.failed)} failed, {len(report.not_run)} not run")
    return missing + mistakes
