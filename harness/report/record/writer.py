"""Writes down what a run asked for, so that a board knows which stages are its own and which are missing.

path = write_request(plan, catalog=catalog, root=Path("runs/x"))      # runs/x/requests/<hash>.json
"""

import dataclasses
import fnmatch
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.planning.backbone.sizes import read_sizes
from harness.planning.catalog.catalog import Catalog
from harness.planning.catalog.lm_eval_files.caveats import remarks_on_shots, remarks_on_writing
from harness.planning.intermediate import NO_INTERMEDIATE, Setting
from harness.planning.plan import Plan, PlannedCell
from harness.planning.resolved_tasks import ResolvedTask
from harness.report.record.dates import claimed_date, date_in
from harness.report.record.schema import (
    SCHEMA,
    Failure,
    Overlap,
    Replaced,
    RequestedCell,
    RequestedGroup,
    RequestedModel,
    RequestedTask,
    RequestFile,
    write_record,
)
from harness.runtime.arguments import InitArguments, TrainArguments
from harness.runtime.provenance import provenance
from harness.runtime.stages import canonical
from harness.scoring.score import score_keys


class RunOutcome(NamedTuple):
    """What a run found when it ended."""

    overlaps: Sequence[Mapping[str, Any]]
    "Between training and test data."
    failures: Sequence[tuple[str, str]]
    "Stages that failed, with the message."


def write_request(
    plan: Plan,
    *,
    catalog: Catalog,
    root: Path,
    replaced: Sequence[Mapping[str, Any]] = (),
    rests_on: Sequence[str] = (),
    outcome: RunOutcome | None = None,
) -> Path:
    """Write the request file of a run and return its path; the same request has the same file.

    With an `outcome` the run that wrote it writes it once more, with the date that it has.
    """
    request = dataclasses.asdict(plan.request)
    path = request_path(plan, root)
    record = RequestFile(
        schema_=SCHEMA,
        date=(date_in(path) if outcome else "") or claimed_date(path),
        data_dir=str(plan.data_dir) if plan.data_dir else None,
        request=request,
        models={plan.backbone.name: RequestedModel.model_validate({**plan.backbone.facts, **_made_sizes(plan, root)})},
        tasks={name: _task(plan, task) for name, task in plan.tasks.items()},
        groups=_groups(plan, catalog),
        languages={code: row for task in plan.tasks.values() for code, row in task.spec.own_languages.items()},
        cells=tuple(_cell(plan, cell) for cell in plan.cells),
        backbone=_backbone_stages(plan),
        rests_on=tuple(sorted(rests_on)),
        overlaps=tuple(Overlap.model_validate(overlap) for overlap in (outcome.overlaps if outcome else ())),
        declared=_declared(plan, catalog),
        replaced=tuple(Replaced.model_validate(run) for run in replaced),
        failures=tuple(Failure(stage=stage, error=error) for stage, error in (outcome.failures if outcome else ())),
        **provenance(),
    )
    write_record(record, path)
    return path


def request_path(plan: Plan, root: Path) -> Path:
    """The request file of a plan: its name is a hash of what is asked for and of the scores that it leads to."""
    keys = [cell.score.key if cell.score else "" for cell in plan.cells]
    text = canonical({**dataclasses.asdict(plan.request), "cells": keys})
    return root / "requests" / f"{hashlib.sha256(text.encode()).hexdigest()[:10]}.json"


def _backbone_stages(plan: Plan) -> tuple[str, ...]:
    """The stages that make the backbone, which no cell names."""
    named = {stage.key for cell in plan.cells for stage in cell.train}
    made = [stage for stage in plan.stages if isinstance(stage.args, InitArguments | TrainArguments)]
    return tuple(stage.name for stage in made if stage.key not in named)


def _made_sizes(plan: Plan, root: Path) -> dict[str, Any]:
    """Sizes of a backbone that this run makes from random weights, once it stands."""
    made = next((stage for stage in plan.stages if isinstance(stage.args, InitArguments)), None)
    return read_sizes(made.folder(root) / "backbone") if made and made.is_done(root) else {}


def _task(plan: Plan, task: ResolvedTask) -> RequestedTask:
    spec = task.spec
    prompt = task.route.prompt
    shown: list[str] = []
    if spec.lm_eval:
        shown += remarks_on_shots(spec, per_question=prompt.fewshot_sampler is None) if prompt.num_fewshot else []
        shown += remarks_on_writing(spec, sampled=prompt.sampling)
    return RequestedTask(
        type=spec.type,
        version=spec.version,
        description=spec.description,
        languages=spec.languages,
        score=score_keys([use.metric for use in spec.metrics], spec.score),
        chance=spec.chance,
        notes=(*spec.notes, *shown),
        same_task=spec.same_task,
        stands_in_for=spec.stands_in_for,
        trained=any(cell.train and cell.task == spec.task for cell in plan.cells),
    )


def _groups(plan: Plan, catalog: Catalog) -> dict[str, RequestedGroup]:
    """The groups that the request names or that lie wholly within its tasks, with the groups inside them."""
    asked = {part.strip() for part in plan.request.tasks.split(",")}
    theirs = {catalog.group(part).spec.group for part in asked - {*catalog.names("group")} if catalog.is_lm_eval_group(part)}
    asked |= theirs
    groups: dict[str, RequestedGroup] = {}
    for name in (*catalog.names("group"), *sorted(theirs)):
        tasks = catalog.group_tasks(name)
        if name in asked or set(tasks) <= set(plan.tasks):
            spec = catalog.group(name).spec
            members = [found for member in spec.members for found in _members(member, catalog)]
            groups[name] = RequestedGroup(members=tuple(members), tasks=tuple(tasks), aggregate=spec.aggregate)
    return groups


def _members(member: str, catalog: Catalog) -> list[str]:
    """A member of a group, globs expanded."""
    known = member in catalog.names("task") or member in catalog.names("group") or catalog.lm_eval.knows(member)
    return [member] if known else fnmatch.filter(catalog.names("task"), member)


def _cell(plan: Plan, cell: PlannedCell) -> RequestedCell:
    task = plan.tasks[cell.task]
    return RequestedCell(
        model=plan.backbone.name,
        intermediate=cell.intermediate,
        task=cell.task,
        lang=cell.lang,
        seed=cell.seed,
        route=task.route.shown,
        recipe=plan.recipe.spec.recipe if cell.train else None,
        same_task=plan.is_same_task(cell.intermediate, cell.task),
        limit=plan.request.limit,
        score=cell.score.name if cell.score else None,
        predict=cell.predict.name if cell.predict else None,
        blocked=cell.blocked,
        train=tuple(stage.name for stage in cell.train),
        synthetic=any(source.world is not None for source in task.spec.data.test),
    )


def _declared(plan: Plan, catalog: Catalog) -> dict[str, str]:
    """What unlabelled, parallel or translated text of test languages each intermediate setting sees."""
    return {name: _seen(setting, catalog) for name, setting in plan.settings.items() if name != NO_INTERMEDIATE}


def _seen(setting: Setting, catalog: Catalog) -> str:
    """A sentence on the languages of a setting's rows other than English."""
    kinds = {"retrieval": "parallel text", "masked_lm": "unlabelled text"}
    found = []
    for component in setting.components:
        spec = catalog.task(component.task).spec
        if component.lang:
            found.append(f"{component.task}: labelled text machine-translated into {component.lang}")
            continue
        foreign = [lang for lang in spec.train_languages if lang != "en"]
        kind = kinds.get(spec.type, "labelled text")
        if spec.type == "masked_lm" and "text_pair" in spec.fields:
            kind = "parallel text"
        if foreign:
            found.append(f"{component.task}: {kind} in {', '.join(foreign)}")
    return "; ".join(found) or "English only"
