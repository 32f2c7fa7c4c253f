"""Backbones trained by two methods: the lift by each and the paired difference, as entries of study.json.

    entries = bridge_entries(tables, spec)

A bridge is in no line: it says whether a difference between families may be one of their methods.
"""

from dataclasses import replace

import numpy as np

from harness.api.errors import UserError
from harness.api.protocols import Json
from harness.specs.study import BASELINE, StudySpec
from harness.study.results.lift_entries import lift_entry, lifts_of_backbones, with_lifts
from harness.study.results.study_scores import Member
from harness.study.results.study_tables import StudyTables, only_backbones
from harness.study.statistics.effects import GroupLifts
from harness.study.statistics.evidence import evidence

_KINDS = ("zero_shot", "category", "target")


def bridge_entries(tables: StudyTables, spec: StudySpec) -> list[dict[str, Json]]:
    """One entry a bridge, setting and group, on the scale of the verdicts."""
    members = {member.rung.backbone: member for member in tables.study.members}
    return [
        _entry(name, place, (members[bridge.bridges], bridge), tables, spec)
        for bridge in tables.study.members
        if bridge.bridges
        for name in tables.names
        if name != BASELINE
        for place in tables.groups(tables.same_task([name]))
        if place[0] in _KINDS
    ]


def _entry(
    name: str, place: tuple[str, str], pair: tuple[Member, Member], tables: StudyTables, spec: StudySpec
) -> dict[str, Json]:
    apart = tables.same_task([name])
    entry: dict[str, Json] = {
        "bridge": pair[1].rung.backbone,
        "backbone": pair[0].rung.backbone,
        "methods": [one.method for one in pair],
        "setting": name,
        "kind": place[0],
        "group": place[1],
        "lifts": [None, None],
        "difference": None,
        "why": None,
    }
    try:
        lifts = tables.lifts(name, place, scale=spec.verdicts.scale, apart=apart)
    except UserError as error:
        return {**entry, "why": error.message}
    missing = [one for one in pair if not with_lifts(lifts, [one.rung])]
    if missing:
        reasons = [f"{one.rung.backbone}: {tables.why_missing(name, place, one.rung.backbone, apart)}" for one in missing]
        return {**entry, "why": "; ".join(reasons)}
    first, second = (only_backbones(lifts, [one.rung.backbone]) for one in pair)
    difference = replace(second, seeds=second.seeds - first.seeds, draws=second.draws - first.draws)
    entry["lifts"] = [_number(own, one) for own, one in zip((first, second), pair, strict=True)]
    if np.isfinite(difference.seeds).any():
        entry["difference"] = _number(difference, pair[1])
    else:
        entry["why"] = "the two have no seed in common"
    return entry


def _number(lifts: GroupLifts, member: Member) -> dict[str, Json]:
    """The number of one backbone with the interval that its own seeds give."""
    found = evidence(lifts, ladder=[member.rung])
    return {**lift_entry(found, lifts_of_backbones(found), 0), "num_seeds": int(found.num_seeds[0])}
