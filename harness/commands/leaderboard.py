"""Make one board of one or several run folders.

python run_eval.py leaderboard runs/x runs/y --output leaderboard.json
python run_eval.py leaderboard runs/x --by family,covered --references xlmr_large_xtreme,mt5_base
python run_eval.py leaderboard runs/x --older show        # with the scores of older requests that newer ones took the place of
python run_eval.py leaderboard runs/x --csv tables/ --latex tables/ --figures figures/       # for papers: see docs/papers.md
python run_eval.py leaderboard runs/x --export lm_eval=results --export every_eval_ever=eee      # for other programs
python run_eval.py leaderboard runs/x --export model_card=cards      # as metadata of model cards; --push_card sends them
python run_eval.py leaderboard runs/x --html report.html --examples 3      # a page to look at, with some predictions of each cell
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.api.errors import UserError, did_you_mean, raise_all
from harness.api.path_names import path_named
from harness.api.protocols import Json
from harness.commands._arguments import add_catalog_arguments, catalog_of, comma_separated, input_path, out, place_of, say
from harness.data.languages import GROUPINGS
from harness.report.answers.asked_rows import RowPlace, model_files
from harness.report.board.board import build_board, write_board
from harness.report.board.markdown import markdown
from harness.report.board.references import named_references, unused_references
from harness.report.exports.export_files import FORMATS, write_exports
from harness.report.exports.model_card import push_results
from harness.report.figures.figure_files import studies_of, write_figures
from harness.report.figures.study_numbers import StudyNumbers
from harness.report.page.examples import ShownExamples, prediction_examples
from harness.report.page.page import page, write_page
from harness.report.papers.latex_tables import write_latex
from harness.report.papers.table_files import write_tables
from harness.report.record.gather import Material, gather
from harness.runtime.outputs import check_output_file, check_output_folder, output_path

FOLDERS = ("csv", "latex", "figures")
"Flags that name a folder to write to."
HELP = "merge run folders into one leaderboard.json and print it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `leaderboard`."""
    parser.add_argument("folders", nargs="+", type=input_path, metavar="RUN", help="folders given as --output_path")
    parser.add_argument("--output", type=output_path, metavar="FILE", help="where to write the JSON (default: only print)")
    parser.add_argument(
        "--by",
        default="",
        metavar="WHAT,...",
        help=f"also print means over languages by {', '.join(GROUPINGS)} (JSON has them all)",
    )
    parser.add_argument(
        "--references", default="", metavar="NAME,...", help="published numbers to show beside the scores (see `ls references`)"
    )
    parser.add_argument(
        "--csv", type=output_path, metavar="DIR", help="write the long table there, one row a cell: cells.csv and cells.parquet"
    )
    parser.add_argument("--latex", type=output_path, metavar="DIR", help="write LaTeX tables there (booktabs)")
    parser.add_argument(
        "--figures",
        type=output_path,
        metavar="DIR",
        help="draw figures there, as SVG and PNG: scores, lifts, languages; of a folder with study.json also curves by size",
    )
    parser.add_argument(
        "--export",
        action="append",
        default=[],
        metavar="FORMAT=DIR",
        help=f"write the scores as other programs have them: {', '.join(FORMATS)} (may be repeated)",
    )
    parser.add_argument(
        "--push_card",
        default="",
        metavar="USER/NAME",
        help="put the results of the board's one model and setting into the card of this repository on the hub",
    )
    parser.add_argument(
        "--answers",
        action="store_true",
        help="export every answer too, beside its text and gold (many test sets may not be passed on)",
    )
    parser.add_argument(
        "--older",
        choices=("list", "show", "drop"),
        default="list",
        help="what older requests had in the place of newer ones: list what differs, show their scores too, or drop them",
    )
    parser.add_argument(
        "--html", type=output_path, metavar="FILE", help="also write a page to look at: one file that needs no network"
    )
    parser.add_argument(
        "--examples",
        type=int,
        default=0,
        metavar="N",
        help="show N predictions of each cell on the page, with texts and gold (default: 0; many test sets may not be passed on)",
    )
    add_catalog_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Build, write and print the board."""
    out(board_text(made_board(args), args))
    return 0


def board_text(board: Mapping[str, Json], args: argparse.Namespace) -> str:
    """All of a board as Markdown."""
    return markdown(board, by=comma_separated(args.by), older=args.older == "show")


def made_board(args: argparse.Namespace) -> dict[str, Json]:
    """The board of some folders, with all files written that were asked for; raises UserError."""
    check_output_file(args.output, where="--output")
    for name in FOLDERS:
        check_output_folder(getattr(args, name), where=f"--{name}")
    check_output_file(args.html, where="--html")
    if args.examples < 0 or (args.examples and not args.html):
        raise UserError("predictions are shown on a page", where="--examples", expected="a number above 0, and --html FILE")
    exports = _exports(args)
    raise_all(
        [
            UserError(f"languages cannot be grouped by '{name}'", where="--by", todo=did_you_mean(name, GROUPINGS))
            for name in comma_separated(args.by)
            if name not in GROUPINGS
        ]
    )
    for folder in args.folders:
        if not (folder / "requests").is_dir():
            raise UserError(f"{folder} is no run folder", expected="the --output_path of a run, which has a folder `requests`")
    if args.include_path:
        catalog_of(args)  # metrics and languages of the user's own
    references = named_references(args.references)
    studies = studies_of(args.folders) if args.figures else []
    board = build_board(args.folders, references=references)
    if args.older == "drop":
        board["older"] = []
    for name in unused_references(references, board):
        say(f"no published number of {name} is of a task on this board")
    if args.output:
        write_board(board, args.output)
        say(f"board: {args.output}")
    _write_for_papers(args, board, studies)
    if args.html:
        write_page(page(board, args.folders, examples=_examples(args, board)), args.html)
        say(f"page: {args.html}")
    if exports:
        rows = _row_place(args, gather(args.folders)) if args.answers else None
        _say_written("export", write_exports(board, args.folders, exports, rows=rows))
    if args.push_card:
        say(f"pushed: {push_results(board, args.push_card, roots=args.folders)}")
    return board


def _exports(args: argparse.Namespace) -> dict[str, Path]:
    """Folders by format; raises UserError."""
    found: dict[str, Path] = {}
    for text in args.export:
        name, _, folder = text.partition("=")
        if name not in FORMATS or not folder:
            raise UserError("not FORMAT=DIR", where="--export", expected=f"{' or '.join(FORMATS)}, = and a folder", found=text)
        found[name] = path_named(folder, where="--export")
        check_output_folder(found[name], where="--export")
    if args.answers and not found:
        raise UserError("answers are written into an export", where="--answers", todo="--export lm_eval=DIR")
    return found


def _say_written(what: str, paths: Sequence[Path]) -> None:
    shown = ", ".join(path.name for path in paths[:6])
    say(f"{what}: {shown}{', ...' if len(paths) > 6 else ''} in {os.path.commonpath([path.parent for path in paths])}")


def _write_for_papers(args: argparse.Namespace, board: Mapping[str, Json], studies: Sequence[StudyNumbers]) -> None:
    """Write the tables and figures that were asked for, and say where they are."""
    written = {
        "table": write_tables(board, args.csv) if args.csv else [],
        "LaTeX": write_latex(board, args.latex) if args.latex else [],
        "figures": write_figures(board, args.figures, studies=studies) if args.figures else [],
    }
    for what, paths in written.items():
        if paths:
            _say_written(what, paths)


def _examples(args: argparse.Namespace, board: Mapping[str, Json]) -> ShownExamples:
    """The answers that the page shows, where some were asked for."""
    if not args.examples:
        return ShownExamples()
    material = gather(args.folders)
    return prediction_examples(board, material, args.folders, count=args.examples, rows=_row_place(args, material))


def _row_place(args: argparse.Namespace, material: Material) -> RowPlace:
    """Where the rows and tokenizers of some runs lie."""
    place = place_of(args, runs=args.folders)
    return RowPlace(place=place, task_folders=catalog_of(args).task_folders(), models=model_files(material))
