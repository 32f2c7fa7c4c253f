"""Write the predictions of a run as XTREME's submission files, and score any such folder as its evaluate script does.

    python run_eval.py submission export runs/x --output submission --intermediate mnli --seed 1
    python run_eval.py submission export runs/x --output submission --gold labels      # the label files of the same rows too
    python run_eval.py submission score submission labels --output scores.json

A submission holds one model, intermediate setting, recipe and seed, nine tasks and all their languages; --partial takes what is
complete of them.
"""

import argparse

from harness.api.errors import UserError, collecting, did_you_mean, raise_all
from harness.commands._arguments import add_catalog_arguments, catalog_of, input_path, out, place_of, say
from harness.runtime.outputs import check_output_file, output_folder, output_path
from harness.runtime.stages import write_json

HELP = "write XTREME's submission files from a run, or score such files"
ACTIONS = ("export", "score")
_ONLY_EXPORT = ("gold", "model", "intermediate", "recipe", "seed", "data_dir")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `submission`."""
    parser.add_argument("action", metavar="export|score", help="what to do")
    parser.add_argument("folders", nargs="+", type=input_path, metavar="DIR", help="export: run folders; score: PREDICTIONS GOLD")
    parser.add_argument(
        "--output", type=output_path, metavar="DIR|FILE", help="export: new folder (required); score: JSON of the scores"
    )
    parser.add_argument("--partial", action="store_true", help="take what is complete; without it everything must be there")
    parser.add_argument("--gold", type=output_path, metavar="DIR", help="export: also write label files of the same rows here")
    parser.add_argument("--model", help="export: which model, where the runs hold several")
    parser.add_argument("--intermediate", help="export: which intermediate setting")
    parser.add_argument("--recipe", help="export: which recipe")
    parser.add_argument("--seed", type=int, help="export: which training seed")
    add_catalog_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Export or score."""
    if args.action not in ACTIONS:
        raise UserError(f"unknown action '{args.action}'", where="submission", todo=did_you_mean(args.action, ACTIONS))
    return _export(args) if args.action == "export" else _score(args)


def _export(args: argparse.Namespace) -> int:
    from harness.report.submission.export import DataFolders, export
    from harness.report.submission.markdown import exported
    from harness.report.submission.selection import Wanted

    if args.output is None:
        raise UserError("say where to write", where="submission export", expected="--output DIR")
    output_folder(str(args.output), where="--output")
    if args.gold is not None:
        output_folder(str(args.gold), where="--gold")
    catalog = catalog_of(args)
    result = export(
        args.folders,
        args.output,
        wanted=Wanted(model=args.model, intermediate=args.intermediate, recipe=args.recipe, seed=args.seed),
        folders=DataFolders(place=place_of(args, runs=args.folders), task_folders=catalog.task_folders()),
        gold=args.gold,
        partial=args.partial,
    )
    out(exported(result))
    for note in result.notes:
        say(f"note: {note}")
    say(f"submission: {args.output}" + (f", labels: {args.gold}" if args.gold else ""))
    return 0


def _score(args: argparse.Namespace) -> int:
    from harness.report.submission.markdown import scored
    from harness.report.submission.score import score_submission

    errors = [UserError(f"--{name} is for export", where="submission score") for name in _ONLY_EXPORT if getattr(args, name)]
    if len(args.folders) != 2:
        expected, found = "two folders: PREDICTIONS GOLD", " ".join(map(str, args.folders))
        errors.append(UserError("which folders?", where="submission score", expected=expected, found=found))
    with collecting(errors):
        check_output_file(args.output, where="--output")
    raise_all(errors)
    scores = score_submission(*args.folders, partial=args.partial)
    if args.output:
        write_json(args.output, scores.report())
    out(scored(scores))
    for note in scores.notes:
        say(f"note: {note}")
    if args.output:
        say(f"scores: {args.output}")
    return 0
