"""Retrieval at fractions of a backbone's depth, read from its finished stages; shown, never tested.

layer_scores(runs, root)[0].score
"""

from collections.abc import Sequence
from pathlib import Path

from harness.planning.plan import PlannedCell
from harness.report.studies.member_runs import MemberRun
from harness.scoring.score_files import read_score
from harness.scoring.sums import ordered_mean
from harness.study.results.study_scores import LayerScore


def layer_scores(runs: Sequence[MemberRun], root: Path) -> list[LayerScore]:
    """One a setting, backbone, target and layer; a layer that lacks a cell has no score, and says how many it lacks."""
    found: list[LayerScore] = []
    for run in runs:
        for layer in run.layers:
            cells: dict[tuple[str, str], list[PlannedCell]] = {}
            for cell in layer.plan.cells:
                cells.setdefault((cell.intermediate, cell.task), []).append(cell)
            for (setting, task), own in cells.items():
                found.append(_mean(setting, run.member.name, task, layer.fraction, own, root))
    return found


def _mean(setting: str, backbone: str, task: str, fraction: float, cells: Sequence[PlannedCell], root: Path) -> LayerScore:
    by_lang: dict[str, list[float]] = {}
    missing = 0
    for cell in cells:
        if cell.score is not None and cell.score.is_done(root):
            by_lang.setdefault(cell.lang, []).append(float(read_score(cell.score.folder(root))["score"]["value"]))
        else:
            missing += 1
    value = None if missing else ordered_mean([ordered_mean(own) for own in by_lang.values()])
    return LayerScore(setting, backbone, task, fraction, score=value, languages=len(by_lang), missing=missing)
