"""Turns a run into a graph of stages, each once, before anything is loaded.

    plan = make_plan(request, catalog=catalog, place=place)
    plan.stages      # train, predict and score stages, inputs first
    plan.cells       # (intermediate, task, language, seed) -> its stages, or why it cannot be had

Everything that is wrong with the request comes out together here; data that are missing block only their own cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.backbones import Backbone, resolve
from harness.catalog import Catalog, Entry
from harness.data.examples import Split, data_fingerprint
from harness.data.languages import language
from harness.data.place import DataPlace
from harness.errors import MissingData, UserError, raise_all
from harness.registry import METRICS, TASK_TYPES
from harness.settings import task_options, training
from harness.specs.portable import portable
from harness.specs.recipe import RecipeSpec, Training
from harness.specs.task import TaskSpec
from harness.stages import Stage, in_order

NO_INTERMEDIATE = "none"
SCORE_SEED = 0


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What a run asks for, as the command line gives it."""

    model: str
    model_args: str = ""
    tasks: str
    intermediate: str = NO_INTERMEDIATE
    recipe: str = "xtreme_2020"
    seeds: tuple[int, ...] = (1,)
    languages: tuple[str, ...] = ()
    "Only these; all of each task if empty."
    limit: int | None = None
    "Seeded sample of so many test rows per language."
    no_train: bool = False
    "Use the heads that the checkpoint has."
    remove_overlap: bool = False
    "Leave out training rows whose text occurs in the run's test rows."


@dataclass(frozen=True, kw_only=True)
class PlannedCell:
    """One number that the run is to give."""

    intermediate: str
    task: str
    lang: str
    seed: int | None
    "None where nothing random happens: an untrained target of the bare backbone."
    score: Stage | None
    blocked: str = ""
    "Why there is no stage."

    @property
    def predict(self) -> Stage | None:
        """The stage that makes its predictions."""
        return self.score.inputs[0] if self.score else None

    @property
    def train(self) -> list[Stage]:
        """The training stages behind it, first phase first, without the making of the backbone."""
        found: list[Stage] = []
        stage = self.predict
        while stage is not None:
            stage = next((parent for parent in stage.inputs if parent.verb == "train"), None)
            if stage is not None and not stage.knobs.get("pretraining"):
                found.insert(0, stage)
        return found


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The stages of a run and the cells they serve."""

    request: RunRequest
    backbone: Backbone
    recipe: Entry[RecipeSpec]
    tasks: Mapping[str, Entry[TaskSpec]]
    cells: Sequence[PlannedCell]

    @cached_property
    def stages(self) -> list[Stage]:
        """Every stage once, inputs first."""
        return in_order(cell.score for cell in self.cells if cell.score)


@dataclass(kw_only=True)
class _Builder:
    """Makes the stages of one request."""

    request: RunRequest
    catalog: Catalog
    place: DataPlace
    backbone: Backbone
    recipe: Entry[RecipeSpec]
    tests: list[dict[str, Any]] = field(default_factory=list)
    "Test sets whose texts are left out of training, if asked."

    def options(self, entry: Entry[TaskSpec]) -> dict[str, Any]:
        """The task's options that are not at their default, as JSON."""
        preset, overrides = self.backbone.preset, self.backbone.options
        settled = task_options(entry, recipe=self.recipe, preset=preset, overrides=overrides)
        options: dict[str, Any] = settled.values.model_dump(mode="json", exclude_defaults=True)
        return options

    @cached_property
    def backbone_stage(self) -> Stage | None:
        """The last stage that makes the backbone, for backbones trained here from random weights."""
        preset = self.backbone.preset
        scratch = preset.spec.scratch if preset else None
        if preset is None or scratch is None:
            return None
        entry = self.catalog.task(scratch.tokenizer_task)
        config = scratch.model_dump(mode="json", include={"config", "vocab_size"})
        texts = {"task": entry.spec.task, "spec": portable(entry.spec, split="train"), "data": self.data(entry.spec, "train")}
        stage = Stage(verb="init", label=preset.spec.preset, args={**config, "texts": texts, "seed": 0}, knobs=self.knobs)
        for step in scratch.pretraining:
            values = Training.model_validate(step.training)
            source = self.catalog.task(step.task)
            knobs = {**self.knobs, "pretraining": True}
            stage = self.train_stage(
                source, source, parent=stage, values=values, seed=0, label=f"{preset.spec.preset}+{step.task}", knobs=knobs
            )
        return stage

    @cached_property
    def knobs(self) -> dict[str, Any]:
        """Machine knobs of every stage."""
        return {**self.backbone.knobs, "save_every": self.recipe.spec.save_every}

    def data(self, spec: TaskSpec, split: Split) -> dict[str, str]:
        """Language -> fingerprint of the rows of a training or validation split."""
        return {lang: self.fingerprint(spec, split, lang) for lang in spec.train_languages}

    def fingerprint(self, spec: TaskSpec, split: Split, lang: str) -> str:
        """Fingerprint of the rows of a split in a language; raises MissingData."""
        folder = self.catalog.folder("task", spec.task)
        return data_fingerprint(spec, split=split, langs=[lang], place=self.place, task_folder=folder)

    def train_stage(
        self,
        source: Entry[TaskSpec],
        target: Entry[TaskSpec],
        *,
        parent: Stage | None,
        values: Training,
        seed: int,
        label: str,
        knobs: Mapping[str, Any],
    ) -> Stage:
        """Training on the rows of `source`, selected on the English validation rows of `target`."""
        component: dict[str, Any] = {
            "task": source.spec.task,
            "spec": portable(source.spec, split="train"),
            "data": self.data(source.spec, "train"),
            "options": self.options(target),
        }
        if target.spec.selection == "validation" and target.spec.data.validation:
            validation = portable(target.spec, split="validation", metrics=True)
            component["validation"] = {"task": target.spec.task, "spec": validation, "data": self.data(target.spec, "validation")}
        if self.tests:
            component["exclude"] = self.tests
        args = {
            "model": {key: value for key, value in self.backbone.arguments.items() if key != "dtype"},
            "tasks": [component],
            "training": values.model_dump(mode="json", exclude_defaults=True),
            "seed": seed,
        }
        return Stage(verb="train", label=label, args=args, inputs=(parent,) if parent else (), knobs=knobs)

    def intermediate(self, name: str, seed: int) -> Stage | None:
        """The checkpoint from which target training starts."""
        if name == NO_INTERMEDIATE or self.backbone.is_fake:
            return self.backbone_stage
        entry = self.catalog.task(name)
        values = training([name], phase="intermediate", recipe=self.recipe).values
        label = f"{self.backbone.name}+{name}-seed{seed}"
        return self.train_stage(entry, entry, parent=self.backbone_stage, values=values, seed=seed, label=label, knobs=self.knobs)

    def trained(self, entry: Entry[TaskSpec], name: str, seed: int) -> Stage:
        """The checkpoint that is asked for a target's cells."""
        source = self.catalog.task(entry.spec.train_on) if entry.spec.train_on else entry
        values = training([source.spec.task, entry.spec.task], phase="target", recipe=self.recipe).values
        start = "" if name == NO_INTERMEDIATE else f"+{name}"
        label = f"{self.backbone.name}{start}+{source.spec.task}-seed{seed}"
        parent = self.intermediate(name, seed)
        return self.train_stage(source, entry, parent=parent, values=values, seed=seed, label=label, knobs=self.knobs)

    def is_trained(self, spec: TaskSpec) -> bool:
        """Whether target training belongs to the task in this run."""
        return bool(spec.train_on or spec.data.train) and not (self.request.no_train or self.backbone.is_fake)

    def cell(self, entry: Entry[TaskSpec], name: str, lang: str, seed: int) -> PlannedCell:
        """The stages of one cell, or what blocks it."""
        spec = entry.spec
        trained = self.is_trained(spec)
        fixed = not trained and (name == NO_INTERMEDIATE or self.backbone.is_fake)
        try:
            parent = self.trained(entry, name, seed) if trained else self.intermediate(name, seed)
            score = self.score_stage(entry, lang, parent=parent)
            return PlannedCell(intermediate=name, task=spec.task, lang=lang, seed=None if fixed else seed, score=score)
        except MissingData as error:
            return PlannedCell(
                intermediate=name, task=spec.task, lang=lang, seed=None if fixed else seed, score=None, blocked=str(error)
            )

    def score_stage(self, entry: Entry[TaskSpec], lang: str, *, parent: Stage | None) -> Stage:
        """Prediction and scoring of a (task, language) with a checkpoint."""
        spec = entry.spec
        options = self.options(entry)
        module = TASK_TYPES.load(spec.type)
        has_head = module.head(spec, module.Options.model_validate(options)) is not None
        args: dict[str, Any] = {
            "model": dict(self.backbone.arguments),
            "task": spec.task,
            "spec": portable(spec, split="test"),
            "lang": lang,
            "data": self.fingerprint(spec, "test", lang),
            "options": options,
            "head": (spec.train_on or spec.task) if has_head else None,
        }
        if self.request.limit is not None:
            args["limit"] = self.request.limit
        start = parent.label if parent else self.backbone.name
        predict = Stage(
            verb="predict", label=f"{start}-{spec.task}-{lang}", args=args, inputs=(parent,) if parent else (), knobs=self.knobs
        )
        metrics = [use.metric for use in spec.metrics]
        score_args = {"metrics": metrics, "score": list(score_keys(spec)), "lang": lang, "seed": SCORE_SEED}
        return Stage(verb="score", label=predict.label, args=score_args, inputs=(predict,))


def score_keys(spec: TaskSpec) -> tuple[str, ...]:
    """The `metric.key` values whose mean is the task's score."""
    first = spec.metrics[0].metric
    return spec.score or (f"{first}.{METRICS.load(first).KEYS[0]}",)


def make_plan(request: RunRequest, *, catalog: Catalog, place: DataPlace) -> Plan:
    """Settle a request; raises every mistake of it at once."""
    errors: list[UserError] = []

    def attempt(function: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except UserError as error:
            errors.append(error)
            return None

    names = attempt(catalog.select, request.tasks) or []
    entries = {name: entry for name in names if (entry := attempt(catalog.task, name))}
    recipe = attempt(catalog.recipe, request.recipe)
    backbone = attempt(resolve, request.model, request.model_args, catalog=catalog, use_own_head=request.no_train)
    intermediates = list(dict.fromkeys(part.strip() for part in request.intermediate.split(",") if part.strip()))
    for name in intermediates:
        if name != NO_INTERMEDIATE:
            entry = attempt(catalog.task, name)
            if entry and not entry.spec.data.train:
                errors.append(
                    UserError(f"task '{name}' has no training rows", where="--intermediate", expected="a task with data.train")
                )
    for lang in request.languages:
        attempt(language, lang, where="--languages")
    errors += _conflicts(request, entries.values(), intermediates)
    raise_all(errors)
    raise_all(_impossible(backbone, entries.values(), request))
    builder = _Builder(request=request, catalog=catalog, place=place, backbone=backbone, recipe=recipe)
    if request.remove_overlap:
        builder.tests = _test_sets(builder, entries.values())
    cells = [
        cell
        for name in intermediates
        for entry in entries.values()
        for lang in _languages(entry.spec, request)
        for cell in _seeds(builder, entry, name, lang)
    ]
    _check_settings(builder, entries.values(), intermediates)
    return Plan(request=request, backbone=backbone, recipe=recipe, tasks=entries, cells=cells)


def _seeds(builder: _Builder, entry: Entry[TaskSpec], name: str, lang: str) -> list[PlannedCell]:
    """The cells of all seeds; one where nothing random happens."""
    cells: list[PlannedCell] = []
    for seed in builder.request.seeds:
        cells.append(builder.cell(entry, name, lang, seed))
        if cells[-1].seed is None:
            break
    return cells


def _languages(spec: TaskSpec, request: RunRequest) -> list[str]:
    """The task's languages that the run asks for, in the task's order."""
    return [lang for lang in spec.languages if not request.languages or lang in request.languages]


def _conflicts(request: RunRequest, entries: Any, intermediates: Sequence[str]) -> list[UserError]:
    """Arguments that do not go together."""
    errors: list[UserError] = []
    if not intermediates:
        errors.append(UserError("no intermediate setting", where="--intermediate", expected="none or names of tasks"))
    if request.no_train and intermediates != [NO_INTERMEDIATE]:
        errors.append(UserError("--no_train and --intermediate exclude each other", todo="leave out one of them"))
    if request.limit is not None and request.limit < 1:
        errors.append(UserError("the limit must be at least 1", where="--limit", found=str(request.limit)))
    for entry in entries:
        spec = entry.spec
        if not spec.data.test:
            errors.append(
                UserError(f"task '{spec.task}' has no test rows to score", where="--tasks", todo="use it as --intermediate")
            )
        elif not _languages(spec, request):
            found = ",".join(request.languages)
            errors.append(
                UserError(
                    f"task '{spec.task}' has none of these languages",
                    where="--languages",
                    found=found,
                    expected=", ".join(spec.languages),
                )
            )
    return errors


def _impossible(backbone: Backbone, entries: Any, request: RunRequest) -> list[UserError]:
    """Every pair of task and adapter that cannot work."""
    offered = backbone.capabilities()
    errors: list[UserError] = []
    for entry in entries:
        spec = entry.spec
        needs = set(TASK_TYPES.load(spec.type).NEEDS)
        if (spec.train_on or spec.data.train) and not (request.no_train or backbone.is_fake):
            needs.add("fit")
        if missing := sorted(needs - set(offered)):
            errors.append(
                UserError(
                    f"task '{spec.task}' ({spec.type}) needs {', '.join(missing)}, which adapter '{backbone.adapter}' does not offer",
                    where="--tasks",
                    found=f"'{backbone.adapter}' offers {', '.join(offered)}",
                )
            )
    return errors


def _check_settings(builder: _Builder, entries: Any, intermediates: Sequence[str]) -> None:
    """Label lists must agree where a head trained on one task answers for another."""
    errors = []
    for entry in entries:
        if entry.spec.train_on:
            source = builder.catalog.task(entry.spec.train_on).spec
            if source.labels != entry.spec.labels or source.type != entry.spec.type:
                errors.append(
                    UserError(
                        f"task '{entry.spec.task}' is trained on '{source.task}', whose type or labels differ",
                        where=entry.document.where(("train_on",)),
                        expected=f"{source.type}, labels {list(source.labels)}",
                        found=f"{entry.spec.type}, labels {list(entry.spec.labels)}",
                    )
                )
    raise_all(errors)


def _test_sets(builder: _Builder, entries: Any) -> list[dict[str, Any]]:
    """The test sets of a run as training stages receive them under --remove_overlap."""
    found: list[dict[str, Any]] = []
    for entry in entries:
        data: dict[str, str] = {}
        for lang in _languages(entry.spec, builder.request):
            try:
                data[lang] = builder.fingerprint(entry.spec, "test", lang)
            except MissingData:
                continue  # its cells are blocked and say so
        found.append({"task": entry.spec.task, "spec": portable(entry.spec, split="test"), "data": data})
    return found
