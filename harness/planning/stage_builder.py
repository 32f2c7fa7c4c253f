"""Makes the stages of a run, each once: what a stage receives, and with that its key, is decided here.

builder = StageBuilder(tasks=RunTasks(request=request, catalog=catalog, place=place, backbone=backbone, recipe=recipe))
builder.score_stage(entry, "de", parent=builder.trained(entry, setting, seed=1))
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.api.registry import METRICS
from harness.planning.catalog.catalog import Entry
from harness.planning.fingerprints import Fingerprints, Missing, Need
from harness.planning.intermediate import Component, Phase, Setting, short_name
from harness.planning.precedence import (
    component_training,
)
from harness.planning.resolved_tasks import RunTasks
from harness.planning.stage_arguments import (
    asked_rows,
    component_arguments,
    head_asked,
    is_selected,
    prompt_arguments,
    reusable_head,
    shot_needs,
)
from harness.runtime.stages import Stage
from harness.scoring.score import score_keys
from harness.specs.portable import portable
from harness.specs.recipe import Training
from harness.specs.task import TaskSpec

SCORE_SEED = 0
MIXTURE_ONLY = {"sampling", "sampling_cap", "sampling_temperature"}


@dataclass(kw_only=True)
class StageBuilder:
    """Makes the stages of one request; equal stages are one object."""

    tasks: RunTasks
    tests: list[dict[str, Any]] = field(default_factory=list)
    "Test sets whose texts are left out of training, if asked."
    _trained: dict[tuple[Any, ...], Stage] = field(default_factory=dict)
    _made: dict[str, Stage] = field(default_factory=dict)
    _asked: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _missing: dict[tuple[str, str], tuple[Missing, ...]] = field(default_factory=dict)

    @cached_property
    def prints(self) -> Fingerprints:
        """Fingerprints of the rows."""
        return Fingerprints(catalog=self.tasks.catalog, place=self.tasks.place)

    def missing(self, entry: Entry[TaskSpec], setting: Setting, lang: str) -> tuple[Missing, ...]:
        """All that is not here of the rows behind a cell."""
        key = (entry.spec.task, setting.name)
        if key not in self._missing:  # the same for every language
            self._missing[key] = self.prints.missing(self._needs(entry, setting))
        return (*self._missing[key], *self.prints.missing([(entry.spec, "test", [lang])]))

    def _needs(self, entry: Entry[TaskSpec], setting: Setting) -> list[Need]:
        """The rows behind the cells of a task, but for those that are scored."""
        needs: list[Need] = []
        scratch = self.tasks.backbone.preset.spec.scratch if self.tasks.backbone.preset else None
        for task in (scratch.tokenizer_task, *(step.task for step in scratch.pretraining)) if scratch else ():
            needs += self._training_needs(self.tasks.task(task), self.tasks.task(task))
        for component in setting.components if not self.tasks.backbone.is_fake else ():
            needs += self._training_needs(self.tasks.task(component.name), self.tasks.task(component.task))
        if self.tasks.is_trained(entry.spec):
            needs += self._training_needs(self.tasks.source(entry), entry)
        if self.tasks.is_prompted(entry.spec):
            needs += shot_needs(self.tasks.source(entry).spec, entry.spec, settings=self.tasks.words(entry.spec).settings)
        return needs

    def _training_needs(self, source: Entry[TaskSpec], target: Entry[TaskSpec]) -> list[Need]:
        """Rows that train, and those that choose the checkpoint."""
        needs: list[Need] = [(source.spec, "train", source.spec.train_languages)]
        if is_selected(target.spec):
            needs.append((target.spec, "validation", target.spec.train_languages))
        return needs

    @cached_property
    def knobs(self) -> dict[str, Any]:
        """Machine knobs of every stage."""
        return {**self.tasks.backbone.knobs, "save_every": self.tasks.recipe.spec.save_every}

    @cached_property
    def backbone_stage(self) -> Stage | None:
        """The last stage that makes the backbone, for backbones trained here from random weights."""
        preset = self.tasks.backbone.preset
        scratch = preset.spec.scratch if preset else None
        if preset is None or scratch is None:
            return None
        entry = self.tasks.task(scratch.tokenizer_task)
        config = scratch.model_dump(mode="json", include={"config", "vocab_size"})
        texts = {
            "task": entry.spec.task,
            "spec": portable(entry.spec, split="train"),
            "data": self.prints.data(entry.spec, "train"),
        }
        stage = self._once(
            Stage(verb="init", label=preset.spec.preset, args={**config, "texts": texts, "seed": 0}, knobs=self.knobs)
        )
        for step in scratch.pretraining:
            stage = self._train_stage(
                [self._component(self.tasks.task(step.task), self.tasks.task(step.task), phase="pretraining")],
                parent=stage,
                label=f"{preset.spec.preset}+{step.task}",
                seed=0,
                values=Training.model_validate(step.training),
                knobs={**self.knobs, "pretraining": True},
            )
        return stage

    def intermediate(self, setting: Setting, seed: int) -> Stage | None:
        """The checkpoint from which target training starts: that of the setting's last phase."""
        stage = self.backbone_stage
        for number, phase in enumerate(setting.phases if not self.tasks.backbone.is_fake else ()):
            name = ":".join(done.name for done in setting.phases[: number + 1])
            if (name, seed) not in self._trained:
                self._trained[name, seed] = self._intermediate_stage(phase, parent=stage, seed=seed, name=name)
            stage = self._trained[name, seed]
        return stage

    def _intermediate_stage(self, phase: Phase, *, parent: Stage | None, seed: int, name: str) -> Stage:
        """One phase: its tasks in an order that does not depend on the command line's."""
        settled = self.tasks.training_of_phase(phase)
        components: list[dict[str, Any]] = []
        for component in sorted(phase.components):
            own = component_training(component.task, whole=settled, recipe=self.tasks.recipe) if phase.is_mixture else {}
            made = self._component(self.tasks.task(component.name), self.tasks.task(component.task), phase="intermediate")
            if made.get("validation") in [other.get("validation") for other in components]:
                made.pop("validation", None)  # translations of one task are selected on the same English rows: once is enough
            components.append({**made, **own})
        label = f"{self.tasks.backbone.name}+{short_name(name)}-seed{seed}"
        return self._train_stage(components, parent=parent, values=settled.values, seed=seed, label=label, knobs=self.knobs)

    def trained(self, entry: Entry[TaskSpec], setting: Setting, seed: int) -> Stage:
        """The checkpoint that is asked for a target's cells."""
        key = (entry.spec.task, setting.name, seed)
        if key not in self._trained:
            values = self.tasks.training_of(entry, phase="target").values
            start = f"+{short_name(setting.name)}" if setting.phases else ""
            source = self.tasks.source(entry)
            component = self._component(source, entry, phase="target")
            head = self.reused_head(entry, setting) if values.reuse_head else None
            if head:
                component["reuse_head"] = head
            self._trained[key] = self._train_stage(
                [component],
                parent=self.intermediate(setting, seed),
                values=values,
                seed=seed,
                label=f"{self.tasks.backbone.name}{start}+{source.spec.task}-seed{seed}",
                knobs=self.knobs,
            )
        return self._trained[key]

    def reused_head(self, entry: Entry[TaskSpec], setting: Setting) -> str | None:
        """The head of the last intermediate phase with which a target can go on; None = it starts with a fresh one."""
        last: Sequence[Component] = setting.phases[-1].components if setting.phases else ()
        if self.tasks.is_prompted(entry.spec):
            return None  # the model's own head goes with it always
        heads = [(self.tasks.task(c.task), self.tasks.options(self.tasks.task(c.task), phase="intermediate")) for c in last]
        return reusable_head(self.tasks.source(entry), self.tasks.options(entry), among=heads)

    def _component(self, source: Entry[TaskSpec], target: Entry[TaskSpec], *, phase: str) -> dict[str, Any]:
        """Training on the rows of `source`, selected on the English validation rows of `target`."""
        return component_arguments(
            source.spec,
            target.spec,
            options=self.tasks.options(target, phase=phase),
            tests=self.tests,
            prints=self.prints,
            words=self.tasks.words(target.spec) if phase != "pretraining" and self.tasks.is_prompted(target.spec) else None,
        )

    def _train_stage(
        self,
        components: Sequence[Mapping[str, Any]],
        *,
        parent: Stage | None,
        values: Training,
        seed: int,
        label: str,
        knobs: Mapping[str, Any],
    ) -> Stage:
        """Training on one task or several."""
        left_out = {"reuse_head"} | (MIXTURE_ONLY if len(components) == 1 else set())
        args = {
            "model": {key: value for key, value in self.tasks.backbone.arguments.items() if key != "dtype"},
            "tasks": [dict(component) for component in components],
            "training": values.model_dump(mode="json", exclude_defaults=True, exclude=left_out),
            "seed": seed,
        }
        return self._once(Stage(verb="train", label=label, args=args, inputs=(parent,) if parent else (), knobs=knobs))

    def _asked_of(self, entry: Entry[TaskSpec], lang: str) -> dict[str, Any]:
        """What a prediction receives."""
        spec = entry.spec
        backbone = self.tasks.backbone
        # How adapters are trained says nothing of a prediction: what was trained stands in the checkpoint that it starts from.
        extra = {key: value for key, value in backbone.arguments.get("extra", {}).items() if key != "lora"}
        model = {key: value for key, value in backbone.arguments.items() if key != "extra"} | ({"extra": extra} if extra else {})
        args: dict[str, Any] = {
            "model": {**model, **({"engine": backbone.engine.name} if self.tasks.is_served(spec) else {})},
            "task": spec.task,
            "lang": lang,
            "options": self.tasks.options(entry),
            **asked_rows(spec, lang, prompted=self.tasks.is_prompted(spec), prints=self.prints),
        }
        if self.tasks.is_prompted(spec):
            words = prompt_arguments(self.tasks.source(entry).spec, spec, words=self.tasks.words(spec), prints=self.prints)
            args |= {"head": None, **words}
        else:
            args["head"] = head_asked(spec, args["options"])
        if self.tasks.request.limit is not None:
            args["limit"] = self.tasks.request.limit
        return args

    def score_stage(self, entry: Entry[TaskSpec], lang: str, *, parent: Stage | None) -> Stage:
        """Prediction and scoring of a (task, language) with a checkpoint."""
        spec, key = entry.spec, (entry.spec.task, lang)
        if key not in self._asked:  # the same for every setting and seed
            self._asked[key] = self._asked_of(entry, lang)
        args = self._asked[key]
        start = parent.label if parent else self.tasks.backbone.name
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
            "score": list(score_keys(metrics, spec.score)),
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
            prints = {lang: self.prints.of(entry.spec, "test", lang) for lang in self.tasks.request.languages_of(entry.spec)}
            data: Mapping[str, str] = {lang: print_ for lang, print_ in prints.items() if isinstance(print_, str)}
            found.append({"task": entry.spec.task, "spec": portable(entry.spec, split="test"), "data": dict(data)})
        return found
