"""The calls of the library: `evaluate`, `plan`, `leaderboard` and `compare`, each the command of its name (`evaluate`: `run`).

done = evaluate("mini", ["mini/nli"], intermediate=["none", "mini/paraphrase"], recipe="mini", output_path="runs/x")
done.board.task_means, done.is_complete
plan("mini", "mini/nli", recipe="mini").models[0].stages
leaderboard("runs/x", by="family").text
compare("runs/x", by="language").rows

Keywords are the flags of the commands, without the dashes; their values are checked where those of the commands are, and what is
wrong is a UserError with the same words.  Nothing is printed, and no call ends the process.
"""

import contextlib
import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any, Unpack

from harness.api.progress import hearing
from harness.commands import compare as compare_command
from harness.commands import leaderboard as leaderboard_command
from harness.commands import plan as plan_command
from harness.commands import run as run_command
from harness.commands._parser import parse_command
from harness.library.options import AnyPath, BoardOptions, CompareOptions, Names, PlanOptions, RunOptions, words_of
from harness.library.results import Board, Comparison, Evaluation, PlannedModel, PlannedStage, Planning
from harness.report.comparison import markdown
from harness.runtime.interruption import ending_signals
from harness.runtime.threads import settle_threads


def evaluate(model: Names | os.PathLike[str], tasks: Names, **options: Unpack[RunOptions]) -> Evaluation:
    """Train, predict and score what is not done yet below `output_path`; the same call after a crash goes on where it was.

    Raises UserError for what cannot be run at all; where single cells fail, all others are done and `notes` says why.
    """
    with _called("run", {"quiet": True, **options, "model": model, "tasks": tasks}) as (args, notes):
        end = run_command.evaluate(args)
    said = (*notes, *(f"note: {text}" for text in end.stand_ins))
    board = None if end.board is None else Board(document=end.board, text=end.text, notes=said)
    return Evaluation(board=board, is_complete=end.is_complete, notes=said)


def plan(model: Names | os.PathLike[str], tasks: Names, **options: Unpack[PlanOptions]) -> Planning:
    """What `evaluate` would do with the same arguments and what it costs; raises UserError for what cannot be run at all."""
    with _called("plan", {"quiet": True, **options, "model": model, "tasks": tasks}) as (args, notes):
        end = plan_command.planned(args)
        models = [
            PlannedModel(
                model=one.plan.backbone.name,
                stages=tuple(PlannedStage(stage.name, stage.verb, stage.name in one.done) for stage in one.plan.stages),
                num_cells=len(one.plan.cells),
                missing=tuple(one.plan.missing()),
                costs=one.costs(),
            )
            for one in end.models
        ]
        text = plan_command.plan_text(end)
    return Planning(
        models=tuple(models),
        text=text,
        wrong_rows=tuple(end.mistakes),
        unfit=tuple(end.unfit),
        exit_code=end.exit_code,
        notes=tuple(notes),
    )


def leaderboard(*runs: AnyPath, **options: Unpack[BoardOptions]) -> Board:
    """The board of one or several run folders, and the files that the keywords name; raises UserError."""
    with _called("leaderboard", options, *runs) as (args, notes):
        document = leaderboard_command.made_board(args)
        text = leaderboard_command.board_text(document, args)
    return Board(document=document, text=text, notes=tuple(notes))


def compare(*systems: AnyPath, **options: Unpack[CompareOptions]) -> Comparison:
    """Set one system against another, of one run or of two (`RUN` or `RUN:FIELD=VALUE,...`); raises UserError."""
    with _called("compare", options, *systems) as (args, notes):
        document = compare_command.compared(args)
    return Comparison(document=document, text=markdown(document), notes=tuple(notes))


@contextlib.contextmanager
def _called(command: str, options: Mapping[str, Any], *places: AnyPath) -> Iterator[tuple[Namespace, list[str]]]:
    """The arguments of a command, and the lines that it says; a failure carries them along."""
    if "torch" not in sys.modules:  # which has read how many threads there are
        settle_threads(os.environ)
    quiet = options.get("quiet", True)
    with contextlib.ExitStack() as stack:
        notes = stack.enter_context(hearing()) if quiet else []
        stack.enter_context(ending_signals())
        try:
            yield parse_command(command, words_of(command, options, places=places)), notes
        except Exception as error:
            for line in notes:
                error.add_note(line)
            raise
