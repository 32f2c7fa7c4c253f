"""A hypothesis read in other ways than the one fixed beforehand: other scales, without failed seeds, without doubtful families.

    readings_of(hypothesis, spec.verdicts, tables, alpha=0.01)

The margin keeps its size on another scale: it is translated at the mean baseline score b of the cells, where a point is
100 / (100 - b) percent of headroom and 100 / (b (100 - b)) logits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.api.errors import UserError
from harness.scoring.sums import ordered_mean
from harness.specs.study import BASELINE, Hypothesis, Verdicts
from harness.study.results.hypothesis_parts import degenerate_trainings, evidence_of, parts_of, targets_of
from harness.study.results.judging import judge
from harness.study.results.study_tables import StudyTables
from harness.study.statistics.effects import ScoreKey
from harness.study.statistics.evidence import Evidence
from harness.study.statistics.hypotheses import Decision
from harness.study.statistics.scales import SCALES, UNITS, Scale


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyReading:
    """What a hypothesis comes to when it is read in another way."""

    reading: str
    decision: Decision | None
    "None: it cannot be read so."
    margin: float | None
    "On the scale of the reading."
    why: str
    "Why it cannot be read so; how the margin was translated."


def readings_of(hypothesis: Hypothesis, verdicts: Verdicts, tables: StudyTables, *, alpha: float) -> list[StudyReading]:
    """The readings that differ in what goes in; at the level of the hypothesis."""
    found = [_on_scale(hypothesis, verdicts, tables, scale, alpha) for scale in SCALES if scale != verdicts.scale]
    if degenerate_trainings(hypothesis, tables):
        found.append(_read("without degenerate seeds", hypothesis, verdicts, tables, alpha=alpha, degenerate=False))
    doubts = {member.rung.family: member.contamination for member in tables.in_lines}
    known = [family for family, doubt in doubts.items() if doubt == "known"]
    doubtful = [family for family, doubt in doubts.items() if doubt != "none"]
    if known:
        name = "without families whose pretraining is known to have seen the tasks"
        found.append(_read(name, hypothesis, verdicts, tables, alpha=alpha, without=known))
    if len(doubtful) > len(known):
        name = "without families whose pretraining may have seen the tasks"
        found.append(_read(name, hypothesis, verdicts, tables, alpha=alpha, without=doubtful))
    return found


def _on_scale(hypothesis: Hypothesis, verdicts: Verdicts, tables: StudyTables, scale: Scale, alpha: float) -> StudyReading:
    baseline = baseline_mean(hypothesis, tables)
    name = f"on the scale '{scale}'"
    if baseline is None:
        return StudyReading(reading=name, decision=None, margin=None, why="no baseline score to translate the margin at")
    if not 0 < baseline < 100:
        return StudyReading(
            reading=name, decision=None, margin=None, why="the margin has no size there: the baseline is at 0 or 100"
        )
    margin = translated(verdicts.margin, verdicts.scale, scale, baseline=baseline)
    how = f"margin {margin:.3g} {UNITS[scale]}: {verdicts.margin:g} {UNITS[verdicts.scale]} at the mean baseline {baseline:.1f}"
    read = _read(name, hypothesis, verdicts.model_copy(update={"scale": scale, "margin": margin}), tables, alpha=alpha)
    return StudyReading(reading=name, decision=read.decision, margin=margin, why=read.why or how)


def translated(margin: float, scale: Scale, other: Scale, *, baseline: float) -> float:
    """A margin on another scale, as small changes at a baseline score between 0 and 100 translate."""
    a_point = {"points": 1.0, "headroom": 100 / (100 - baseline), "logit": 100 / (baseline * (100 - baseline))}
    return margin / a_point[scale] * a_point[other]


def baseline_mean(hypothesis: Hypothesis, tables: StudyTables) -> float | None:
    """The mean baseline score of the cells of a hypothesis, over the backbones in lines; None if there is none."""
    cells, targets = tables.group_cells(hypothesis.over.place, ()), targets_of(hypothesis, tables)
    values = [
        estimate.value
        for member in tables.in_lines
        for cell in cells.get(member.rung.backbone, ())
        if cell.task in targets
        for seed in tables.study.seeds
        if (estimate := tables.score(ScoreKey(BASELINE, member.rung.backbone, cell, seed))) is not None
    ]
    return ordered_mean(values) if values else None


def _read(
    name: str,
    hypothesis: Hypothesis,
    verdicts: Verdicts,
    tables: StudyTables,
    *,
    alpha: float,
    degenerate: bool = True,
    without: Sequence[str] = (),
) -> StudyReading:
    try:
        parts = parts_of(hypothesis, tables, scale=verdicts.scale, degenerate=degenerate)
        found = without_families({part.name: evidence_of(part, tables) for part in parts}, without)
        decision = judge(hypothesis, verdicts, found).claim.decide(alpha)
        return StudyReading(reading=name, decision=decision, margin=verdicts.margin, why="")
    except UserError as error:
        why = error.message + (f" ({error.found})" if error.found else "")
        return StudyReading(reading=name, decision=None, margin=None, why=why)


def without_families(found: Mapping[str, Evidence], families: Sequence[str]) -> dict[str, Evidence]:
    """The evidence of the other families; raises UserError if there is none."""
    left = {name: one.without_families(families) for name, one in found.items()}
    if not all(one.ladder for one in left.values()):
        raise UserError("no family is left")
    return left
