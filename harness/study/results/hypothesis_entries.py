"""What each hypothesis of a study comes to, as entries of study.json.

asked = [Asked.of(hypothesis, tables, spec.verdicts) for hypothesis in spec.hypotheses]
looking = look_at(spec, log, {one.hypothesis.name: one.claim for one in asked}, fingerprint=..., why_not="")
entries = hypothesis_entries(asked, looking, tables, spec, candidates=[])
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.api.errors import UserError
from harness.api.protocols import Json
from harness.specs.study import BASELINE, Hypothesis, StudySpec, Verdicts
from harness.study.results.confound_texts import confound_texts
from harness.study.results.estimate_entries import estimate_entry, rounded
from harness.study.results.hypothesis_parts import evidence_of, parts_of, same_task_apart, settings_of, targets_of
from harness.study.results.judging import Judged, advice_for, judge
from harness.study.results.line_entries import pooled_entry
from harness.study.results.looking import NOT_LOOKED, FoundVerdict, Looking
from harness.study.results.readings import StudyReading, readings_of
from harness.study.results.study_tables import StudyTables
from harness.study.statistics.advice import Option
from harness.study.statistics.evidence import Evidence, Rung
from harness.study.statistics.hypotheses import UNDECIDED, Claim, UnanswerableClaim
from harness.study.statistics.robustness import disagreements
from harness.study.statistics.scales import UNITS

_OTHER = "0" * 8
"A fingerprint of data that no look has seen."


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A hypothesis with its evidence, and its estimates where there are any."""

    hypothesis: Hypothesis
    evidence: Mapping[str, Evidence]
    "By part."
    judged: Judged | None
    why: str
    "Why its question cannot be answered; empty where it can."

    @classmethod
    def of(cls, hypothesis: Hypothesis, tables: StudyTables, verdicts: Verdicts) -> "Asked":
        """The hypothesis, put to the scores of a study."""
        found: dict[str, Evidence] = {}
        try:
            parts = parts_of(hypothesis, tables, scale=verdicts.scale)
            found |= {part.name: evidence_of(part, tables) for part in parts}
            return cls(hypothesis=hypothesis, evidence=found, judged=judge(hypothesis, verdicts, found), why="")
        except UserError as error:
            return cls(hypothesis=hypothesis, evidence=found, judged=None, why=_in_a_line(error))

    @property
    def claim(self) -> Claim:
        """What is tested; without estimates it stays undecided."""
        return UnanswerableClaim() if self.judged is None else self.judged.claim


def _in_a_line(error: UserError) -> str:
    details = "; ".join(part for part in (error.where, error.found, error.todo and f"to do: {error.todo}") if part)
    return f"{error.message} ({details})" if details else error.message


def hypothesis_entries(
    asked: Sequence[Asked], looking: Looking, tables: StudyTables, spec: StudySpec, *, candidates: Sequence[Rung]
) -> list[dict[str, Json]]:
    """One entry a hypothesis, in the order of the file."""
    return [_entry(one, looking, tables, spec, candidates) for one in asked]


def _entry(asked: Asked, looking: Looking, tables: StudyTables, spec: StudySpec, candidates: Sequence[Rung]) -> dict[str, Json]:
    hypothesis, found = asked.hypothesis, looking.found[asked.hypothesis.name]
    now = found.now
    alpha = now.alpha if now else None
    readings = readings_of(hypothesis, spec.verdicts, tables, alpha=alpha) if alpha is not None and asked.judged else []
    return {
        "name": hypothesis.name,
        "question": _question(hypothesis, spec.verdicts),
        "verdict": found.verdict,
        "settled": now.decision.settled if now else "",
        "why": _why(asked, looking, found),
        "kept": None if found.kept is None else {"look": found.kept[0], "verdict": found.kept[1]},
        "now": now.decision.verdict if now else None,
        "p": rounded(now.p) if now else None,
        "adjusted_p": rounded(now.adjusted_p) if now else None,
        "alpha": None if alpha is None else rounded(alpha),
        "numbers": _numbers(asked.judged, alpha),
        "heterogeneity": {name: pooled_entry(one) for name, one in asked.judged.pooled.items()} if asked.judged else {},
        "families": _families(asked, spec.verdicts, alpha),
        "left_out": [{"family": name, "why": why} for name, why in asked.judged.left_out.items()] if asked.judged else [],
        **_basis(asked, tables),
        "readings": [_reading(one) for one in readings],
        "disagreements": _disagreements(found.verdict, readings) if readings else [],
        "confounds": confound_texts(_backbones(asked), hypothesis, tables),
        "advice": _advice(asked, looking, tables, spec, candidates) if found.verdict == UNDECIDED else None,
    }


def _question(hypothesis: Hypothesis, verdicts: Verdicts) -> dict[str, Json]:
    """What was fixed beforehand."""
    return {
        "asks": hypothesis.asks,
        "settings": list(hypothesis.settings),
        "than": list(hypothesis.than),
        "over": _place(hypothesis.over.place),
        "than_over": [_place(group.place) for group in hypothesis.than_over],
        "each": hypothesis.each,
        "at": hypothesis.at,
        "scale": verdicts.scale,
        "unit": UNITS[verdicts.scale],
        "margin": verdicts.margin,
    }


def _place(place: tuple[str, str]) -> dict[str, Json]:
    return {"kind": place[0], "group": place[1]}


def _why(asked: Asked, looking: Looking, found: FoundVerdict) -> str:
    """Why there is no verdict, or no new one; empty where there is."""
    if found.verdict not in (UNDECIDED, NOT_LOOKED):
        return ""
    return "; ".join(part for part in (asked.why, looking.why_not) if part)


def _numbers(judged: Judged | None, alpha: float | None) -> list[dict[str, Json]]:
    if judged is None:
        return []
    return [{"name": name, **estimate_entry(one, alpha=alpha)} for name, one in judged.estimates.items()]


def _families(asked: Asked, verdicts: Verdicts, alpha: float | None) -> list[dict[str, Json]]:
    """Each family by itself: its numbers, and at the hypothesis's level its verdict."""
    names = list(dict.fromkeys(family for one in asked.evidence.values() for family in one.families))
    entries: list[dict[str, Json]] = []
    for family in names:
        own = {name: one.only(one.places(family)) for name, one in asked.evidence.items()}
        try:
            judged = judge(asked.hypothesis, verdicts, own, alone=True)
        except UserError as error:
            entries.append({"family": family, "verdict": None, "settled": "", "why": _in_a_line(error), "numbers": []})
            continue
        decision = None if alpha is None else judged.claim.decide(alpha)
        entries.append(
            {
                "family": family,
                "verdict": decision.verdict if decision else None,
                "settled": decision.settled if decision else "",
                "why": "",
                "numbers": _numbers(judged, alpha),
            }
        )
    return entries


def _backbones(asked: Asked) -> list[str]:
    return list(dict.fromkeys(rung.backbone for one in asked.evidence.values() for rung in one.ladder))


def _basis(asked: Asked, tables: StudyTables) -> dict[str, Json]:
    """What the numbers are made of: backbones, examples, seeds; and which are not in them, and why."""
    hypothesis = asked.hypothesis
    names = [name for name in (*hypothesis.settings, *hypothesis.than) if name in tables.names]
    shared = same_task_apart(hypothesis, tables)
    used = _backbones(asked)
    without = []
    for member in tables.in_lines:
        own = member.rung.backbone
        if own not in used and names:
            name = next((one for one in names if one != BASELINE), names[0])
            apart = tables.same_task([name]) if shared is None else shared
            without.append({"backbone": own, "why": tables.why_missing(name, hypothesis.over.place, own, apart)})
    cells = {
        cell
        for name in names
        for group in (hypothesis.over, *hypothesis.than_over)
        for own in tables.group_cells(group.place, tables.same_task([name]) if shared is None else shared).values()
        for cell in own
    }
    counts = [int(num) for one in asked.evidence.values() for num in one.num_seeds]
    return {
        "backbones": used,
        "without": without,
        "cells": len(cells),
        "examples": sum(tables.study.examples.get(cell, 0) for cell in cells),
        "num_seeds": {"fewest": min(counts, default=0), "most": max(counts, default=0)},
        "same_task_apart": sorted(shared or tables.same_task(names)),
    }


def _reading(one: StudyReading) -> dict[str, Json]:
    return {
        "reading": one.reading,
        "verdict": one.decision.verdict if one.decision else None,
        "settled": one.decision.settled if one.decision else "",
        "margin": None if one.margin is None else rounded(one.margin),
        "why": one.why,
    }


def _disagreements(verdict: str, readings: Sequence[StudyReading]) -> list[str]:
    main = "the study's own reading"
    told = {one.reading: one.decision.verdict for one in readings if one.decision}
    return [one.text for one in disagreements({main: verdict, **told}, main=main)]


def _advice(
    asked: Asked, looking: Looking, tables: StudyTables, spec: StudySpec, candidates: Sequence[Rung]
) -> dict[str, Json] | None:
    """What would decide it at the next look; at the level of the last one where none is left, and that is said.

    None where the question cannot be answered and seeds would not change that.
    """
    coming = looking.log.level(spec.verdicts.alpha, fingerprint=_OTHER)
    now = looking.found[asked.hypothesis.name].now
    share = now.alpha / looking.level.alpha if now and looking.level.alpha else 1 / max(1, len(spec.hypotheses))
    spend = coming.alpha
    said = ""
    if spend is None:
        spend = looking.level.alpha or spec.verdicts.alpha
        said = (
            f"none of the {looking.log.planned} planned looks is left: following this cannot decide it any more, "
            "unless the study's file plans more looks"
        )
    options: list[Option] = (
        advice_for(
            asked.hypothesis,
            spec.verdicts,
            asked.evidence,
            alpha=spend * share,
            runs_per_seed=runs_per_seed(asked.hypothesis, tables),
            available=tables.study.available,
            candidates=candidates,
        )
        if asked.evidence
        else []
    )
    if asked.judged is None and not options:
        return None
    return {
        "options": [
            {"what": one.what, "amount": rounded(one.amount), "verdict": one.verdict, "runs": one.runs, "text": one.text}
            for one in options
        ],
        "alpha": rounded(spend * share),
        "next_look": None if coming.alpha is None else {"number": coming.number, "alpha": rounded(coming.alpha)},
        "said": said,
    }


def runs_per_seed(hypothesis: Hypothesis, tables: StudyTables) -> int:
    """Training runs of one seed of one backbone: of each setting the intermediate one, and those of targets that are trained."""
    settings, study = settings_of(hypothesis, tables), tables.study
    trained = {key.cell.task for key in study.estimates if key.arm == BASELINE and key.seed is not None}
    targets = sum(target in trained for target in targets_of(hypothesis, tables))
    return sum(targets + (name != BASELINE) for name in settings)
