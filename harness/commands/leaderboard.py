"""Make one board of one or several run folders.

python run_eval.py leaderboard runs/x runs/y --output leaderboard.json
"""

import argparse
from pathlib import Path

from harness.commands._arguments import out, say
from harness.errors import UserError
from harness.report import build_board, markdown, write_board

HELP = "merge run folders into one leaderboard.json and print it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `leaderboard`."""
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUN", help="folders given as --output_path")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the JSON (default: only print)")


def run(args: argparse.Namespace) -> int:
    """Build, write and print the board."""
    for folder in args.folders:
        if not (folder / "requests").is_dir():
            raise UserError(f"{folder} is no run folder", expected="the --output_path of a run, which has a folder `requests`")
    board = build_board(args.folders)
    if args.output:
        write_board(board, args.output)
        say(f"board: {args.output}")
    out(markdown(board))
    return 0
