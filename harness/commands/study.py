"""Ask a ladder of backbones one question: plan, run, resume, and report with verdicts.

    python run_eval.py study mini_scaling                                    # a study by its name (see `ls studies`)
    python run_eval.py study my_study.yaml --output_path runs/mine           # or its file
    python run_eval.py study scaling --dry_run                               # cells, stages, memory, disk, hours by backbone
    python run_eval.py study scaling --backbones mt5-small,mt5-base          # only these now; the report is of all that is done
    python run_eval.py study scaling --seeds 1,2,3,4,5                       # two seeds more than the file has: another look
    python run_eval.py study scaling --watch                                 # how far another process is
    python run_eval.py study scaling --report_only

Everything finished is kept below --output_path and never made again.  leaderboard.json and study.json are written there.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.api.errors import UserError, collecting, did_you_mean, distinct, raise_all
from harness.commands._arguments import (
    add_catalog_arguments,
    add_cost_arguments,
    add_machine_arguments,
    add_trust_argument,
    catalog_of,
    comma_separated,
    out,
    place_of,
    say,
)
from harness.commands._execution import add_executor_arguments, execution_of
from harness.commands._requests import check_fit, device_of, machine_of, seeds_of
from harness.commands._study_plan import PlannedMember, study_page
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog, Entry
from harness.planning.plan import make_plan
from harness.report.board.references import named_references
from harness.runtime.outputs import make_output_folder, output_folder
from harness.runtime.processes import is_first
from harness.runtime.stages import sweep_stale
from harness.specs.study import StudySpec
from harness.study.design.design import StudyDesign, design_of
from harness.study.design.ladder import LadderMember, other_sizes

HELP = "run a ladder of backbones and say what becomes of a lift with size"
YAML = (".yaml", ".yml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `study`."""
    parser.add_argument("study", metavar="STUDY", help="a study (see `ls studies`), or a YAML file of one")
    add_catalog_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument(
        "--output_path", metavar="DIR", help="folder of the stages, the board and study.json (default: runs/<study>)"
    )
    add_machine_arguments(parser)
    add_executor_arguments(parser)
    add_cost_arguments(parser)
    parser.add_argument(
        "--ignore_memory", action="store_true", help="run stages that cannot fit into the memory of the device as well"
    )
    parser.add_argument("--seeds", default="", metavar="N,...", help="these training seeds instead of the file's, e.g. some more")
    parser.add_argument("--backbones", default="", metavar="NAME,...", help="run only these; the report is of all")
    parser.add_argument("--dry_run", action="store_true", help="only print what it takes")
    parser.add_argument("--watch", action="store_true", help="show how far another process is with it, until it is done")
    parser.add_argument("--report_only", action="store_true", help="run nothing: report what is there")
    parser.add_argument(
        "--no_look", action="store_true", help="show estimates and test no hypothesis: looks are counted, and a study plans a few"
    )
    parser.add_argument(
        "--replace_degenerate",
        action="store_true",
        help="run a seed that has learnt nothing again with another, in all intermediate settings of its task",
    )
    parser.add_argument("--verify", action="store_true", help="check all that finished stages wrote against its hashes")


def run(args: argparse.Namespace) -> int:
    """Run the study; 1 if a cell has no score."""
    catalog, entry = _study_of(args)
    if args.seeds:
        entry = replace(entry, spec=entry.spec.model_copy(update={"seeds": seeds_of(args.seeds)}))
    design = design_of(entry, catalog=catalog)
    references = named_references(",".join(design.spec.references))
    args.output_path = args.output_path or str(Path("runs") / design.spec.study)
    root = output_folder(args.output_path, where="--output_path")
    execution = execution_of(args)
    place = place_of(args, runs=[root])
    machine = machine_of(args, catalog, place)
    chosen = _chosen(design.members, args.backbones)
    planned = _planned(design, catalog, place, with_trials=args.dry_run)  # every mistake, before a backbone is loaded
    if args.dry_run:
        out(study_page(design, planned, root=root, machine=machine, device=device_of(args, catalog), price=args.price))
        return 0
    from harness.commands._study_run import OpenStages, recall_member, run_member, stages_of_study

    if args.watch:
        from harness.commands._study_watch import watch

        watch(lambda: stages_of_study(design, args, catalog=catalog, place=place), root=root)
        return 0
    if not args.report_only:
        wanted = [one.plan for one in planned if one.member in chosen]
        check_fit(args, wanted, catalog, root=root, machine=machine)
        if args.on:
            execution.reckon(wanted, machine=machine, device=device_of(args, catalog))
    if is_first():
        make_output_folder(root, where="--output_path")
        sweep_stale(root)
        sweep_stale(root / "requests")
    runs = []
    if execution.at_once and not args.report_only:
        more = OpenStages(design, [member for member in design.members if member in chosen], root, catalog=catalog, place=place)
        execution.run_ahead([], root=root, machine=machine, more=more.following)
    for member in design.members:
        if args.report_only or member not in chosen:
            runs.append(recall_member(design, member, args, catalog=catalog, place=place))
        else:
            runs.append(run_member(design, member, args, execution, catalog=catalog, place=place, machine=machine))
    if not is_first():
        return 0
    from harness.report.studies.study_report import write_report

    report = write_report(
        design,
        runs,
        root=root,
        machine=machine,
        references=references,
        candidates=other_sizes(design.members, catalog=catalog),
        look=not args.no_look,
    )
    out(report.text)
    for path in report.paths:
        say(f"written: {path}")
    say(f"a page to look at: run_eval.py leaderboard {root} --html {root / 'report.html'}")
    return 0 if all(run.is_complete for run in runs) else 1


def _study_of(args: argparse.Namespace) -> tuple[Catalog, Entry[StudySpec]]:
    """The study that is named, with a catalog that holds its file."""
    path = Path(args.study)
    if path.suffix not in YAML:
        catalog = catalog_of(args)
        return catalog, catalog.study(args.study)
    if not path.is_file():
        raise UserError("there is no such file", where="STUDY", found=args.study, todo="see `ls studies` for those with a name")
    args.include_path = [*args.include_path, path]
    catalog = catalog_of(args)
    names = [name for kind, name in catalog.find(under=path) if kind == "study"]
    if not names:
        raise UserError("this file is no study", where=str(path), expected="`study: <name>` at the top")
    return catalog, catalog.study(names[0])


def _chosen(members: Sequence[LadderMember], text: str) -> list[LadderMember]:
    """The members that --backbones names; all without it."""
    names = comma_separated(text)
    known = [member.name for member in members]
    raise_all(
        [
            UserError(f"the study has no backbone '{name}'", where="--backbones", todo=did_you_mean(name, known))
            for name in names
            if name not in known
        ]
    )
    return [member for member in members if not names or member.name in names]


def _planned(design: StudyDesign, catalog: Catalog, place: DataPlace, *, with_trials: bool) -> list[PlannedMember]:
    """The plan of every member at its recipe's learning rates, and its trials where they are asked for."""
    from harness.study.design.learning_rates import all_trials

    errors: list[UserError] = []
    planned: list[PlannedMember] = []
    for member in design.members:
        with collecting(errors):
            plan = make_plan(design.request(member), catalog=catalog, place=place)
            trials = all_trials(design, member, catalog=catalog, place=place) if with_trials else []
            planned.append(PlannedMember(member, plan, trials))
    raise_all(distinct(errors))
    return planned
