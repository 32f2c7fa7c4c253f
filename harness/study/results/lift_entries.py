"""The lifts of each setting over each group of cells, on each scale, as entries of study.json.

entries = lift_entries(tables, spec)
entries[0]["scales"]["points"]["backbones"][0]["lift"]         # {'value': ..., 'low': ..., 'high': ...}
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.api.errors import UserError
from harness.api.protocols import Json
from harness.specs.study import BASELINE, StudySpec, Verdicts
from harness.study.results.estimate_entries import estimate_entry, rounded
from harness.study.results.line_entries import LineEntries
from harness.study.results.study_tables import StudyTables, only_backbones
from harness.study.statistics.effects import GroupLifts
from harness.study.statistics.evidence import Evidence, Rung, backbone_lifts, evidence
from harness.study.statistics.level_questions import families_of_one_seed
from harness.study.statistics.scales import SCALES, Scale
from harness.study.statistics.student import StudentEstimate

ONE_SEED = "one seed: how much seeds vary is not known"


@dataclass(frozen=True, kw_only=True, slots=True)
class _GroupOfSetting:
    """A group's lifts on the scales that have a place for them."""

    place: tuple[str, str]
    lifts: Mapping[Scale, GroupLifts]
    refused: Mapping[Scale, str]


def lift_entries(tables: StudyTables, spec: StudySpec) -> list[dict[str, Json]]:
    """One entry a setting and group."""
    found = []
    for name in tables.names:
        if name != BASELINE:
            found += _entries_of(name, tables, spec.verdicts)
    return found


def _entries_of(name: str, tables: StudyTables, verdicts: Verdicts) -> list[dict[str, Json]]:
    apart = tables.same_task([name])
    groups = [_group(name, place, tables, apart) for place in tables.groups(apart)]
    told = _on_scales(groups, tables, verdicts)
    return [
        {
            "setting": name,
            "kind": group.place[0],
            "group": group.place[1],
            "same_task": group.place[0] == "same_task" or group.place[1] in apart,
            "backbones": _backbones(name, group, tables, apart),
            "scales": {scale: told.get((number, scale)) for scale in SCALES},
            "refused": dict(group.refused),
        }
        for number, group in enumerate(groups)
    ]


def _group(name: str, place: tuple[str, str], tables: StudyTables, apart: Collection[str]) -> _GroupOfSetting:
    lifts: dict[Scale, GroupLifts] = {}
    refused: dict[Scale, str] = {}
    for scale in SCALES:
        try:
            lifts[scale] = tables.lifts(name, place, scale=scale, apart=apart)
        except UserError as error:
            refused[scale] = f"{error.message} ({error.where})" if error.where else error.message
    return _GroupOfSetting(place=place, lifts=lifts, refused=refused)


def _backbones(name: str, group: _GroupOfSetting, tables: StudyTables, apart: Collection[str]) -> list[dict[str, Json]]:
    """What the group holds for each backbone, and why it has no lift where it has none; the same on every scale."""
    cells = tables.group_cells(group.place, apart)
    lifts = group.lifts["points"]
    entries = []
    for member in tables.in_lines:
        own = member.rung.backbone
        there = own in lifts.backbones and np.isfinite(lifts.seeds[lifts.backbones.index(own)]).any()
        entries.append(
            {
                "backbone": own,
                "cells": len(cells.get(own, ())),
                "examples": sum(tables.study.examples.get(cell, 0) for cell in cells.get(own, ())),
                "why": None if there else tables.why_missing(name, group.place, own, apart),
            }
        )
    return entries


def _on_scales(
    groups: Sequence[_GroupOfSetting], tables: StudyTables, verdicts: Verdicts
) -> dict[tuple[int, Scale], dict[str, Json]]:
    """(number of the group, scale) -> its entry; groups with lifts of the same backbones are computed together."""
    rungs = [member.rung for member in tables.in_lines]
    batches: dict[tuple[tuple[Rung, ...], tuple[int, ...]], list[tuple[int, Scale]]] = {}
    for number, group in enumerate(groups):
        for scale, lifts in group.lifts.items():
            ladder = with_lifts(lifts, rungs)
            seeds = only_backbones(lifts, [rung.backbone for rung in ladder]).seeds
            batches.setdefault((ladder, tuple(np.isfinite(seeds).sum(axis=-1))), []).append((number, scale))
    found: dict[tuple[int, Scale], dict[str, Json]] = {}
    for (ladder, _), members in batches.items():
        names = [rung.backbone for rung in ladder]
        own = [only_backbones(groups[number].lifts[scale], names) for number, scale in members]
        together = replace(own[0], seeds=np.stack([one.seeds for one in own]), draws=np.stack([one.draws for one in own]))
        entries = _entries(evidence(together, ladder=ladder), together, verdicts) if ladder else [_NOTHING] * len(own)
        found |= dict(zip(members, entries, strict=True))
    return found


_NOTHING: dict[str, Json] = {"backbones": [], "families": [], "mean": None, "why_no_mean": "no backbone has a lift", "pooled": []}


def with_lifts(lifts: GroupLifts, ladder: Sequence[Rung]) -> tuple[Rung, ...]:
    """The backbones of a ladder that have a lift."""
    there = dict(zip(lifts.backbones, np.isfinite(lifts.seeds).any(axis=-1), strict=True))
    return tuple(rung for rung in ladder if there.get(rung.backbone, False))


def _entries(found: Evidence, lifts: GroupLifts, verdicts: Verdicts) -> list[dict[str, Json]]:
    """The entries of many groups on the same backbones."""
    lines = LineEntries(found, verdicts)
    own = lifts_of_backbones(found)
    return [
        {
            "backbones": [
                {
                    "backbone": rung.backbone,
                    "lift": lift_entry(found, own, at, place=place),
                    "num_seeds": int(found.num_seeds[place, at]),
                    "seeds": [rounded(seed) for seed in lifts.seeds[place, lifts.backbones.index(rung.backbone)]],
                }
                for at, rung in enumerate(found.ladder)
            ],
            "families": lines.families(place),
            "mean": lines.mean(place),
            "why_no_mean": lines.why_no_mean or None,
            "pooled": lines.pooled(place),
        }
        for place in range(len(found.lifts))
    ]


def lifts_of_backbones(found: Evidence) -> dict[int, tuple[StudentEstimate, int]]:
    """Number of a backbone -> the estimates of its family and its place among them; without families of one seed."""
    without = families_of_one_seed(found)
    own: dict[int, tuple[StudentEstimate, int]] = {}
    for family in found.families:
        if family not in without:
            at = found.places(family)
            estimates = backbone_lifts(found.only(at))
            own |= {place: (estimates, number) for number, place in enumerate(at) if estimates is not None}
    return own


def lift_entry(
    found: Evidence, own: Mapping[int, tuple[StudentEstimate, int]], at: int, *, place: int | None = None
) -> dict[str, Json]:
    """The lift of a backbone with its interval; without one, and said why, where seeds cannot be told apart."""
    front = () if place is None else (place,)
    if at in own:
        estimates, number = own[at]
        return {**estimate_entry(estimates, place=(*front, number)), "why_no_interval": None}
    return {"value": rounded(found.lifts[(*front, at)]), "low": None, "high": None, "df": None, "why_no_interval": ONE_SEED}
