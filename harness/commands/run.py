"""Train what is not trained yet, predict and score all languages, print the scores and the lifts.

    python run_eval.py --model xlm-roberta-base --tasks xnli,panx --intermediate none,mnli --output_path runs/x

Everything finished is kept below --output_path and never made again; the same command after a crash goes on where it was.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from harness.api.protocols import Json
from harness.commands import plan as plan_command
from harness.commands._arguments import (
    add_cost_arguments,
    add_machine_arguments,
    add_request_arguments,
    catalog_of,
    out,
    place_of,
    say,
)
from harness.commands._execution import add_executor_arguments, execution_of
from harness.commands._model_run import run_model
from harness.commands._requests import check_fit, device_of, plans_of, print_remarks
from harness.report.board.references import named_references
from harness.runtime.outputs import make_output_folder, output_folder
from harness.runtime.processes import is_first
from harness.runtime.stages import in_order, sweep_stale

HELP = "train, predict, score, print scores and lifts (the default); `leaderboard` prints all of it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `run`."""
    add_request_arguments(parser)
    add_machine_arguments(parser)
    add_executor_arguments(parser)
    add_cost_arguments(parser)
    parser.set_defaults(json=False)  # for --dry_run
    parser.add_argument(
        "--ignore_memory", action="store_true", help="run stages that cannot fit into the memory of the device as well"
    )
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


class RunEnd(NamedTuple):
    """What became of a run."""

    board: Mapping[str, Json] | None
    "The scores that there are; None where there is none, and in all processes but the first."
    text: str
    "The board on one screen; empty where there is none."
    stand_ins: tuple[str, ...]
    "Scores that are of another metric than the task's file names."
    is_complete: bool
    "Whether every cell has its score."


def run(args: argparse.Namespace) -> int:
    """Run the plan and print the scores; 1 if a cell has none."""
    if args.dry_run:
        return plan_command.run(args)
    end = evaluate(args)
    if end.text:
        out(end.text)
    for text in end.stand_ins:
        say(f"note: {text}")
    return 0 if end.is_complete else 1


def evaluate(args: argparse.Namespace) -> RunEnd:
    """Train, predict and score what is not done yet, and make the board; raises UserError."""
    root = output_folder(args.output_path, where="--output_path")
    execution = execution_of(args)
    references = named_references(args.references)
    catalog = catalog_of(args)
    place = place_of(args, runs=[root])
    plans, machine = plans_of(args, catalog, place)
    print_remarks(catalog, plans)
    check_fit(args, plans, catalog, root=root, machine=machine)
    if args.on:
        execution.reckon(plans, machine=machine, device=device_of(args, catalog))
    if is_first():
        make_output_folder(root, where="--output_path")
        sweep_stale(root)
        sweep_stale(root / "requests")
    if len(plans) > 1:
        execution.run_ahead(in_order(stage for plan in plans for stage in plan.stages), root=root, machine=machine)
    ends = [run_model(plan, args, execution, catalog=catalog, place=place, machine=machine) for plan in plans]
    if not is_first():
        return RunEnd(None, "", (), is_complete=True)
    if not any(end.has_scores for end in ends):
        return RunEnd(None, "", (), is_complete=False)
    from harness.report.board.board import build_board, write_board
    from harness.report.board.notes import stand_ins
    from harness.report.board.summary import BOARD_FILE, summary

    board = build_board([root], requests=[end.request.name for end in ends], references=references)
    write_board(board, root / BOARD_FILE)
    text = summary(board, root, others=_num_others(root, own=len(ends)))
    return RunEnd(board, text, tuple(stand_ins(board)), is_complete=all(end.is_complete for end in ends))


def _num_others(root: Path, *, own: int) -> int:
    """How many requests the folder holds beside those of this command."""
    return len(list((root / "requests").glob("*.json"))) - own
