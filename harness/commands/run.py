"""Train what is not trained yet, predict and score all languages, print the board.

    python run_eval.py --model xlm-roberta-base --tasks xnli,panx --intermediate none,mnli --output_path runs/x

Everything finished is kept below --output_path and never made again; the same command after a crash goes on where it was.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import plan as plan_command
from harness.commands._arguments import (
    add_machine_arguments,
    add_request_arguments,
    catalog_of,
    machine_of,
    out,
    place_of,
    request_of,
    say,
)
from harness.overlap_report import find_overlaps
from harness.plan import Plan, make_plan
from harness.processes import is_first
from harness.report.references import named_references
from harness.requests import write_request

if TYPE_CHECKING:
    from harness.executors.local import Report

HELP = "train, predict, score and print the board (the default)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `run`."""
    add_request_arguments(parser)
    add_machine_arguments(parser)
    parser.add_argument("--dry_run", action="store_true", help="only print the plan, as the command `plan` does")
    parser.add_argument(
        "--references", default="", metavar="NAME,...", help="published numbers to show on the board (see `ls references`)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the plan; 1 if a cell has no score."""
    if args.dry_run:
        return plan_command.run(args)
    references = named_references(args.references)
    catalog = catalog_of(args)
    plan = make_plan(request_of(args), catalog=catalog, place=place_of(args))
    machine = machine_of(args, catalog)
    root = Path(args.output_path)
    if not is_first():  # under torchrun: it trains and predicts with the first process, which does all else
        from harness.executors.local import execute

        execute(plan.stages, root=root, machine=machine)
        return 0
    todo = [stage for stage in plan.stages if not stage.is_done(root)]
    say(f"{len(plan.cells)} scores, {len(plan.stages)} stages: {len(plan.stages) - len(todo)} done, {len(todo)} to do, in {root}")
    request = write_request(plan, catalog=catalog, root=root)
    from harness.executors.local import execute  # imports torch

    report = execute(plan.stages, root=root, machine=machine)
    overlaps = find_overlaps(plan, machine=machine)
    write_request(plan, catalog=catalog, root=root, overlaps=overlaps, failures=[(s.name, error) for s, error in report.failed])
    blocked = _tell(plan, report)
    if not any(cell.score and cell.score.is_done(root) for cell in plan.cells):
        return 1
    from harness.report import build_board, markdown, write_board

    board = build_board([root], requests=[request.name], references=references)
    write_board(board, root / "leaderboard.json")
    out(markdown(board))
    say(f"board: {root / 'leaderboard.json'}")
    return 1 if report.failed or report.not_run or blocked else 0


def _tell(plan: Plan, report: "Report") -> list[str]:
    """Say on stderr what was not done and why; returns the reasons of blocked cells."""
    blocked = plan.missing()
    for reason in blocked:
        say(f"missing: {reason}")
    for stage, error in report.failed:
        say(f"failed: {stage.name}\n  {error}")
    for stage in report.not_run:
        say(f"not run: {stage.name} (it needs a stage that failed)")
    if report.failed or report.not_run:
        counts = f"{len(report.done)} done now, {len(report.reused)} done before"
        say(f"{counts}, {len(report.failed)} failed, {len(report.not_run)} not run")
    return blocked
