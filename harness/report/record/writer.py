"""Writes down what a run asked for, so that a board knows which stages are its own and which are missing.

path = write_request(plan, catalog=catalog, root=Path("runs/x"))      # runs/x/requests/<hash>.json
"""

import dataclasses
import fnmatch
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.planning.backbone.resolve import read_sizes
from harness.planning.catalog.catalog import Catalog
from harness.planning.catalog.lm_eval_files.caveats import remarks_on_shots
from harness.planning.intermediate import NO_INTERMEDIATE, Setting
from harness.planning.plan import Plan, PlannedCell
from harness.planning.precedence import prompt_settings, prompt_settings_of, route_name, route_of
from harness.runtime.provenance import provenance
from harness.runtime.stages import Stage, canonical, write_json
from harness.scoring.score import score_keys

SCHEMA = 1


def write_request(
    plan: Plan,
    *,
    catalog: Catalog,
    root: Path,
    overlaps: Sequence[Mapping[str, Any]] = (),
    failures: Sequence[tuple[str, str]] = (),
    replaced: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write the request file of a run and return its path; the same request has the same file."""
    request = dataclasses.asdict(plan.request)
    name = hashlib.sha256(
        canonical({**request, "cells": [cell.score.key if cell.score else "" for cell in plan.cells]}).encode()
    ).hexdigest()[:10]
    model = plan.backbone.name
    settings = prompt_settings(plan.request.prompt_args)
    routes = {
        name: route_name(
            route_of(entry.spec, plan.request.route),
            prompt_settings_of(entry.spec, settings),
            engine=plan.backbone.engine,
        )
        for name, entry in plan.tasks.items()
    }
    content = {
        "schema": SCHEMA,
        "request": request,
        "models": {model: {**plan.backbone.facts, **_made_sizes(plan, root)}},
        "tasks": {name: _task(plan, name) for name in plan.tasks},
        "groups": _groups(plan, catalog),
        "cells": [_cell(plan, cell, routes) for cell in plan.cells],
        "overlaps": list(overlaps),
        "declared": _declared(plan, catalog),
        "replaced": list(replaced),
        "failures": [{"stage": stage, "error": error} for stage, error in failures],
        **provenance(),
    }
    path = root / "requests" / f"{name}.json"
    write_json(path, content)
    return path


def _made_sizes(plan: Plan, root: Path) -> dict[str, Any]:
    """Sizes of a backbone that this run makes from random weights, once it stands."""
    made = next((stage for stage in plan.stages if stage.verb == "init"), None)
    return read_sizes(made.folder(root) / "backbone") if made and made.is_done(root) else {}


def _task(plan: Plan, name: str) -> dict[str, Any]:
    spec = plan.tasks[name].spec
    keys = ("type", "version", "description", "chance", "notes", "same_task", "languages")
    content = spec.model_dump(mode="json", include=set(keys))
    if spec.lm_eval and prompt_settings_of(spec, prompt_settings(plan.request.prompt_args)).num_fewshot:
        content["notes"] += remarks_on_shots(spec)
    return {
        **content,
        "score": list(score_keys([use.metric for use in spec.metrics], spec.score)),
        "trained": any(c.train and c.task == name for c in plan.cells),
    }


def _groups(plan: Plan, catalog: Catalog) -> dict[str, Any]:
    """The groups that the request names or that lie wholly within its tasks, with the groups inside them."""
    asked = {part.strip() for part in plan.request.tasks.split(",")}
    theirs = {catalog.group(part).spec.group for part in asked - {*catalog.names("group")} if catalog.is_lm_eval_group(part)}
    asked |= theirs
    groups: dict[str, Any] = {}
    for name in (*catalog.names("group"), *sorted(theirs)):
        tasks = catalog.group_tasks(name)
        if name in asked or set(tasks) <= set(plan.tasks):
            spec = catalog.group(name).spec
            members = [found for member in spec.members for found in _members(member, catalog)]
            groups[name] = {"members": members, "tasks": tasks, "aggregate": spec.aggregate}
    return groups


def _members(member: str, catalog: Catalog) -> list[str]:
    """A member of a group, globs expanded."""
    known = member in catalog.names("task") or member in catalog.names("group") or catalog.lm_eval.knows(member)
    return [member] if known else fnmatch.filter(catalog.names("task"), member)


def _cell(plan: Plan, cell: PlannedCell, routes: Mapping[str, str]) -> dict[str, Any]:
    spec = plan.tasks[cell.task].spec
    folders: dict[str, Stage | None] = {"score": cell.score, "predict": cell.predict}
    return {
        "model": plan.backbone.name,
        "intermediate": cell.intermediate,
        "task": cell.task,
        "lang": cell.lang,
        "seed": cell.seed,
        "route": routes[cell.task],
        "recipe": plan.recipe.spec.recipe if cell.train else None,
        "same_task": plan.is_same_task(cell.intermediate, cell.task),
        "limit": plan.request.limit,
        "train": [stage.name for stage in cell.train],
        "synthetic": any(source.world is not None for source in spec.data.test),
        "blocked": cell.blocked,
        **{key: stage.name if stage else None for key, stage in folders.items()},
    }


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
