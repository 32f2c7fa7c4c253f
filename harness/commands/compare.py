"""Set one system against another: differences with intervals, two tests, and Holm's correction over all rows.

    python run_eval.py compare runs/x                                  none against every other intermediate setting of a run
    python run_eval.py compare runs/x --b intermediate=mnli            none against one of them
    python run_eval.py compare runs/x --a model=small --b model=large  two backbones of one run, setting by setting
    python run_eval.py compare runs/small runs/large --by family       two runs
    python run_eval.py compare runs/x:intermediate=none runs/y:intermediate=mnli,recipe=quick --output comparison.json

A is the baseline, B what is set against it.  A selector is field=value with one of the fields model, intermediate, recipe, route,
limit and seed; several are joined by commas, a field that comes twice takes either value, and * stands for anything.  The sides
may differ in a field that a selector names or in which each side has but one value; in all others, and in the seed, the cells of
a pair are equal.  Cells without a partner are listed with the reason.

What `compare runs/x --by language` prints, first of all:

    ## intermediate none → mnli

    | task | lang |   n |    A |    B |             B − A |            gain |      p |   Holm | p boot |   Holm | differ |
    | :--- | :--- | --: | ---: | ---: | ----------------: | --------------: | -----: | -----: | -----: | -----: | -----: |
    | xnli | de   | 500 | 88.4 | 89.5 | +1.1 [+0.6, +1.6] |  +9 % [+5, +14] | 0.0005 | 0.0010 | 0.0005 | 0.0010 |    yes |
    | xnli | ko   | 500 | 80.0 | 80.1 | +0.1 [-2.8, +2.9] | +1 % [-15, +14] | 0.9580 | 0.9580 | 0.9380 | 0.9380 |      – |
"""

import argparse

from harness.api.errors import UserError
from harness.api.path_names import path_named
from harness.api.protocols import Json
from harness.commands._arguments import add_include_arguments, catalog_of, comma_separated, out, say
from harness.report.board.older_results import older_text
from harness.report.comparison import Scope, compare, find_systems, markdown, write_comparison
from harness.report.comparison.document import SAMPLES
from harness.report.comparison.rows import BREAKDOWNS
from harness.runtime.outputs import check_output_file, output_path

HELP = "set one system against another, with tests"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `compare`."""
    parser.add_argument(
        "systems", nargs="+", type=run_and_cells, metavar="RUN[:FIELD=VALUE,...]", help="one run, or two: A and then B"
    )
    parser.add_argument("--a", default="", metavar="FIELD=VALUE,...", help="the cells that are A (of one run: intermediate=none)")
    parser.add_argument("--b", default="", metavar="FIELD=VALUE,...", help="the cells that are B (of one run: all others)")
    parser.add_argument("--by", choices=BREAKDOWNS, default="task", help="one row for each of these (default: task)")
    parser.add_argument("--tasks", default="", help="only these tasks, globs or groups of the run, e.g. xnli,xquad")
    parser.add_argument("--languages", default="", help="only these languages, e.g. de,sw")
    parser.add_argument(
        "--samples",
        type=int,
        metavar="N",
        help=f"samples of each test (default: 100 for each row, at least {SAMPLES[0]:,}, at most {SAMPLES[1]:,})",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the tests (default: 0)")
    parser.add_argument("--output", type=output_path, metavar="FILE", help="where to write the JSON (default: only print)")
    add_include_arguments(parser)


def run_and_cells(text: str) -> str:
    """The type of a word that begins with the path of a run: what no path can be is no run."""
    path_named(text, where="a run")
    return text


def run(args: argparse.Namespace) -> int:
    """Compare, write and print."""
    out(markdown(compared(args)))
    return 0


def compared(args: argparse.Namespace) -> dict[str, Json]:
    """The comparison, written where that was asked for; raises UserError."""
    check_output_file(args.output, where="--output")
    if len(args.systems) > 2:
        raise UserError("more than two systems", expected="one run, or two", found=" ".join(args.systems))
    if args.samples is not None and args.samples < 1:
        raise UserError("must be at least 1", where="--samples", found=str(args.samples))
    if args.include_path:
        catalog_of(args)  # metrics and languages of the user's own
    scope = Scope(tasks=comma_separated(args.tasks), languages=comma_separated(args.languages))
    a, b = find_systems(args.systems, a=args.a, b=args.b, scope=scope)
    older = dict.fromkeys(older_text(result.entry()) for system in (a, b) for result in system.material.older)
    for text in older:
        say(f"note: left out, older: {text}")
    document = compare(a, b, by=args.by, samples=args.samples, seed=args.seed)
    if args.output:
        write_comparison(document, args.output)
        say(f"comparison: {args.output}")
    return document
