"""What lies finished on disk of a study, as the plain tables that its results are made of.

    scores = study_scores(design, runs, root=Path("runs/scaling"), machine=machine)
    scores.estimates, scores.missing, scores.development

Cells are those of the request that each member's run wrote down, so that a study rests on exactly its own learning rates; their
replicates are draws of test items that members, arms and seeds share.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harness.planning.costs.rows import num_test_rows
from harness.planning.plan import Plan
from harness.report.board.lifts import ScoredCell, score_cells
from harness.report.record.gather import CellRecord, Material, gather
from harness.report.studies.layer_scores import layer_scores
from harness.report.studies.member_runs import MemberRun
from harness.runtime.machine import Machine
from harness.runtime.stages import canonical
from harness.scoring.bootstrap import BootstrapEstimate
from harness.scoring.sums import ordered_mean
from harness.study.design.design import StudyDesign
from harness.study.results.study_scores import Member, StudyScores, TrainingKey
from harness.study.statistics.effects import ScoreKey
from harness.study.statistics.evidence import Rung
from harness.study.statistics.outcome_groups import StudyCell

DRAWS = 500
"Replicates of each cell that are kept: of a whole study there are many cells."


@dataclass(kw_only=True)
class _Found:
    """The tables while they are filled."""

    estimates: dict[ScoreKey, BootstrapEstimate] = field(default_factory=dict)
    missing: dict[ScoreKey, str] = field(default_factory=dict)
    examples: dict[StudyCell, int] = field(default_factory=dict)
    development: dict[TrainingKey, float] = field(default_factory=dict)
    degenerate: set[TrainingKey] = field(default_factory=set)
    scores: list[str] = field(default_factory=list)
    synthetic: bool = False
    same_task: set[tuple[str, str]] = field(default_factory=set)


def study_scores(design: StudyDesign, runs: Sequence[MemberRun], *, root: Path, machine: Machine) -> StudyScores:
    """Read what is finished; the rest is named with its reason."""
    absent = absent_data([run.plan for run in runs])
    found = _Found()
    for run in runs:
        _add_run(run, root, found, absent)
    cells = list(dict.fromkeys(StudyCell(cell.task, cell.lang) for run in runs for cell in run.plan.cells))
    settings = [setting.name for setting in design.settings]
    absent_cells = [cell for cell in cells if all((setting, *cell) in absent for setting in settings)]
    cells = [cell for cell in cells if cell not in absent_cells]
    absent_settings = [setting for setting in settings if all((setting, *cell) in absent for cell in cells)]
    left_out = {f"{cell.task}/{cell.lang}": absent[(settings[0], *cell)] for cell in absent_cells}
    left_out |= {f"setting {setting}": absent[(setting, *cells[0])] for setting in absent_settings if cells}
    return StudyScores(
        arms=tuple(setting for setting in settings if setting not in absent_settings),
        members=tuple(_member(run) for run in runs),
        cells=tuple(cells),
        seeds=design.spec.seeds,
        estimates=found.estimates,
        examples=found.examples,
        development=found.development,
        degenerate=frozenset(found.degenerate),
        missing=found.missing,
        left_out=left_out,
        categories=design.categories,
        same_task=frozenset(found.same_task),
        rates=tuple(rate for run in runs for rate in run.rates),
        not_chosen=tuple(f"{run.member.name}: {text}" for run in runs for text in run.unchosen),
        layers=tuple(layer_scores(runs, root)),
        available=_available(design, runs, found, machine),
        synthetic=found.synthetic,
        partial=design.spec.limit is not None,
        fingerprint=hashlib.sha256(canonical(sorted(found.scores)).encode()).hexdigest()[:16],
    )


def _member(run: MemberRun) -> Member:
    """A member with what may differ between backbones beside size."""
    member, facts = run.member, run.member.backbone.facts
    coverage = facts.get("coverage")
    return Member(
        rung=Rung(member.name, family=member.family, size=member.size),
        model=member.backbone.name,
        method=member.method,
        bridges=member.bridges,
        covered=tuple(coverage["languages"]) if coverage else None,
        contamination=member.contamination,
        facts={
            "method": "low-rank adapters" if member.is_low_rank else "all weights",
            "recipe": member.recipe,
            "number format": facts.get("dtype") or "auto",
            "pretraining languages": coverage["source"] if coverage else "not recorded",
        },
    )


def absent_data(plans: Sequence[Plan]) -> dict[tuple[str, str, str], str]:
    """(setting, target, language) -> why, where rows are not here for any backbone: that says nothing of results."""
    blocked = [
        {
            (cell.intermediate, cell.task, cell.lang): str(cell.missing[0].error).splitlines()[0]
            for cell in plan.cells
            if cell.missing
        }
        for plan in plans
    ]
    return {place: why for place, why in (blocked[0] if blocked else {}).items() if all(place in one for one in blocked)}


def _add_run(run: MemberRun, root: Path, found: _Found, absent: Mapping[tuple[str, str, str], str]) -> None:
    """The cells of one member but those whose data are not here."""
    name = run.member.name
    asked = {(cell.intermediate, cell.task, cell.lang, _asked_seed(run.plan, cell.task, cell.seed)) for cell in run.plan.cells}
    found.same_task |= set(run.plan.same_task)
    done: set[tuple[str, str, str, int | None]] = set()
    if run.request is not None:
        material = gather([root], requests=[run.request])
        scored = score_cells(material.cells, material.tasks)
        for record in material.cells:
            key = record.key
            place = (key.intermediate, key.task, key.lang, _asked_seed(run.plan, key.task, key.seed))
            own = ScoreKey(key.intermediate, name, StudyCell(key.task, key.lang), place[3])
            done.add(place)
            found.synthetic = found.synthetic or record.synthetic
            if key in scored:
                _add_cell(own, scored[key], record, material, found)
            elif place[:3] not in absent:
                found.missing[own] = record.reason
        _add_single_classes(name, list(scored.values()), run.plan, found)
    for intermediate, task, lang, seed in sorted(asked - done, key=repr):
        if (intermediate, task, lang) in absent:
            continue
        found.missing[ScoreKey(intermediate, name, StudyCell(task, lang), seed)] = "not run"


def _asked_seed(plan: Plan, task: str, seed: int | None) -> int | None:
    """The seed of the study in whose place a replacement runs."""
    if seed is None:
        return None
    return next((asked for asked in plan.request.seeds if plan.request.seed_of(task, asked) == seed), seed)


def _add_cell(own: ScoreKey, cell: ScoredCell, record: CellRecord, material: Material, found: _Found) -> None:
    found.estimates[own] = BootstrapEstimate(cell.estimate.value, np.array(cell.estimate.samples[:DRAWS]))
    found.examples[own.cell] = int(cell.result["counts"]["examples"])
    found.scores.append(f"{own.backbone} {record.score}")
    if own.seed is None:
        return
    training = TrainingKey(own.arm, own.backbone, own.cell.task, own.seed)
    facts = [material.stages[name]["facts"] for name in record.train if name in material.stages]
    if any(fact.get("degenerate") for fact in facts):
        found.degenerate.add(training)
    if facts and material.tasks[own.cell.task].trained and facts[-1].get("best_score") is not None:
        found.development[training] = float(facts[-1]["best_score"])


def _add_single_classes(name: str, cells: Sequence[ScoredCell], plan: Plan, found: _Found) -> None:
    """Trainings that predict one class in every language are degenerate as well."""
    by_training: dict[TrainingKey, list[bool]] = {}
    for cell in cells:
        key = cell.asked.key
        seed = _asked_seed(plan, key.task, key.seed)
        if seed is not None:
            own = TrainingKey(key.intermediate, name, key.task, seed)
            by_training.setdefault(own, []).append(bool(cell.result.get("single_class")))
    found.degenerate |= {key for key, single in by_training.items() if all(single)}


def _available(design: StudyDesign, runs: Sequence[MemberRun], found: _Found, machine: Machine) -> float:
    """How many times as many test examples there are as the limit left, on average over the cells whose rows are here."""
    if design.spec.limit is None or not runs:
        return 1.0
    return ordered_mean(list(_times(runs[0].plan, found.examples, machine)) or [1.0])


def _times(plan: Plan, examples: Mapping[StudyCell, int], machine: Machine) -> Iterator[float]:
    seen: set[StudyCell] = set()
    for planned in plan.cells:
        cell = StudyCell(planned.task, planned.lang)
        if cell in examples and cell not in seen and planned.predict is not None:
            seen.add(cell)
            rows = num_test_rows(planned.predict, machine)
            if rows:
                yield max(rows / examples[cell], 1.0)
