"""What a run makes of its tasks: rows in place, options and hyper-parameters with who set them, how they are asked and trained.

tasks = RunTasks(request=request, catalog=catalog, place=place, backbone=backbone, recipe=recipe)
tasks.options(tasks.task("xnli")), tasks.training_of(tasks.task("xnli"), phase="target").values, tasks.is_prompted(spec)
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from harness.api.errors import MissingData
from harness.data.label_sets import label_set
from harness.data.locations import DataPlace
from harness.planning.backbone.resolve import Backbone
from harness.planning.catalog.catalog import Catalog, Entry
from harness.planning.intermediate import Phase
from harness.planning.precedence import (
    Settled,
    mixture_training,
    prompt_settings,
    prompt_settings_of,
    route_of,
    task_options,
    training,
)
from harness.planning.request import RunRequest
from harness.planning.stage_arguments import InWords, with_translation
from harness.specs.prompt import PromptSettings
from harness.specs.recipe import RecipeSpec
from harness.specs.task import TaskSpec


def is_trained(spec: TaskSpec, request: RunRequest, backbone: Backbone, *, settings: PromptSettings) -> bool:
    """Whether target training belongs to a task in a run; in words it does only where fine-tuning is asked for."""
    in_words = route_of(spec, request.route) == "prompt"
    return spec.is_trainable and not (request.no_train or backbone.is_fake or (in_words and not settings.sft))


@dataclass(kw_only=True)
class RunTasks:
    """The tasks of one request, as it asks them of its backbone."""

    request: RunRequest
    catalog: Catalog
    place: DataPlace
    backbone: Backbone
    recipe: Entry[RecipeSpec]
    _tasks: dict[str, Entry[TaskSpec]] = field(default_factory=dict)
    _options: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def task(self, name: str) -> Entry[TaskSpec]:
        """A task as its stages know it: translated rows in place (`mnli@de`), labels that its training rows give filled in."""
        if name not in self._tasks:
            base, _, lang = name.partition("@")
            entry = self.catalog.task(base)
            if entry.spec.labels_from:
                try:
                    labels = label_set(entry.spec, place=self.place, task_folder=self.catalog.folder("task", base))
                except MissingData:
                    labels = ()  # no stage is made: its rows are reported as missing
                entry = replace(entry, spec=entry.spec.model_copy(update={"labels": labels}))
            self._tasks[name] = replace(entry, spec=with_translation(entry.spec, lang)) if lang else entry
        return self._tasks[name]

    def source(self, entry: Entry[TaskSpec]) -> Entry[TaskSpec]:
        """The task whose training rows serve a target."""
        return self.task(entry.spec.train_on) if entry.spec.train_on else entry

    def settled_options(self, entry: Entry[TaskSpec], *, phase: str = "target") -> Settled:
        """The task's options with who set each; what makes the backbone depends on its preset only, not on the run."""
        if phase == "pretraining":
            return task_options(entry, recipe=None, preset=self.backbone.preset, overrides={})
        backbone = self.backbone
        return task_options(
            entry,
            recipe=self.recipe,
            preset=backbone.preset,
            overrides=backbone.options,
            phase=phase,
            adapter=backbone.adapter,
        )

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

    def training_of_phase(self, phase: Phase) -> Settled:
        """The hyper-parameters of an intermediate phase."""
        if not phase.is_mixture:
            return training([phase.components[0].task], phase="intermediate", recipe=self.recipe)
        types = {self.task(component.task).spec.type for component in phase.components}
        return mixture_training(
            "+".join(component.task for component in phase.components),
            given=dict(phase.sampling),
            has_masked_lm="masked_lm" in types,
            recipe=self.recipe,
        )

    @cached_property
    def prompt(self) -> PromptSettings:
        """How tasks are put into words."""
        return prompt_settings(self.request.prompt_args)

    def words(self, spec: TaskSpec) -> InWords:
        """How a task is put into words for this backbone."""
        return InWords(prompt_settings_of(spec, self.prompt), self.backbone.speech)

    def is_prompted(self, spec: TaskSpec) -> bool:
        """Whether the task is asked in words."""
        return route_of(spec, self.request.route) == "prompt"

    def is_served(self, spec: TaskSpec) -> bool:
        """Whether another engine than transformers answers for the task."""
        return self.backbone.engine.serves(route_of(spec, self.request.route))

    def is_trained(self, spec: TaskSpec) -> bool:
        """Whether target training belongs to the task in this run."""
        return is_trained(spec, self.request, self.backbone, settings=self.prompt)
