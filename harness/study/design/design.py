"""A study file settled: its ladder, settings, targets and categories; what it asks of each backbone.

design = design_of(catalog.study("scaling"), catalog=catalog)      # raises every mistake of the file at once
design.request(design.members[0], rates=())                        # a RunRequest
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.api.errors import UserError, collecting, did_you_mean, raise_all
from harness.data.languages import language, languages
from harness.planning.catalog.catalog import Catalog, Entry
from harness.planning.intermediate import Setting, parse_settings
from harness.planning.request import GivenRate, RunRequest
from harness.specs.study import CellGroup, StudySpec
from harness.specs.yaml_nodes import KeyPath
from harness.study.design.ladder import LadderMember, ladder_of


@dataclass(frozen=True, kw_only=True)
class StudyDesign:
    """What a study runs."""

    entry: Entry[StudySpec]
    members: Sequence[LadderMember]
    settings: Sequence[Setting]
    "The baseline first."
    tasks: Sequence[str]
    categories: Mapping[str, str]
    "Target -> the first of the study's categories that holds it."

    @property
    def spec(self) -> StudySpec:
        """What the file says."""
        return self.entry.spec

    def request(self, member: LadderMember, *, rates: Sequence[GivenRate] = ()) -> RunRequest:
        """All cells of a backbone."""
        spec = self.spec
        return RunRequest(
            model=member.model,
            model_args=member.model_args,
            tasks=",".join(self.tasks),
            intermediate=",".join(setting.name for setting in self.settings),
            recipe=member.recipe,
            seeds=spec.seeds,
            languages=spec.languages,
            limit=spec.limit,
            route=member.route,
            prompt_args=member.prompt_args,
            learning_rates=tuple(rates),
        )


def design_of(entry: Entry[StudySpec], *, catalog: Catalog) -> StudyDesign:
    """Settle a study file; raises every mistake of it."""
    spec = entry.spec
    members, errors = ladder_of(entry, catalog=catalog)
    settings: list[Setting] = []
    tasks: list[str] = []
    categories: dict[str, str] = {}
    with collecting(errors):
        settings = _settings(entry, catalog)
    with collecting(errors):
        tasks = _tasks(entry, catalog)
    with collecting(errors):
        categories = _categories(entry, tasks, catalog)
    for lang in spec.languages:
        with collecting(errors):
            language(lang, where=entry.document.where(("languages",)))
    if both := set(spec.seeds) & set(spec.trial_seeds):
        where = entry.document.where(("trial_seeds",))
        found = ", ".join(map(str, sorted(both)))
        todo = "choose others: a reported score must not have chosen its own learning rate"
        errors.append(UserError("seeds of the trials are seeds of the study", where=where, found=found, todo=todo))
    if settings and tasks:
        errors += _wrong_names(entry, [setting.name for setting in settings], tasks, set(categories.values()))
    raise_all(errors)
    return StudyDesign(entry=entry, members=members, settings=settings, tasks=tasks, categories=categories)


def _settings(entry: Entry[StudySpec], catalog: Catalog) -> list[Setting]:
    """The settings, groups expanded; mistakes are said to be in the file."""
    try:
        return parse_settings(",".join(entry.spec.settings), catalog=catalog)
    except UserError as error:
        raise error.at(entry.document.where(("intermediate",))) from error


def _tasks(entry: Entry[StudySpec], catalog: Catalog) -> list[str]:
    where = entry.document.where(("tasks",))
    try:
        tasks = catalog.select(",".join(entry.spec.tasks))
        for task in tasks:
            catalog.task(task)
    except UserError as error:
        raise error.at(where) from error
    return tasks


def _categories(entry: Entry[StudySpec], tasks: Sequence[str], catalog: Catalog) -> dict[str, str]:
    """Each target's first category; those that are set and hold no target are left out."""
    found: dict[str, str] = {}
    where = entry.document.where(("categories",))
    for name in entry.spec.categories:
        if name not in catalog.names("group"):
            raise UserError(f"unknown group '{name}'", where=where, todo=did_you_mean(name, catalog.names("group")))
        for task in set(catalog.group_tasks(name)) & set(tasks):
            found.setdefault(task, name)
    return {task: found[task] for task in tasks if task in found}


def _wrong_names(
    entry: Entry[StudySpec], settings: Sequence[str], tasks: Sequence[str], categories: set[str]
) -> Iterator[UserError]:
    """Settings, cells and sizes that hypotheses and choices name and the study does not have."""
    spec, document = entry.spec, entry.document
    known = [name for name in settings if name != spec.settings[0]]

    def unknown(what: str, name: str, path: KeyPath, options: Sequence[str] | set[str]) -> Iterator[UserError]:
        if name not in options:
            todo = did_you_mean(name, options)
            yield UserError(f"no {what} '{name}' in this study", where=document.where(path), todo=todo)

    for name, members in spec.chosen.items():
        if name in settings:
            yield UserError(f"'{name}' is a setting already", where=document.where(("chosen", name)), todo="choose another name")
        for member in members:
            yield from unknown("setting", member, ("chosen", name), settings)
    seen: set[str] = set()
    for number, claim in enumerate(spec.hypotheses):
        path: KeyPath = ("hypotheses", number)
        if claim.name in seen:
            yield UserError(f"two hypotheses are called '{claim.name}'", where=document.where(path))
        seen.add(claim.name)
        for key in ("settings", "than"):
            for name in getattr(claim, key):
                yield from unknown("setting", name, (*path, key), [*known, *spec.chosen])
        for key, group in (("over", claim.over), *(("than_over", group) for group in claim.than_over)):
            for what, name, options in _group_names(group, tasks, categories):
                yield from unknown(what, name, (*path, key), options)
        if spec.verdicts.reference is None and (claim.asks == "scale" or claim.at != "mean"):
            yield UserError(
                "a claim of sizes needs sizes", where=document.where(path), todo="give verdicts.reference and verdicts.target"
            )


def _group_names(
    group: CellGroup, tasks: Sequence[str], categories: set[str]
) -> Iterator[tuple[str, str, Sequence[str] | set[str]]]:
    """(kind, name, what there is) of a group of cells."""
    table = languages().values()
    if group.target is not None:
        yield "target", group.target, tasks
    if group.category is not None:
        yield "category", group.category, categories
    if group.family is not None:
        yield "language family", group.family, {row.family for row in table}
    if group.script is not None:
        yield "script", group.script, {row.script for row in table}
