"""Remove stages of a run folder: those of some cells, to have them made again, and those that nothing asks for any more.

    python run_eval.py clean runs/x --tasks xnli --languages de          # what would go: prints it and removes nothing
    python run_eval.py clean runs/x --tasks xnli --languages de --yes    # then the command of the run makes it again
    python run_eval.py clean runs/x --older --yes                        # what only older requests asked for, and their files

Only what serves these cells alone goes: a checkpoint that other cells rest on stays, and so does what a running process holds or
reads.
"""

import argparse

from harness.api.errors import UserError
from harness.commands._arguments import comma_separated, input_path, out, say
from harness.commands._table import table
from harness.report.cleaning import Removable, find_removable, remove

HELP = "remove stages of a run folder, so that they are made again or because nothing asks for them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `clean`."""
    parser.add_argument("folders", nargs="+", type=input_path, metavar="RUN", help="folders given as --output_path")
    parser.add_argument("--tasks", default="", help="stages of these tasks, globs or groups of the run, e.g. xnli,xquad")
    parser.add_argument("--languages", default="", help="stages of these languages, e.g. de,sw (default: all)")
    parser.add_argument("--older", action="store_true", help="also what no request of today rests on")
    parser.add_argument("--yes", action="store_true", help="remove it; without this flag nothing is removed")


def run(args: argparse.Namespace) -> int:
    """Print, and with --yes remove; 1 if something that was to go is in use."""
    tasks, languages = comma_separated(args.tasks), comma_separated(args.languages)
    if not (tasks or languages or args.older):
        todo = "name --tasks or --languages, or say --older"
        raise UserError("which stages?", where="clean", todo=todo)
    found = [
        each
        for folder in dict.fromkeys(args.folders)
        for each in find_removable(folder, tasks=tasks, languages=languages, older=args.older)
    ]
    free = [each for each in found if not each.in_use]
    if free:
        rows = [[str(each.path), f"{each.num_bytes:,}", each.why] for each in free]
        out(table(["stage", "bytes", "of"], rows))
    if not args.yes:
        _say_kept([each for each in found if each.in_use])
        out(f"{_amount(free)} would be removed" + ("; --yes does it" if free else ""))
        return 0
    outcome = remove(found)
    _say_kept(outcome.kept)
    out(f"{_amount(outcome.removed)} removed")
    return 1 if outcome.kept else 0


def _say_kept(kept: list[Removable]) -> None:
    for each in kept:
        say(f"stays: {each.path}: {each.in_use or 'a running process holds it'}")


def _amount(found: list[Removable]) -> str:
    stages = sum(not each.name.startswith("requests/") for each in found)
    files = len(found) - stages
    more = f" and {files} request file{'' if files == 1 else 's'}" if files else ""
    return f"{stages} stage{'' if stages == 1 else 's'}{more}, {sum(each.num_bytes for each in found):,} bytes"
