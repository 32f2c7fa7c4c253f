"""What a study's command leaves: leaderboard.json of its cells, study.json with its verdicts, and the text that is printed.

report = write_report(design, runs, root=Path("runs/x"), machine=machine, references=(), candidates=(), look=True)
report.text, report.paths
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.api.errors import UserError
from harness.report.board.board import build_board, write_board
from harness.report.board.references import published
from harness.report.studies.looks_file import read_looks, write_looks
from harness.report.studies.member_runs import MemberRun
from harness.report.studies.tables import study_scores
from harness.runtime.machine import Machine
from harness.runtime.stages import write_json
from harness.study.design.design import StudyDesign
from harness.study.results.document import build_results
from harness.study.results.looking import registered
from harness.study.results.score_entries import ReferenceScore
from harness.study.results.text import text
from harness.study.statistics.evidence import Rung

BOARD, RESULTS = "leaderboard.json", "study.json"


class StudyReport(NamedTuple):
    """What was found, for the terminal, and the files that were written."""

    text: str
    paths: tuple[Path, ...]


def write_report(
    design: StudyDesign,
    runs: Sequence[MemberRun],
    *,
    root: Path,
    machine: Machine,
    references: Sequence[str],
    candidates: Sequence[Rung],
    look: bool,
) -> StudyReport:
    """Gather what is finished, judge it, and write both files; raises UserError where nothing has been run.

    `candidates` are backbones that could be added to the ladder where a question stays undecided.
    """
    requests = [run.request for run in runs if run.request]
    if not requests:
        raise UserError("no backbone of this study has been run here", where=str(root), todo="run it without --report_only")
    board = build_board([root], requests=requests, references=references)
    write_board(board, root / BOARD)
    scores = study_scores(design, runs, root=root, machine=machine)
    spec = design.spec
    kept = read_looks(root, spec.study, planned=spec.verdicts.looks)
    results = build_results(
        spec,
        scores,
        looks=kept.log,
        look=look,
        registered_before=kept.registered,
        references=list(_reference_scores(references, design.tasks)),
        candidates=candidates,
    )
    write_json(root / RESULTS, results.document)
    if results.looks.looks:
        write_looks(root, spec.study, log=results.looks, registered=kept.registered or registered(spec))
    return StudyReport(text(results.document), (root / BOARD, root / RESULTS))


def _reference_scores(names: Sequence[str], tasks: Sequence[str]) -> Iterator[ReferenceScore]:
    """Published numbers of the study's targets, a metric each."""
    for name in names:
        row = published()[name]
        for task in tasks:
            for key, value in row.tasks[task].scores.items() if task in row.tasks else ():
                yield ReferenceScore(
                    reference=name,
                    model=row.model,
                    method=f"intermediate: {row.intermediate}",
                    split=row.split,
                    task=task,
                    key=key,
                    value=value,
                    size=row.non_embedding_parameters,
                )
