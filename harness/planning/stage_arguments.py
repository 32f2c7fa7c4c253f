"""What stages receive of a resolved task: rows, options, selection, whose head training goes on with, prompts and their examples.

component = component_arguments(task, source=task.source.spec, chat_format="", tests=(), fingerprints=fingerprints)
component.task, component.data, component.validation
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.api.protocols import HeadSpec
from harness.api.registry import METRICS, TASK_TYPES
from harness.planning.fingerprints import Fingerprints, Need
from harness.planning.resolved_tasks import ResolvedTask
from harness.runtime.arguments import (
    CalibrationRows,
    ComponentArguments,
    ModelArguments,
    PredictArguments,
    ScoreArguments,
    SplitRows,
    file_of,
)
from harness.scoring.own_metrics import own_signatures
from harness.scoring.score import score_keys
from harness.specs.limit import Limit
from harness.specs.portable import portable
from harness.specs.prompt import PromptArgs
from harness.specs.task import TaskSpec

LM_HEAD = "lm"
"Name of the head that is trained on prompts: the model's own."
SCORE_SEED = 0


def component_arguments(
    task: ResolvedTask, *, source: TaskSpec, chat_format: str, tests: Sequence[SplitRows], fingerprints: Fingerprints
) -> ComponentArguments:
    """Training on the rows of `source`, with the options of `task` and selected on its English validation rows.

    `chat_format` is the fingerprint of how the model writes a conversation, for tasks that are put into words.  Raises
    MissingData for rows that are not here.
    """
    target, in_words = task.spec, task.in_words
    source = source.model_copy(update={"prompt": target.prompt}) if in_words else source
    validation = None
    if is_selected(target):
        spec = portable(target, split="validation", metrics=True, prompt=in_words)
        # Targets that select on the same rows share the checkpoint: under the name of the task that gives the training rows.
        same = spec == portable(source, split="validation", metrics=True, prompt=in_words)
        chosen = source if same else target
        validation = SplitRows(
            task=chosen.task,
            spec=spec,
            data=fingerprints.data(chosen, "validation"),
            metric_code=own_signatures([use.metric for use in target.metrics]),
        )
    own_file = file_of(source.task)
    return ComponentArguments(
        task=source.task,
        spec=portable(source, split="train", prompt=in_words),
        data=fingerprints.data(source, "train"),
        options=task.changed_options,
        prompt=_stated(task.route.prompt.of_training) if in_words else None,
        # Translations and English rows of a task share its head.
        head=LM_HEAD if in_words else own_file if own_file != source.task else None,
        chat_format=chat_format if in_words else "",
        validation=validation,
        exclude=tuple(tests),
    )


def predict_arguments(
    task: ResolvedTask, lang: str, *, model: ModelArguments, chat_format: str, limit: Limit | None, fingerprints: Fingerprints
) -> PredictArguments:
    """The test rows of a language as a model is asked; raises MissingData for rows that are not here."""
    spec, in_words = task.spec, task.in_words
    return PredictArguments(
        model=model,
        task=spec.task,
        lang=lang,
        options=task.changed_options,
        spec=portable(spec, split="test", prompt=in_words),
        data=fingerprints.data(spec, "test", [lang])[lang],
        head=None if in_words else head_asked(task),
        calibration=_calibration(spec, lang, fingerprints),
        # Whether the model was fine-tuned shows in the stage that it starts from.
        prompt=_stated(task.route.prompt, without={"sft"}) if in_words else None,
        chat_format=chat_format if in_words else "",
        shots=_shots(task, fingerprints) if in_words else None,
        limit=limit,
    )


def score_arguments(spec: TaskSpec, lang: str) -> ScoreArguments:
    """How the predictions of a task in a language are scored."""
    metrics = [use.metric for use in spec.metrics]
    return ScoreArguments(
        metrics=tuple(metrics),
        signatures=tuple(METRICS.load(name).SIGNATURE for name in metrics),
        score=tuple(score_keys(metrics, spec.score)),
        lang=lang,
        seed=SCORE_SEED,
    )


def _stated(prompt: PromptArgs, *, without: set[str] = frozenset()) -> dict[str, Any]:  # type: ignore[assignment]
    """What of a prompt is not at its default, as JSON."""
    return prompt.model_dump(mode="json", exclude_defaults=True, exclude=without)


def _calibration(spec: TaskSpec, lang: str, fingerprints: Fingerprints) -> CalibrationRows | None:
    """The rows on which a type chooses its threshold; without them it falls back, and its predictions say so."""
    if not (TASK_TYPES.load(spec.type).CALIBRATES and spec.data.validation):
        return None
    found = fingerprints.of(spec, "validation", lang)
    return CalibrationRows(spec=portable(spec, split="validation"), data=found) if isinstance(found, str) else None


def head_asked(task: ResolvedTask) -> str | None:
    """The head that answers for a task: that of the task which gives the training rows; None where the type has no head."""
    return (task.spec.train_on or task.spec.task) if _head(task.spec, task.changed_options) else None


def shot_needs(task: ResolvedTask) -> list[Need]:
    """The English rows from which solved examples are drawn; none for zero-shot prompts."""
    prompt = task.route.prompt
    spec = task.source.spec if prompt.fewshot_split == "train" else task.spec
    if spec.lm_eval and not spec.data.train:
        return []  # its examples stand in its file, or a function gives them
    return [(spec, prompt.fewshot_split, spec.train_languages)] if prompt.num_fewshot else []


def _shots(task: ResolvedTask, fingerprints: Fingerprints) -> SplitRows | None:
    for spec, split, _ in shot_needs(task):
        return SplitRows(task=spec.task, spec=portable(spec, split=split), data=fingerprints.data(spec, split))
    return None


def is_selected(spec: TaskSpec) -> bool:
    """Whether validation rows choose the checkpoint."""
    return spec.selection == "validation" and bool(spec.data.validation)


def reusable_head(task: ResolvedTask, *, among: Sequence[ResolvedTask]) -> str | None:
    """The task of an intermediate phase whose head fits a target: the same task, else the first of the same kind and labels."""
    target = task.source.spec
    wanted = _head(target, task.changed_options)
    if wanted is None:
        return None
    fitting = [
        other.spec.task
        for other in among
        if _head(other.spec, other.changed_options) == wanted and other.spec.labels == target.labels
    ]
    return target.task if target.task in fitting else next(iter(fitting), None)


def _head(spec: TaskSpec, options: Mapping[str, Any]) -> HeadSpec | None:
    module = TASK_TYPES.load(spec.type)
    found: HeadSpec | None = module.head(spec, module.Options.model_validate(options))
    return found
