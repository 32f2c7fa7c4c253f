"""Makes the stages of a run, each once: what a stage receives, and with that its key, is decided here.

builder = StageBuilder(tasks=TaskResolver(request=request, catalog=catalog, place=place, backbone=backbone, ...))
builder.score_stage(task, "de", parent=builder.trained(task, setting, seed=1))
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from harness.planning.fingerprints import Fingerprints, Missing, Need
from harness.planning.intermediate import Component, Phase, Setting, short_name
from harness.planning.precedence import component_training
from harness.planning.resolved_tasks import ResolvedTask, TaskResolver
from harness.planning.stage_arguments import (
    component_arguments,
    is_selected,
    predict_arguments,
    reusable_head,
    score_arguments,
    shot_needs,
)
from harness.runtime.arguments import (
    ComponentArguments,
    InitArguments,
    PredictArguments,
    ScoreArguments,
    SplitRows,
    TrainArguments,
)
from harness.runtime.knobs import Knobs
from harness.runtime.stages import A, AnyStage, Stage, TrainingPhase
from harness.specs.portable import portable
from harness.specs.recipe import Training
from harness.specs.task import TaskSpec

MIXTURE_ONLY = {"sampling", "sampling_cap", "sampling_temperature"}
PRETRAINING, INTERMEDIATE, TARGET = TrainingPhase.PRETRAINING, TrainingPhase.INTERMEDIATE, TrainingPhase.TARGET


@dataclass(kw_only=True)
class StageBuilder:
    """Makes the stages of one request; equal stages of a phase are one object."""

    tasks: TaskResolver
    tests: tuple[SplitRows, ...] = ()
    "Test sets whose texts are left out of training, if asked."
    _trained: dict[tuple[str, ...], AnyStage] = field(default_factory=dict)
    _made: dict[tuple[str, TrainingPhase | None], AnyStage] = field(default_factory=dict)
    _asked: dict[tuple[str, str, str], PredictArguments] = field(default_factory=dict)
    _scored: dict[tuple[str, str, str], ScoreArguments] = field(default_factory=dict)
    _missing: dict[tuple[str, str], tuple[Missing, ...]] = field(default_factory=dict)

    @cached_property
    def fingerprints(self) -> Fingerprints:
        """Fingerprints of the rows."""
        return Fingerprints(catalog=self.tasks.catalog, place=self.tasks.place)

    def missing(self, task: ResolvedTask, setting: Setting, lang: str) -> tuple[Missing, ...]:
        """All that is not here of the rows behind a cell."""
        key = (task.spec.task, setting.name)
        if key not in self._missing:  # the same for every language
            self._missing[key] = (*self._without_labels(task, setting), *self.fingerprints.missing(self._needs(task, setting)))
        return (*self._missing[key], *self.fingerprints.missing([(task.spec, "test", [lang])]))

    def _without_labels(self, task: ResolvedTask, setting: Setting) -> list[Missing]:
        """The training rows that were to give a task its labels and cannot be read."""
        components = setting.components if not self.tasks.backbone.is_fake else ()
        used = [task.entry, task.source, *(self.tasks.entry(component.task) for component in components)]
        found = {entry.spec.task: entry.spec.train_languages[0] for entry in used if entry.spec.task in self.tasks.wrong_labels}
        wrong = self.tasks.wrong_labels
        return [Missing(task=name, split="train", lang=lang, error=wrong[name]) for name, lang in found.items()]

    def _needs(self, task: ResolvedTask, setting: Setting) -> list[Need]:
        """The rows behind the cells of a task, but for those that are scored."""
        needs: list[Need] = []
        scratch = self.tasks.backbone.preset.spec.scratch if self.tasks.backbone.preset else None
        for name in (scratch.tokenizer_task, *(step.task for step in scratch.pretraining)) if scratch else ():
            needs += _training_needs(self.tasks.entry(name).spec, self.tasks.entry(name).spec)
        for component in setting.components if not self.tasks.backbone.is_fake else ():
            needs += _training_needs(self.tasks.entry(component.name).spec, self.tasks.entry(component.task).spec)
        if task.is_trained:
            needs += _training_needs(task.source.spec, task.spec)
        if task.in_words:
            needs += shot_needs(task)
        return needs

    @cached_property
    def knobs(self) -> Knobs:
        """Machine knobs of every stage."""
        return replace(self.tasks.backbone.knobs, save_every=self.tasks.recipe.spec.save_every)

    @cached_property
    def backbone_stage(self) -> AnyStage | None:
        """The last stage that makes the backbone, for backbones trained here from random weights."""
        preset = self.tasks.backbone.preset
        scratch = preset.spec.scratch if preset else None
        if preset is None or scratch is None:
            return None
        spec = self.tasks.entry(scratch.tokenizer_task).spec
        args = InitArguments(
            config=scratch.model_dump(mode="json", include={"config"})["config"],
            vocab_size=scratch.vocab_size,
            texts=SplitRows(task=spec.task, spec=portable(spec, split="train"), data=self.fingerprints.data(spec, "train")),
            seed=0,
        )
        stage: AnyStage = self._once(Stage(label=preset.spec.preset, args=args, knobs=self.knobs))
        for step in scratch.pretraining:
            task = self.tasks.resolve(step.task, PRETRAINING)
            stage = self._train_stage(
                [self._component(task, task.spec)],
                parent=stage,
                label=f"{preset.spec.preset}+{step.task}",
                seed=0,
                values=Training.model_validate(step.training),
                phase=PRETRAINING,
            )
        return stage

    def intermediate(self, setting: Setting, seed: int) -> AnyStage | None:
        """The checkpoint from which target training starts: that of the setting's last phase."""
        stage = self.backbone_stage
        for number, phase in enumerate(setting.phases if not self.tasks.backbone.is_fake else ()):
            name = ":".join(done.name for done in setting.phases[: number + 1])
            key = (name, str(seed))
            if key not in self._trained:
                self._trained[key] = self._intermediate_stage(phase, parent=stage, seed=seed, name=name)
            stage = self._trained[key]
        return stage

    def _intermediate_stage(self, phase: Phase, *, parent: AnyStage | None, seed: int, name: str) -> AnyStage:
        """One phase: its tasks in an order that does not depend on the command line's."""
        settled = self.tasks.phase_training(phase, setting=name)
        components: list[ComponentArguments] = []
        for component in sorted(phase.components):
            task = self.tasks.resolve(component.task, INTERMEDIATE)
            made = self._component(task, self.tasks.entry(component.name).spec)
            if made.validation in [other.validation for other in components]:
                made = replace(made, validation=None)  # translations of a task are selected on the same English rows: once
            own = component_training(component.task, whole=settled, recipe=self.tasks.recipe) if phase.is_mixture else {}
            components.append(replace(made, own=own))
        label = f"{self.tasks.backbone.name}+{short_name(name)}-seed{seed}"
        return self._train_stage(components, parent=parent, values=settled.values, seed=seed, label=label, phase=INTERMEDIATE)

    def trained(self, task: ResolvedTask, setting: Setting, seed: int) -> AnyStage:
        """The checkpoint that is asked for a target's cells."""
        key = (task.spec.task, setting.name, str(seed))
        if key not in self._trained:
            values = self.tasks.target_training(task.entry, after=setting.name).values
            start = f"+{short_name(setting.name)}" if setting.phases else ""
            source = task.source.spec
            head = self.reused_head(task, setting) if values.reuse_head else None
            self._trained[key] = self._train_stage(
                [replace(self._component(task, source), reuse_head=head)],
                parent=self.intermediate(setting, seed),
                values=values,
                seed=seed,
                label=f"{self.tasks.backbone.name}{start}+{source.task}-seed{seed}",
                phase=TARGET,
            )
        return self._trained[key]

    def reused_head(self, task: ResolvedTask, setting: Setting) -> str | None:
        """The head of the last intermediate phase with which a target can go on; None = it starts with a fresh one."""
        last: Sequence[Component] = setting.phases[-1].components if setting.phases else ()
        if task.in_words:
            return None  # the model's own head goes with it always
        return reusable_head(task, among=[self.tasks.resolve(component.task, INTERMEDIATE) for component in last])

    def _component(self, task: ResolvedTask, source: TaskSpec) -> ComponentArguments:
        """Training on the rows of `source` for a task."""
        return component_arguments(
            task,
            source=source,
            chat_format=self.tasks.backbone.chat_format,
            tests=self.tests,
            fingerprints=self.fingerprints,
        )

    def _train_stage(
        self,
        components: Sequence[ComponentArguments],
        *,
        parent: AnyStage | None,
        values: Training,
        seed: int,
        label: str,
        phase: TrainingPhase,
    ) -> AnyStage:
        """Training on one task or several."""
        left_out = {"reuse_head"} | (MIXTURE_ONLY if len(components) == 1 else set())
        args = TrainArguments(
            model=replace(self.tasks.backbone.arguments, dtype="auto"),  # the recipe says in which number format
            tasks=tuple(components),
            training=values.model_dump(mode="json", exclude_defaults=True, exclude=left_out),
            seed=seed,
        )
        inputs = (parent,) if parent else ()
        return self._once(Stage(label=label, args=args, inputs=inputs, phase=phase, knobs=self.knobs))

    def _asked_of(self, task: ResolvedTask, lang: str, seed: int) -> PredictArguments:
        """What a prediction receives; training seed 1 has the draws that --prompt_args names, others have draws of their own."""
        backbone = self.tasks.backbone
        # How adapters are trained says nothing of a prediction: what was trained stands in the checkpoint that it starts from.
        extra = {key: value for key, value in backbone.arguments.extra.items() if key != "lora"}
        args = predict_arguments(
            task,
            lang,
            model=replace(backbone.arguments, extra=extra, engine=backbone.engine.name if task.route.is_served else None),
            chat_format=backbone.chat_format,
            limit=self.tasks.request.limit,
            fingerprints=self.fingerprints,
        )
        if args.prompt is None or not task.draws or seed == 1:
            return args
        return replace(args, prompt={**args.prompt, "seed": task.route.prompt.seed + seed - 1})

    def score_stage(self, task: ResolvedTask, lang: str, *, parent: AnyStage | None, seed: int = 1) -> Stage[ScoreArguments]:
        """Prediction and scoring of a (task, language) with a checkpoint."""
        key = (task.spec.task, lang, str(seed) if task.draws else "")
        if key not in self._asked:  # the same for every setting
            self._asked[key] = self._asked_of(task, lang, seed)
            self._scored[key] = score_arguments(task.spec, lang)
        start = parent.label if parent else self.tasks.backbone.name
        label = f"{start}-{task.spec.task}-{lang}" + ("" if parent or seed == 1 or not task.draws else f"-seed{seed}")
        inputs = (parent,) if parent else ()
        predict = self._once(Stage(label=label, args=self._asked[key], inputs=inputs, knobs=self.knobs))
        return self._once(Stage(label=predict.label, args=self._scored[key], inputs=(predict,)))

    def _once(self, stage: Stage[A]) -> Stage[A]:
        """The first stage made with this key in a phase: equal work has one object, and with that one folder."""
        return self._made.setdefault((stage.key, stage.phase), stage)

    def test_sets(self, tasks: Sequence[ResolvedTask]) -> tuple[SplitRows, ...]:
        """The test sets of a run as training stages receive them under --remove_overlap; those that are not here are left out."""
        found: list[SplitRows] = []
        for spec in sorted((task.spec for task in tasks), key=lambda spec: spec.task):  # the order of --tasks changes no key
            prints = {lang: self.fingerprints.of(spec, "test", lang) for lang in self.tasks.request.languages_of(spec)}
            data = {lang: found_ for lang, found_ in prints.items() if isinstance(found_, str)}
            found.append(SplitRows(task=spec.task, spec=portable(spec, split="test"), data=data))
        return tuple(found)


def _training_needs(source: TaskSpec, target: TaskSpec) -> list[Need]:
    """Rows that train, and those that choose the checkpoint."""
    needs: list[Need] = [(source, "train", source.train_languages)]
    if is_selected(target):
        needs.append((target, "validation", target.train_languages))
    return needs
