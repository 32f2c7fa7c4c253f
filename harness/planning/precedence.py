"""Who sets what: task options and hyper-parameters from several places laid over each other, and who set each.

Task options:   the type's defaults < the task < the recipe's task_options < the adapter's TASK_OPTIONS < the preset's
                task_options < the `options` of the recipe's entries for the task < --model_args.
Training:       the defaults of Training < the recipe's `defaults` < its phase (`intermediate` or `target`) < for several tasks
                at once its `mixture` and, with a masked_lm task, `with_masked_lm` < its entries for the task (or for
                `a+b`) < what the intermediate setting itself says (`~uniform`) < a learning rate that a study chose.

A recipe's entries for a task, the later win: `tasks.<rows>`, `tasks.<phase>/<rows>`, `tasks.<task>`, `tasks.<phase>/<task>`,
where <rows> is the task that gives the training rows (mnli for xnli) and <phase> is `intermediate` or `target`.  Prediction
follows `target`.

    options = task_options(entry, recipe=recipe, preset=preset, overrides={"max_length": 256})
    options.values.max_length, options.origin["max_length"]       # 256, '--model_args'
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from harness.api.errors import UserError, raise_all
from harness.api.registry import ADAPTERS, TASK_TYPES
from harness.planning.catalog.catalog import Entry
from harness.specs.key_values import refusal
from harness.specs.preset import PresetSpec
from harness.specs.recipe import RecipeSpec, Training
from harness.specs.task import TaskSpec

CHOSEN_RATE = "chosen on English development rows"


@dataclass(frozen=True, kw_only=True)
class SourcedValues:
    """Values and, for each, who set it."""

    values: Any
    origin: Mapping[str, str]


def lay_over(model: type[BaseModel], layers: list[tuple[str, Mapping[str, Any]]]) -> SourcedValues:
    """Lay layers over each other, the last wins; raises UserError for values the model refuses."""
    merged: dict[str, Any] = {}
    origin = dict.fromkeys(model.model_fields, "default")
    for name, values in layers:
        merged |= values
        origin |= dict.fromkeys(values, name)
    try:
        return SourcedValues(values=model.model_validate(merged), origin=origin)
    except ValidationError as error:
        problems = []
        for detail in error.errors():
            key = str(detail["loc"][0]) if detail["loc"] else ""
            where = origin.get(key, "") or next((name for name, values in layers if key in values), "")
            problems.append(refusal(detail, model, where=where))
        raise_all(problems)
        raise AssertionError("unreachable") from error


def entries(names: Sequence[str], phase: str) -> list[str]:
    """Keys under a recipe's `tasks` that apply to a stage, the later win: of each task its own, then that of the phase."""
    return [key for name in dict.fromkeys(names) for key in (name, f"{phase}/{name}")]


def task_options(
    task: Entry[TaskSpec],
    *,
    recipe: Entry[RecipeSpec] | None,
    preset: Entry[PresetSpec] | None,
    overrides: Mapping[str, Any],
    phase: str = "target",
    adapter: str = "",
) -> SourcedValues:
    """The options of a task's type, for training in a phase and (as in phase `target`) for prediction.

    The recipe's entries are those of the task that gives the training rows (`train_on`) and of the task itself.
    `overrides` are those of --model_args that the type knows (others are left out); `adapter` says whose TASK_OPTIONS hold.
    """
    spec = task.spec
    model = TASK_TYPES.load(spec.type).Options
    layers: list[tuple[str, Mapping[str, Any]]] = [(f"task {spec.task}", spec.options)]
    if recipe:
        layers.append((f"recipe {recipe.spec.recipe} task_options", recipe.spec.task_options.get(spec.type, {})))
    if adapter in ADAPTERS.names():
        layers.append((f"adapter {adapter}", ADAPTERS.constant(adapter, "TASK_OPTIONS").get(spec.type, {})))
    if preset:
        layers.append((f"preset {preset.spec.preset}", preset.spec.task_options.get(spec.type, {})))
    if recipe:
        layers += [
            (f"recipe {recipe.spec.recipe} tasks.{key}", recipe.spec.tasks.get(key, {}).get("options", {}))
            for key in entries([spec.train_on or spec.task, spec.task] if phase == "target" else [spec.task], phase)
        ]
    layers.append(("--model_args", {key: value for key, value in overrides.items() if key in model.model_fields}))
    fixed = TASK_TYPES.load(spec.type).FIXED_OPTIONS
    raise_all(
        [
            UserError(
                f"only a task can set '{key}': its metrics depend on it",
                where=name,
                todo=f"leave '{key}' out, or write a task with it",
            )
            for name, values in layers[1:]
            for key in values
            if key in fixed
        ]
    )
    return lay_over(model, layers)


def training(names: Sequence[str], *, phase: str, recipe: Entry[RecipeSpec], rate: float | None = None) -> SourcedValues:
    """Hyper-parameters of a training stage in a phase ('intermediate' or 'target').

    `names` are the tasks whose entries in the recipe apply, the later win: the task that gives the rows, then the target; `rate`
    is a learning rate that development rows chose.
    """
    blocks = [("defaults", recipe.spec.defaults), (phase, getattr(recipe.spec, phase))]
    return _training(blocks, names, phase=phase, recipe=recipe, rate=rate)


def mixture_training(
    name: str, *, given: Mapping[str, Any], has_masked_lm: bool, recipe: Entry[RecipeSpec], rate: float | None = None
) -> SourcedValues:
    """Hyper-parameters of an intermediate phase that trains several tasks, called `name` (`mnli+qqp`); `given` are its own."""
    spec = recipe.spec
    blocks = [("defaults", spec.defaults), ("intermediate", spec.intermediate), ("mixture", spec.mixture)]
    if has_masked_lm:
        blocks.append(("with_masked_lm", spec.with_masked_lm))
    return _training(blocks, [name], phase="intermediate", recipe=recipe, given=given, rate=rate)


def component_training(task: str, *, whole: SourcedValues, recipe: Entry[RecipeSpec]) -> dict[str, Any]:
    """What the recipe's entries for a task of a mixture set apart from the whole: batch_size and max_examples."""
    own: dict[str, Any] = {}
    for key in entries([task], "intermediate"):
        own |= {k: v for k, v in recipe.spec.tasks.get(key, {}).items() if k in ("batch_size", "max_examples")}
    return {key: value for key, value in own.items() if value != getattr(whole.values, key)}


def _training(
    blocks: Sequence[tuple[str, Mapping[str, Any]]],
    names: Sequence[str],
    *,
    phase: str,
    recipe: Entry[RecipeSpec],
    given: Mapping[str, Any] | None = None,
    rate: float | None,
) -> SourcedValues:
    """The blocks of a recipe laid over each other, its entries for the tasks, what the command line gives, a chosen rate."""
    spec = recipe.spec
    laid = [*blocks, *((f"tasks.{key}", spec.tasks.get(key, {})) for key in entries(names, phase))]
    layers: list[tuple[str, Mapping[str, Any]]] = [
        (f"recipe {spec.recipe} {block}", {k: v for k, v in values.items() if k != "options"}) for block, values in laid
    ]
    layers.append(("--intermediate", given or {}))
    layers.append((CHOSEN_RATE, {} if rate is None else {"learning_rate": rate}))
    settled = lay_over(Training, layers)
    if settled.values.epochs is None and settled.values.max_steps is None:
        todo = f"add `epochs:` or `max_steps:` to `{phase}:` or to `tasks: {{{names[0]}: ...}}`"
        raise UserError(
            f"recipe '{spec.recipe}' does not say how long to train on {names[0]}", where=str(recipe.document.mark(())), todo=todo
        )
    return settled
