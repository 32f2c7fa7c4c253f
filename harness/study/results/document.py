"""study.json: from the tables of a study and its file to everything that it says; its schema is study.schema.json.

    results = build_results(spec, scores, looks=LookLog(spec.verdicts.looks), look=True)
    results.document["hypotheses"][0]["verdict"], results.looks
    print_results = text(results.document)               # harness.study.results.text

The same scores, file and looks give the same bytes: there is no clock and no path in it.  Where a look was taken, `looks` has it,
for the caller to keep with `registered(spec)`; where a score is missing none is taken, so that no level is spent on half a study.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.api.errors import UserError
from harness.api.protocols import Json
from harness.runtime.schema_check import check_schema
from harness.scoring.bootstrap import LEVEL
from harness.specs.study import StudySpec
from harness.study.results.bridge_entries import bridge_entries
from harness.study.results.choices import Composite, choose
from harness.study.results.estimate_entries import rounded
from harness.study.results.hypothesis_entries import Asked, hypothesis_entries
from harness.study.results.lift_entries import lift_entries
from harness.study.results.looking import Looking, look_at, registered
from harness.study.results.missing_entries import missing_entries
from harness.study.results.score_entries import ReferenceScore, score_entries
from harness.study.results.study_scores import ChosenRate, Member, StudyScores
from harness.study.results.study_tables import study_tables
from harness.study.statistics.evidence import Rung
from harness.study.statistics.looks import LookLog

SCHEMA_VERSION = 1
"Of what is released: nothing is yet, so that keys may still be added under it (CHANGELOG.md)."
SCHEMA_FILE = Path(__file__).with_name("study.schema.json")
NO_LOOK_ASKED = "no look was asked for"


class StudyResults(NamedTuple):
    """What a study says, and the looks it has had."""

    document: dict[str, Json]
    "study.json."
    looks: LookLog
    "With this look, where one was taken."


def build_results(
    spec: StudySpec,
    scores: StudyScores,
    *,
    looks: LookLog,
    look: bool,
    registered_before: str = "",
    references: Sequence[ReferenceScore] = (),
    candidates: Sequence[Rung] = (),
) -> StudyResults:
    """Everything that a study says; raises UserError where there is no score at all, or one name for two hypotheses.

    look: whether hypotheses may be tested; registered_before: what `registered` gave at the first look, empty before it;
    candidates: backbones that could be added, of families of the study.
    """
    names = [hypothesis.name for hypothesis in spec.hypotheses]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise UserError(f"two hypotheses are named '{twice[0]}'", where="hypotheses", todo="rename one")
    composites = choose(spec, scores)
    tables = study_tables(scores, composites)
    missing = missing_entries(tables)
    num_missing = sum(entry["count"] for entry in missing)
    why_not = "" if look else NO_LOOK_ASKED
    if num_missing:
        why_not = f"{num_missing} {'score is' if num_missing == 1 else 'scores are'} missing, so that no look is spent"
    asked = [Asked.of(hypothesis, tables, spec.verdicts) for hypothesis in spec.hypotheses]
    claims = {one.hypothesis.name: one.claim for one in asked}
    looking = look_at(spec, looks, claims, fingerprint=scores.fingerprint, why_not=why_not)
    document: dict[str, Json] = {
        "schema_version": SCHEMA_VERSION,
        "study": spec.study,
        "description": spec.description,
        "note": spec.note,
        "synthetic": scores.synthetic,
        "partial": scores.partial,
        "intervals": {"level": LEVEL, "draws": len(next(iter(scores.estimates.values())).samples)},
        "fixed": {
            **spec.verdicts.model_dump(mode="json"),
            "registered": registered(spec),
            "changed_since_first_look": bool(registered_before) and registered_before != registered(spec),
        },
        "look": _look(looking, scores),
        "settings": list(scores.arms),
        "seeds": list(scores.seeds),
        "targets": _targets(scores),
        "backbones": [_backbone(member) for member in scores.members],
        "composites": [_composite(composite, scores) for composite in composites.values()],
        "missing": {"count": num_missing, "scores": missing},
        "left_out": [{"what": what, "why": why} for what, why in scores.left_out.items()],
        "learning_rates": [_rate(rate) for rate in scores.rates],
        "not_chosen": list(scores.not_chosen),
        "degenerate": [key._asdict() for key in sorted(scores.degenerate)],
        "hypotheses": hypothesis_entries(asked, looking, tables, spec, candidates=candidates),
        "lifts": lift_entries(tables, spec),
        "bridges": bridge_entries(tables, spec),
        "scores": score_entries(tables),
        "layers": _layers(scores),
        "references": [reference._asdict() for reference in references],
    }
    check_results(document)
    return StudyResults(document, looking.log)


def _layers(scores: StudyScores) -> list[dict[str, Json]]:
    """One entry a setting, backbone and target, with its layers from the first."""
    found: dict[tuple[str, str, str], list[dict[str, Json]]] = {}
    for one in scores.layers:
        entry = one._asdict()
        place = (entry.pop("setting"), entry.pop("backbone"), entry.pop("target"))
        found.setdefault(place, []).append({**entry, "score": None if one.score is None else rounded(one.score)})
    return [
        {"setting": setting, "backbone": backbone, "target": target, "layers": layers}
        for (setting, backbone, target), layers in found.items()
    ]


def check_results(document: Mapping[str, Json]) -> None:
    """Raise UserError at the first place where a document does not fit its schema."""
    check_schema(document, SCHEMA_FILE, name="study", expected="the results of a study", todo="report it with this message")


def _look(looking: Looking, scores: StudyScores) -> dict[str, Json]:
    return {
        "taken": not looking.why_not,
        "why_not": looking.why_not,
        "number": looking.level.number,
        "planned": looking.log.planned,
        "alpha": None if looking.level.alpha is None else rounded(looking.level.alpha),
        "fingerprint": scores.fingerprint,
    }


def _targets(scores: StudyScores) -> list[dict[str, Json]]:
    entries = []
    for target in dict.fromkeys(cell.task for cell in scores.cells):
        cells = [cell for cell in scores.cells if cell.task == target]
        entries.append(
            {
                "target": target,
                "category": scores.categories.get(target),
                "languages": [cell.lang for cell in cells],
                "examples": sum(scores.examples.get(cell, 0) for cell in cells),
                "same_task": [arm for arm in scores.arms if (arm, target) in scores.same_task],
            }
        )
    return entries


def _backbone(member: Member) -> dict[str, Json]:
    return {
        "backbone": member.rung.backbone,
        "family": member.rung.family,
        "size": member.rung.size,
        "model": member.model,
        "method": member.method,
        "bridges": member.bridges or None,
        "covered": None if member.covered is None else sorted(member.covered),
        "contamination": member.contamination,
        "facts": dict(member.facts),
    }


def _composite(composite: Composite, scores: StudyScores) -> dict[str, Json]:
    return {
        "name": composite.name,
        "settings": list(composite.settings),
        "choices": [
            {
                "backbone": backbone,
                "target": target,
                "setting": choice.setting,
                "by": choice.by,
                "scores": {name: rounded(score) for name, score in choice.scores.items()},
            }
            for (backbone, target), choice in composite.choices.items()
        ],
        "without": [
            {"backbone": backbone, "target": target, "why": why} for (backbone, target), why in composite.without.items()
        ],
    }


def _rate(rate: ChosenRate) -> dict[str, Json]:
    return {
        "setting": rate.arm,
        "backbone": rate.backbone,
        "target": rate.task or None,
        "rate": rate.rate,
        "trials": [{"rate": one, "score": rounded(rate.trials[one])} for one in sorted(rate.trials)],
        "at_edge": rate.is_at_edge,
    }
