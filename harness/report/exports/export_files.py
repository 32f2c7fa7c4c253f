"""What `leaderboard --export FORMAT=DIR` writes, and what it needs of the run folders besides the board.

    written = write_exports(board, [Path("runs/x")], {"lm_eval": Path("results")}, rows=None)

With `rows`, the place of the test rows, every answer is written too; many test sets may not be passed on.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.api.protocols import Json
from harness.report.answers.answers import AnswerChoice, CellAnswers, cell_answers
from harness.report.answers.asked_rows import RowPlace
from harness.report.exports.every_eval_ever import write_every_eval_ever
from harness.report.exports.lm_eval_results import write_lm_eval
from harness.report.exports.model_card import write_model_cards
from harness.report.record.dates import newest_date
from harness.report.record.gather import CellRecord, gather
from harness.report.record.newest import CellKey
from harness.scoring.score_files import read_score, read_stats

FORMATS = ("lm_eval", "every_eval_ever", "model_card")


def write_exports(
    board: Mapping[str, Json], roots: Sequence[Path], wanted: Mapping[str, Path], *, rows: RowPlace | None
) -> list[Path]:
    """Write the wanted formats, with the answers where `rows` says where their rows lie."""
    material = gather(roots)
    cells = {cell.key: cell for cell in material.cells if cell.folder is not None}

    def answers(key: CellKey) -> CellAnswers | None:
        if key not in cells or rows is None:
            return None
        everything = AnswerChoice(which="all", number=None, in_order=True)
        return cell_answers(cells[key], task=material.tasks[key.task], roots=roots, rows=rows, choice=everything)

    date, written = newest_date(roots), list[Path]()
    if "lm_eval" in wanted:
        written += write_lm_eval(
            board,
            wanted["lm_eval"],
            date=date,
            errors=lambda key: standard_errors(cells.get(key)),
            answers=answers if rows else None,
        )
    if "every_eval_ever" in wanted:
        written += write_every_eval_ever(
            board, wanted["every_eval_ever"], date=date, roots=roots, answers=answers if rows else None
        )
    if "model_card" in wanted:
        written += write_model_cards(board, wanted["model_card"], roots=roots)
    return written


def standard_errors(cell: CellRecord | None) -> dict[str, float]:
    """By `metric.key` the standard error of a score that is a mean over examples, as a share: s / sqrt(n), s with n - 1.

    Empty for scores that are no means (F1 over entities, say): half a bootstrap interval is no standard error.
    """
    if cell is None or cell.folder is None:
        return {}
    numbers, stats = read_score(cell.folder)["metrics"], read_stats(cell.folder)
    found = {}
    for key, number in numbers.items():
        table = stats.get(key.rpartition(".")[0])
        for column in range(table.shape[1]) if table is not None and len(table) > 1 else ():
            values = np.asarray(table)[:, column]
            if math.isclose(values.mean() * 100, number["value"], abs_tol=1e-9) and values.min() >= 0 and values.max() <= 1:
                found[key] = float(values.std(ddof=1) / math.sqrt(len(values)))
                break
    return found
