"""Read what a model got wrong: the row, gold, prediction, how sure the model was, and the prompt as it was sent.

    python run_eval.py errors runs/x --task xnli --languages de -n 5 --setting mnli
    python run_eval.py errors runs/x --task xquad --model mt5-base --seed 1 --draw 7      # drawn by a seed
    python run_eval.py errors runs/x --task mine --include_path my_tasks --right          # your own tasks want their folder

The most confident mistakes come first, where predictions say how confident they are; else those with the lowest score.  Rows are
read where the run read them (--data_dir is remembered).  If they have changed since, ids, gold and predictions are shown alone.
"""

import argparse
import shutil

from harness.api.errors import UserError
from harness.commands._answer_text import answer_lines
from harness.commands._arguments import (
    add_catalog_arguments,
    add_trust_argument,
    catalog_of,
    comma_separated,
    input_path,
    out,
    place_of,
    say,
)
from harness.report.answers.answers import AnswerChoice, Which, cell_answers
from harness.report.answers.asked_rows import RowPlace, model_files
from harness.report.comparison.systems import Scope, cells_in_scope, chosen_cells
from harness.report.record.gather import gather

HELP = "show wrong answers with their rows, scores and prompts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `errors`."""
    parser.add_argument("folders", nargs="+", type=input_path, metavar="RUN", help="folders given as --output_path")
    parser.add_argument("--task", required=True, help="tasks, globs or groups of the run, e.g. xnli")
    parser.add_argument("--languages", default="", help="only these languages, e.g. de,sw (default: all of the task)")
    parser.add_argument("--setting", default="", help="only these intermediate settings, e.g. none or mnli (default: all)")
    parser.add_argument("--model", default="", help="only these models, as the board names them (default: all)")
    parser.add_argument("--seed", default="", help="only these training seeds (default: all)")
    parser.add_argument("-n", type=int, default=5, metavar="N", help="answers of each cell, at most (default: 5; 0: all)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="wrong and right answers")
    which.add_argument("--right", action="store_true", help="right answers")
    parser.add_argument("--draw", type=int, metavar="SEED", help="draw them by this seed, in place of the most confident ones")
    add_catalog_arguments(parser)
    add_trust_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print the answers; 1 if a cell that was asked for has none, being unfinished or damaged."""
    if args.n < 0:
        raise UserError("must not be negative", where="-n", found=str(args.n))
    material = gather(args.folders)
    cells = cells_in_scope(material, Scope(tasks=comma_separated(args.task), languages=comma_separated(args.languages)))
    selectors = {"model": args.model, "intermediate": args.setting, "seed": args.seed}
    for field, text in selectors.items():
        if text:
            where = "--setting" if field == "intermediate" else f"--{field}"
            cells = chosen_cells(cells, {field: tuple(comma_separated(text))}, where=where)
    catalog = catalog_of(args)
    place = place_of(args, runs=args.folders)
    rows = RowPlace(place=place, task_folders=catalog.task_folders(), models=model_files(material))
    which: Which = "all" if args.all else "right" if args.right else "wrong"
    choice = AnswerChoice(which=which, number=args.n or None, draw=args.draw)
    columns = shutil.get_terminal_size((100, 50)).columns
    lacking = 0
    for cell in cells:
        if cell.folder is None:
            say(f"note: no answers of {cell.key.model} + {cell.key.intermediate}, {cell.key.task} {cell.key.lang}: {cell.reason}")
            lacking += 1
            continue
        found = cell_answers(cell, task=material.tasks[cell.key.task], roots=args.folders, rows=rows, choice=choice)
        for line in answer_lines(found, columns=columns):
            out(line)
    return 1 if lacking else 0
