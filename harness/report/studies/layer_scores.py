"""Retrieval at fractions of a backbone's depth, as entries of study.json; shown, never tested.

entry = layer_scores(runs, root)[0]
entry["setting"], entry["target"], entry["layers"][0]      # 'mnli', 'tatoeba', {'fraction': 0.5, 'score': 61.2, ...}
"""

from collections.abc import Sequence
from pathlib import Path

from harness.api.protocols import Json
from harness.planning.plan import PlannedCell
from harness.report.studies.tables import MemberRun
from harness.scoring.score_files import read_score
from harness.scoring.sums import ordered_mean


def layer_scores(runs: Sequence[MemberRun], root: Path) -> list[dict[str, Json]]:
    """One entry a setting, backbone and target; a layer that lacks a cell has no score, and says how many it lacks."""
    found: dict[tuple[str, str, str], list[Json]] = {}
    for run in runs:
        for layer in run.layers:
            cells: dict[tuple[str, str], list[PlannedCell]] = {}
            for cell in layer.plan.cells:
                cells.setdefault((cell.intermediate, cell.task), []).append(cell)
            for (setting, task), own in cells.items():
                entry = {"fraction": layer.fraction, **_mean(own, root)}
                found.setdefault((setting, run.member.name, task), []).append(entry)
    return [
        {"setting": setting, "backbone": name, "target": task, "layers": layers}
        for (setting, name, task), layers in found.items()
    ]


def _mean(cells: Sequence[PlannedCell], root: Path) -> dict[str, Json]:
    """Mean over seeds, then over languages."""
    by_lang: dict[str, list[float]] = {}
    missing = 0
    for cell in cells:
        if cell.score is not None and cell.score.is_done(root):
            by_lang.setdefault(cell.lang, []).append(float(read_score(cell.score.folder(root))["score"]["value"]))
        else:
            missing += 1
    value = None if missing else ordered_mean([ordered_mean(own) for own in by_lang.values()])
    return {"score": value, "languages": len(by_lang), "missing": missing}
