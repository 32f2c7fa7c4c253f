"""Makes the stages of a run, each once: what a stage receives, and with that its key, is decided here.

builder = StageBuilder(request=request, catalog=catalog, place=place, backbone=backbone, recipe=recipe)
builder.score_stage(entry, "de", parent=builder.trained(entry, "mnli", seed=1))
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.backbones import Backbone
from harness.catalog import Catalog, Entry
from harness.data.examples import Split, data_fingerprint
from harness.data.place import DataPlace
from harness.errors import MissingData
from harness.registry import METRICS, TASK_TYPES
from harness.settings import Settled, task_options, training
from harness.specs.portable import portable
from harness.specs.recipe import RecipeSpec, Training
from harness.specs.task import TaskSpec
from harness.stages import Stage

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

    @property
    def intermediates(self) -> list[str]:
        """The intermediate settings in order, each once."""
        return list(dict.fromkeys(part.strip() for part in self.intermediate.split(",") if part.strip()))

    def languages_of(self, spec: TaskSpec) -> list[str]:
        """The languages of a task that the run asks for, in the task's order."""
        return [lang for lang in spec.languages if not self.languages or lang in self.languages]


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Rows that are not on this machine."""

    task: str
    split: Split
    lang: str
    error: MissingData


@dataclass(kw_only=True)
class StageBuilder:
    """Makes the stages of one request; equal stages are one object."""

    request: RunRequest
    catalog: Catalog
    place: DataPlace
    backbone: Backbone
    recipe: Entry[RecipeSpec]
    tests: list[dict[str, Any]] = field(default_factory=list)
    "Test sets whose texts are left out of training, if asked."
    _fingerprints: dict[tuple[str, Split, str], str | Missing] = field(default_factory=dict)
    _options: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _trained: dict[tuple[Any, ...], Stage] = field(default_factory=dict)
    _made: dict[str, Stage] = field(default_factory=dict)

    def settled_options(self, entry: Entry[TaskSpec], *, phase: str = "target") -> Settled:
        """The task's options with who set each; what makes the backbone depends on its preset only, not on the run."""
        if phase == "pretraining":
            return task_options(entry, recipe=None, preset=self.backbone.preset, overrides={})
        preset, overrides = self.backbone.preset, self.backbone.options
        return task_options(entry, recipe=self.recipe, preset=preset, overrides=overrides, phase=phase)

    def options(self, entry: Entry[TaskSpec], *, phase: str = "target") -> dict[str, Any]:
        """The task's options that are not at their default, as JSON."""
        key = (entry.spec.task, phase)
        if key not in self._options:
            values = self.settled_options(entry, phase=phase).values
            self._options[key] = values.model_dump(mode="json", exclude_defaults=True)
        return self._options[key]

    def training_of(self, entry: Entry[TaskSpec], *, phase: str) -> Settled:
        """The hyper-parameters of training for a task in a phase."""
        names = [self.source(entry).spec.task, entry.spec.task] if phase == "target" else [entry.spec.task]
        return training(names, phase=phase, recipe=self.recipe)

    def source(self, entry: Entry[TaskSpec]) -> Entry[TaskSpec]:
        """The task whose training rows serve a target."""
        return self.catalog.task(entry.spec.train_on) if entry.spec.train_on else entry

    def fingerprint(self, spec: TaskSpec, split: Split, lang: str) -> str | Missing:
        """Fingerprint of the rows of a split in a language, asked for once."""
        key = (spec.task, split, lang)
        if key not in self._fingerprints:
            folder = self.catalog.folder("task", spec.task)
            try:
                found: str | Missing = data_fingerprint(spec, split=split, langs=[lang], place=self.place, task_folder=folder)
            except MissingData as error:
                found = Missing(task=spec.task, split=split, lang=lang, error=error)
            self._fingerprints[key] = found
        return self._fingerprints[key]

    def data(self, spec: TaskSpec, split: Split, langs: Sequence[str] = ()) -> dict[str, str]:
        """Language -> fingerprint; raises MissingData."""
        found = {lang: self.fingerprint(spec, split, lang) for lang in langs or spec.train_languages}
        for print_ in found.values():
            if isinstance(print_, Missing):
                raise print_.error
        return {lang: str(print_) for lang, print_ in found.items()}

    def missing(self, entry: Entry[TaskSpec], name: str, lang: str) -> tuple[Missing, ...]:
        """All that is not here of the rows behind a cell."""
        needs: list[tuple[TaskSpec, Split, Sequence[str]]] = []
        scratch = self.backbone.preset.spec.scratch if self.backbone.preset else None
        for task in (scratch.tokenizer_task, *(step.task for step in scratch.pretraining)) if scratch else ():
            needs += self._training_needs(self.catalog.task(task), self.catalog.task(task))
        if name != NO_INTERMEDIATE and not self.backbone.is_fake:
            needs += self._training_needs(self.catalog.task(name), self.catalog.task(name))
        if self.is_trained(entry.spec):
            needs += self._training_needs(self.source(entry), entry)
        needs.append((entry.spec, "test", [lang]))
        found = [self.fingerprint(spec, split, lang) for spec, split, langs in needs for lang in langs]
        return tuple({(m.task, m.split, m.lang): m for m in found if isinstance(m, Missing)}.values())

    def _training_needs(self, source: Entry[TaskSpec], target: Entry[TaskSpec]) -> list[tuple[TaskSpec, Split, Sequence[str]]]:
        """Rows that train, and those that choose the checkpoint."""
        needs: list[tuple[TaskSpec, Split, Sequence[str]]] = [(source.spec, "train", source.spec.train_languages)]
        if _is_selected(target.spec):
            needs.append((target.spec, "validation", target.spec.train_languages))
        return needs

    @cached_property
    def knobs(self) -> dict[str, Any]:
        """Machine knobs of every stage."""
        return {**self.backbone.knobs, "save_every": self.recipe.spec.save_every}

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
        stage = self._once(
            Stage(verb="init", label=preset.spec.preset, args={**config, "texts": texts, "seed": 0}, knobs=self.knobs)
        )
        for step in scratch.pretraining:
            label = f"{preset.spec.preset}+{step.task}"
            stage = self._train_stage(
                self.catalog.task(step.task),
                parent=stage,
                phase="pretraining",
                label=label,
                seed=0,
                values=Training.model_validate(step.training),
            )
        return stage

    def intermediate(self, name: str, seed: int) -> Stage | None:
        """The checkpoint from which target training starts."""
        if name == NO_INTERMEDIATE or self.backbone.is_fake:
            return self.backbone_stage
        if (name, seed) not in self._trained:
            entry = self.catalog.task(name)
            values = self.training_of(entry, phase="intermediate").values
            label = f"{self.backbone.name}+{name}-seed{seed}"
            self._trained[name, seed] = self._train_stage(
                entry, parent=self.backbone_stage, phase="intermediate", values=values, seed=seed, label=label
            )
        return self._trained[name, seed]

    def trained(self, entry: Entry[TaskSpec], name: str, seed: int) -> Stage:
        """The checkpoint that is asked for a target's cells."""
        key = (entry.spec.task, name, seed)
        if key not in self._trained:
            values = self.training_of(entry, phase="target").values
            start = "" if name == NO_INTERMEDIATE else f"+{name}"
            label = f"{self.backbone.name}{start}+{self.source(entry).spec.task}-seed{seed}"
            self._trained[key] = self._train_stage(
                entry, parent=self.intermediate(name, seed), phase="target", values=values, seed=seed, label=label
            )
        return self._trained[key]

    def _train_stage(
        self, target: Entry[TaskSpec], *, parent: Stage | None, phase: str, values: Training, seed: int, label: str
    ) -> Stage:
        """Training on the rows that serve a task, selected on the task's English validation rows."""
        source = self.source(target) if phase == "target" else target
        component: dict[str, Any] = {
            "task": source.spec.task,
            "spec": portable(source.spec, split="train"),
            "data": self.data(source.spec, "train"),
            "options": self.options(target, phase=phase),
        }
        if _is_selected(target.spec):
            validation = portable(target.spec, split="validation", metrics=True)
            # Targets that select on the same rows share the checkpoint: under the name of the task that gives the training rows.
            same = validation == portable(source.spec, split="validation", metrics=True)
            chosen = source.spec if same else target.spec
            component["validation"] = {"task": chosen.task, "spec": validation, "data": self.data(chosen, "validation")}
        if self.tests:
            component["exclude"] = self.tests
        args = {
            "model": {key: value for key, value in self.backbone.arguments.items() if key != "dtype"},
            "tasks": [component],
            "training": values.model_dump(mode="json", exclude_defaults=True),
            "seed": seed,
        }
        knobs = {**self.knobs, "pretraining": True} if phase == "pretraining" else self.knobs
        return self._once(Stage(verb="train", label=label, args=args, inputs=(parent,) if parent else (), knobs=knobs))

    def is_trained(self, spec: TaskSpec) -> bool:
        """Whether target training belongs to the task in this run."""
        return bool(spec.train_on or spec.data.train) and not (self.request.no_train or self.backbone.is_fake)

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
            "data": self.data(spec, "test", [lang])[lang],
            "options": options,
            "head": (spec.train_on or spec.task) if has_head else None,
        }
        if getattr(module, "CALIBRATES", False) and spec.data.validation:
            print_ = self.fingerprint(spec, "validation", lang)
            if isinstance(print_, str):  # without the rows the type falls back, and its predictions say so
                args["calibration"] = {"spec": portable(spec, split="validation"), "data": print_}
        if self.request.limit is not None:
            args["limit"] = self.request.limit
        start = parent.label if parent else self.backbone.name
        predict = self._once(
            Stage(
                verb="predict",
                label=f"{start}-{spec.task}-{lang}",
                args=args,
                inputs=(parent,) if parent else (),
                knobs=self.knobs,
            )
        )
        metrics = [use.metric for use in spec.metrics]
        score_args = {
            "metrics": metrics,
            "signatures": [METRICS.load(name).SIGNATURE for name in metrics],
            "score": list(score_keys(spec)),
            "lang": lang,
            "seed": SCORE_SEED,
        }
        return self._once(Stage(verb="score", label=predict.label, args=score_args, inputs=(predict,)))

    def _once(self, stage: Stage) -> Stage:
        """The first stage made with this key: equal work has one object, and with that one folder."""
        return self._made.setdefault(stage.key, stage)

    def test_sets(self, entries: Sequence[Entry[TaskSpec]]) -> list[dict[str, Any]]:
        """The test sets of a run as training stages receive them under --remove_overlap; those that are not here are left out."""
        found: list[dict[str, Any]] = []
        for entry in sorted(entries, key=lambda entry: entry.spec.task):  # the order of --tasks must not change a key
            prints = {lang: self.fingerprint(entry.spec, "test", lang) for lang in self.request.languages_of(entry.spec)}
            data: Mapping[str, str] = {lang: print_ for lang, print_ in prints.items() if isinstance(print_, str)}
            found.append({"task": entry.spec.task, "spec": portable(entry.spec, split="test"), "data": dict(data)})
        return found


def _is_selected(spec: TaskSpec) -> bool:
    """Whether validation rows choose the checkpoint."""
    return spec.selection == "validation" and bool(spec.data.validation)


def score_keys(spec: TaskSpec) -> tuple[str, ...]:
    """The `metric.key` values whose mean is the task's score."""
    first = spec.metrics[0].metric
    return spec.score or (f"{first}.{METRICS.load(first).KEYS[0]}",)
