"""The tasks of a run, each resolved once: its rows in place, how it is asked, its options and hyper-parameters with who set them.

tasks = TaskResolver(request=request, catalog=catalog, place=place, backbone=backbone, recipe=recipe, routing=routing)
task = tasks.target("xnli")
task.spec, task.source.spec, task.route.name, task.options.values, task.is_trained
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from harness.api.errors import MissingData, UserError, WrongData
from harness.data.label_sets import label_set
from harness.data.locations import DataPlace
from harness.planning.backbone.resolve import Backbone
from harness.planning.catalog.catalog import Catalog, Entry
from harness.planning.intermediate import Phase
from harness.planning.precedence import SourcedValues, mixture_training, task_options, training
from harness.planning.request import RunRequest
from harness.planning.routes import Route, Routing, draws_something
from harness.runtime.stages import TrainingPhase
from harness.specs.recipe import RecipeSpec
from harness.specs.task import TaskSpec


@dataclass(frozen=True, kw_only=True)
class ResolvedTask:
    """A task as a run uses it in one phase."""

    entry: Entry[TaskSpec]
    "Its spec, with translated rows and labels in place, and where each value stands in its file."
    source: Entry[TaskSpec]
    "The task whose training rows serve it: mostly itself."
    phase: TrainingPhase
    route: Route
    options: SourcedValues
    is_trained: bool
    "Whether the run trains on it, in this phase."

    @property
    def spec(self) -> TaskSpec:
        """What its file says."""
        return self.entry.spec

    @cached_property
    def changed_options(self) -> Mapping[str, Any]:
        """The options that are not at their default, as JSON."""
        changed: dict[str, Any] = self.options.values.model_dump(mode="json", exclude_defaults=True)
        return changed

    @property
    def in_words(self) -> bool:
        """Whether it is asked, and trained, in words; what makes the backbone never is."""
        return self.route.in_words and self.phase != TrainingPhase.PRETRAINING

    @cached_property
    def draws(self) -> bool:
        """Whether something is drawn for its prompts: solved examples, or the tokens of answers."""
        return self.in_words and draws_something(self.route.prompt, self.spec)


@dataclass(kw_only=True)
class TaskResolver:
    """Resolves the tasks of one request."""

    request: RunRequest
    catalog: Catalog
    place: DataPlace
    backbone: Backbone
    recipe: Entry[RecipeSpec]
    routing: Routing
    wrong_labels: dict[str, WrongData] = field(default_factory=dict)
    "Tasks whose labels are those of training rows that cannot be read."
    _entries: dict[str, Entry[TaskSpec]] = field(default_factory=dict)
    _resolved: dict[tuple[str, TrainingPhase], ResolvedTask] = field(default_factory=dict)

    def entry(self, name: str) -> Entry[TaskSpec]:
        """A task as its stages know it: translated rows in place (`mnli@de`), labels that its training rows give filled in."""
        if name not in self._entries:
            base, _, lang = name.partition("@")
            entry = self.catalog.task(base)
            if entry.spec.labels_from:
                try:
                    labels = label_set(entry.spec, place=self.place, task_folder=self.catalog.folder("task", base))
                except MissingData:
                    labels = ()  # no stage is made: its rows are reported as missing
                except UserError as error:
                    labels = ()  # nor here: `wrong_labels` is why
                    self.wrong_labels[base] = WrongData.of(error)
                entry = replace(entry, spec=entry.spec.model_copy(update={"labels": labels}))
            self._entries[name] = replace(entry, spec=entry.spec.translated_into(lang)) if lang else entry
        return self._entries[name]

    def source(self, entry: Entry[TaskSpec]) -> Entry[TaskSpec]:
        """The task whose training rows serve a target."""
        return self.entry(entry.spec.train_on) if entry.spec.train_on else entry

    def target(self, name: str) -> ResolvedTask:
        """A task that the run scores; raises UserError for options that do not come out right."""
        return self.resolve(name, TrainingPhase.TARGET)

    def resolve(self, name: str, phase: TrainingPhase) -> ResolvedTask:
        """A task in a phase; raises UserError for options that do not come out right."""
        if (name, phase) not in self._resolved:
            entry = self.entry(name)
            spec = entry.spec
            is_target = phase == TrainingPhase.TARGET
            self._resolved[name, phase] = ResolvedTask(
                entry=entry,
                source=self.source(entry) if is_target else entry,
                phase=phase,
                route=self.routing.of(spec),
                options=self._options(entry, phase),
                is_trained=self.routing.is_trained(spec) if is_target else True,
            )
        return self._resolved[name, phase]

    def _options(self, entry: Entry[TaskSpec], phase: TrainingPhase) -> SourcedValues:
        """The options of a task's type; what makes the backbone depends on its preset only, not on the run."""
        backbone = self.backbone
        if phase == TrainingPhase.PRETRAINING:
            return task_options(entry, recipe=None, preset=backbone.preset, overrides={})
        return task_options(
            entry,
            recipe=self.recipe,
            preset=backbone.preset,
            overrides=backbone.options,
            phase=phase.value,
            adapter=backbone.adapter,
        )

    def target_training(self, entry: Entry[TaskSpec], *, after: str) -> SourcedValues:
        """The hyper-parameters of target training after a setting; raises UserError where a recipe does not give them."""
        names = [self.source(entry).spec.task, entry.spec.task]
        return training(names, phase="target", recipe=self.recipe, rate=self.request.rate_of(after, entry.spec.task))

    def phase_training(self, phase: Phase, *, setting: str) -> SourcedValues:
        """The hyper-parameters of an intermediate phase, the last of a setting."""
        rate = self.request.rate_of(setting)
        if not phase.is_mixture:
            return training([phase.components[0].task], phase="intermediate", recipe=self.recipe, rate=rate)
        types = {self.entry(component.task).spec.type for component in phase.components}
        return mixture_training(
            "+".join(component.task for component in phase.components),
            given=dict(phase.sampling),
            has_masked_lm="masked_lm" in types,
            recipe=self.recipe,
            rate=rate,
        )
