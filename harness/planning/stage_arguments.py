"""What stages receive of a task: rows, options, selection, whose head training goes on with, prompts and their examples.

component_arguments(spec, spec, options={}, tests=[], prints=prints)    # {'task', 'spec', 'data', 'options', 'validation', ...}
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness.api.protocols import HeadSpec
from harness.api.registry import TASK_TYPES
from harness.planning.catalog.catalog import Entry
from harness.planning.fingerprints import Fingerprints, Need, file_of
from harness.specs.portable import portable
from harness.specs.prompt import PromptSettings
from harness.specs.task import TaskSpec

LM_HEAD = "lm"
"Name of the head that is trained on prompts: the model's own."


class InWords(NamedTuple):
    """How a run puts its tasks to a model in words."""

    settings: PromptSettings
    speech: str
    "Fingerprint of the model's chat template and generation settings."


def component_arguments(
    source: TaskSpec,
    target: TaskSpec,
    *,
    options: Mapping[str, Any],
    tests: Sequence[Mapping[str, Any]],
    prints: Fingerprints,
    words: InWords | None = None,
) -> dict[str, Any]:
    """Training on the rows of `source`, with the options and selected on the English validation rows of `target`.

    With `words` the rows are put into those of `target`.  Raises MissingData for rows that are not here.
    """
    in_words = words is not None
    source = source.model_copy(update={"prompt": target.prompt}) if in_words else source
    component: dict[str, Any] = {
        "task": source.task,
        "spec": portable(source, split="train", prompt=in_words),
        "data": prints.data(source, "train"),
        "options": dict(options),
    }
    if words is not None:
        component |= {"prompt": words.settings.of_training.model_dump(mode="json", exclude_defaults=True), "head": LM_HEAD}
        component |= {"speech": words.speech} if words.speech else {}
    elif file_of(source.task) != source.task:
        component["head"] = file_of(source.task)  # translations and English rows of a task share its head
    if is_selected(target):
        validation = portable(target, split="validation", metrics=True, prompt=in_words)
        # Targets that select on the same rows share the checkpoint: under the name of the task that gives the training rows.
        same = validation == portable(source, split="validation", metrics=True, prompt=in_words)
        chosen = source if same else target
        component["validation"] = {"task": chosen.task, "spec": validation, "data": prints.data(chosen, "validation")}
    if tests:
        component["exclude"] = list(tests)
    return component


def asked_rows(spec: TaskSpec, lang: str, *, prompted: bool, prints: Fingerprints) -> dict[str, Any]:
    """The test rows that a prediction receives and, for types that choose a threshold, the rows they choose it on."""
    rows: dict[str, Any] = {
        "spec": portable(spec, split="test", prompt=prompted),
        "data": prints.data(spec, "test", [lang])[lang],
    }
    if getattr(TASK_TYPES.load(spec.type), "CALIBRATES", False) and spec.data.validation:
        print_ = prints.of(spec, "validation", lang)
        if isinstance(print_, str):  # without the rows the type falls back, and its predictions say so
            rows["calibration"] = {"spec": portable(spec, split="validation"), "data": print_}
    return rows


def head_asked(spec: TaskSpec, options: Mapping[str, Any]) -> str | None:
    """The head that answers for a task: that of the task which gives the training rows; None where the type has no head."""
    return (spec.train_on or spec.task) if _head(spec, options) else None


def shot_needs(source: TaskSpec, target: TaskSpec, *, settings: PromptSettings) -> list[Need]:
    """The English rows from which solved examples are drawn; none for zero-shot prompts."""
    split = settings.fewshot_split
    spec = source if split == "train" else target
    if spec.lm_eval and not spec.data.train:
        return []  # its examples stand in its file, or a function gives them
    return [(spec, split, spec.train_languages)] if settings.num_fewshot else []


def prompt_arguments(source: TaskSpec, target: TaskSpec, *, words: InWords, prints: Fingerprints) -> dict[str, Any]:
    """What a prediction in words receives beside the task: settings and rows of solved examples (or MissingData)."""
    # Whether the model was fine-tuned shows in the stage that it starts from.
    args: dict[str, Any] = {"prompt": words.settings.model_dump(mode="json", exclude_defaults=True, exclude={"sft"})}
    args |= {"speech": words.speech} if words.speech else {}
    for spec, split, _ in shot_needs(source, target, settings=words.settings):
        args["shots"] = {"task": spec.task, "spec": portable(spec, split=split), "data": prints.data(spec, split)}
    return args


def head_name(component: Mapping[str, Any]) -> str:
    """The head that a component of a training stage trains."""
    return str(component.get("head", component["task"]))


def is_selected(spec: TaskSpec) -> bool:
    """Whether validation rows choose the checkpoint."""
    return spec.selection == "validation" and bool(spec.data.validation)


def with_translation(spec: TaskSpec, lang: str) -> TaskSpec:
    """The task under the name `task@lang`, with the translated rows of a language as its training rows."""
    data = spec.data.model_copy(update={"train": spec.data.translated, "validation": ()})
    return spec.model_copy(update={"task": f"{spec.task}@{lang}", "train_languages": (lang,), "data": data})


def reusable_head(
    target: Entry[TaskSpec], options: Mapping[str, Any], *, among: Sequence[tuple[Entry[TaskSpec], Mapping[str, Any]]]
) -> str | None:
    """The task of an intermediate phase whose head fits a target: the same task, else the first of the same kind and labels."""
    wanted = _head(target.spec, options)
    if wanted is None:
        return None
    fitting = [
        entry.spec.task for entry, own in among if _head(entry.spec, own) == wanted and entry.spec.labels == target.spec.labels
    ]
    return target.spec.task if target.spec.task in fitting else next(iter(fitting), None)


def _head(spec: TaskSpec, options: Mapping[str, Any]) -> HeadSpec | None:
    module = TASK_TYPES.load(spec.type)
    found: HeadSpec | None = module.head(spec, module.Options.model_validate(options))
    return found
