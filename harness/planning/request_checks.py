"""What is wrong with a request, found before anything is loaded: each function returns all mistakes of its kind.

errors = conflicts(request, entries, any_named=True, routing=routing)
errors += impossible(backbone, entries, settings, routing=routing, catalog=catalog)
"""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

from harness.api.errors import UserError, collecting, did_you_mean
from harness.api.registry import METRICS, TASK_TYPES
from harness.planning.backbone.resolve import Backbone
from harness.planning.catalog.catalog import Catalog, Entry
from harness.planning.intermediate import NO_INTERMEDIATE, Setting
from harness.planning.request import RunRequest
from harness.planning.resolved_tasks import TaskResolver
from harness.planning.routes import PROMPT, Routing
from harness.runtime.engines import DEFAULT
from harness.runtime.stages import TrainingPhase
from harness.specs.prompt import LM_EVAL_SAMPLER, STRATIFIED
from harness.specs.task import TaskSpec


def conflicts(request: RunRequest, entries: Sequence[Entry[TaskSpec]], *, any_named: bool, routing: Routing) -> list[UserError]:
    """Arguments that say nothing, or do not go together."""
    errors: list[UserError] = []
    if not any_named:
        errors.append(UserError("no task is named", where="--tasks", todo="see `run_eval.py ls tasks`"))
    named = [part.strip() for part in request.intermediate.split(",") if part.strip()]
    if not named:
        errors.append(UserError("no intermediate setting is named", where="--intermediate", expected="none or names of tasks"))
    if request.no_train and set(named) - {NO_INTERMEDIATE}:
        errors.append(UserError("--no_train and --intermediate exclude each other", todo="leave out one of them"))
    if isinstance(request.limit, int) and request.limit < 1:
        errors.append(UserError("the limit must be at least 1", where="--limit", found=str(request.limit)))
    if request.prompt_args and request.route != PROMPT and not any(routing.of(entry.spec).in_words for entry in entries):
        errors.append(UserError("--prompt_args without --route prompt", todo="add --route prompt"))
    if routing.prompt.fewshot_sampler == LM_EVAL_SAMPLER and not any(entry.spec.lm_eval for entry in entries):
        message, todo = "lm-eval draws only for tasks of its own files", "--prompt_args fewshot_sampler=per_question"
        errors.append(UserError(message, where="--prompt_args fewshot_sampler", todo=todo))
    if routing.prompt.fewshot_sampler == STRATIFIED:
        errors += [
            UserError(
                f"the answers of task '{entry.spec.task}' are no labels",
                where="--prompt_args fewshot_sampler=stratified",
                expected="a task of type classification",
                todo="fewshot_sampler=per_question, or leave the task out",
            )
            for entry in entries
            if routing.of(entry.spec).in_words and not TASK_TYPES.load(entry.spec.type).GOLD_IS_LABEL
        ]
    if routing.prompt.sampling and routing.engine.name != DEFAULT:
        message, todo = f"{routing.engine.name} writes the likeliest answers here", "leave the engine or sampling out"
        errors.append(UserError(message, where="--prompt_args sampling", todo=todo))
    if routing.prompt.sampling and not any(entry.spec.lm_eval and entry.spec.lm_eval.sampling for entry in entries):
        message, todo = "no task of this run draws answers at random", "leave sampling out of --prompt_args"
        errors.append(UserError(message, where="--prompt_args sampling", todo=todo))
    for entry in entries:
        spec = entry.spec
        if not spec.data.test:
            errors.append(
                UserError(f"task '{spec.task}' has no test rows to score", where="--tasks", todo="use it as --intermediate")
            )
        elif not request.languages_of(spec):
            errors.append(
                UserError(
                    f"task '{spec.task}' has none of these languages",
                    where="--languages",
                    found=",".join(request.languages),
                    expected="some of " + ", ".join(spec.languages),
                    todo=f"leave '{spec.task}' out of --tasks, or add one of its languages",
                )
            )
    return errors


class Use(NamedTuple):
    """A task of a run."""

    where: str
    "The flag that names it."
    entry: Entry[TaskSpec]
    trains: bool
    in_words: bool


def impossible(
    backbone: Backbone,
    entries: Sequence[Entry[TaskSpec]],
    settings: Sequence[Setting],
    *,
    routing: Routing,
    catalog: Catalog,
) -> list[UserError]:
    """Every pair of task and adapter that cannot work, and task options that no task of the run has."""
    errors: list[UserError] = []
    used = [Use("--tasks", entry, routing.is_trained(entry.spec), routing.of(entry.spec).in_words) for entry in entries]
    for name in dict.fromkeys(name for setting in settings for name in setting.tasks):
        entry = catalog.task(name)
        used.append(Use("--intermediate", entry, routing.trains, routing.of(entry.spec).in_words))
    for use in used:
        errors += _not_had(use, backbone)
    options = {name for use in used for name in TASK_TYPES.load(use.entry.spec.type).Options.model_fields}
    for key in backbone.options if used else ():
        if key not in options:
            message = f"no task of this run has the option '{key}'"
            errors.append(UserError(message, where="--model_args", todo=did_you_mean(key, options)))
    return errors


def untrusted_metrics(entries: Sequence[Entry[TaskSpec]]) -> list[UserError]:
    """Metrics of the user's own, of any of the tasks, that nobody has allowed to run: one error for all of them."""
    used = dict.fromkeys(use.metric for entry in entries for use in entry.spec.metrics)
    wanted = [own for name in used if (own := METRICS.own().get(name)) and not own.trusted]
    if not wanted:
        return []
    names = ", ".join(own.name for own in wanted)
    message, todo = f"{names}: Python code of the user's own would score", "read it, then allow it with --trust_metric_code"
    return [UserError(message, where="--tasks", found="; ".join(str(own.path) for own in wanted), todo=todo)]


def _not_had(use: Use, backbone: Backbone) -> list[UserError]:
    """Why a task cannot be had with a backbone."""
    spec, offered = use.entry.spec, backbone.capabilities()
    module = TASK_TYPES.load(spec.type)
    if use.in_words and spec.asks is None and (use.trains or use.where == "--tasks"):
        todo = f"give it a `prompt:`, or leave it out of {use.where}"
        return [UserError(f"task '{spec.task}' has no prompt", where=use.entry.document.where(("task",)), todo=todo)]
    if use.trains and not module.TRAINS:
        return [
            UserError(
                f"task '{spec.task}' ({spec.type}) cannot be trained",
                where=use.where,
                expected="a task of a type that is trained",
                todo="train on sentence pairs with a task of the type retrieval, such as translation_ranking",
            )
        ]
    needs = {spec.asks} if use.in_words and spec.asks else {*module.NEEDS}
    missing = sorted((needs | ({"fit"} if use.trains else set())) - set(offered))
    if missing and backbone.engine.is_remote:
        return [_only_words(use, backbone)]
    if use.in_words and set(missing) & {"loglikelihood", "generate"}:
        return [_no_words(use, backbone)]
    if missing:
        return [
            UserError(
                f"task '{spec.task}' ({spec.type}) cannot be had with adapter '{backbone.adapter}'",
                where=use.where,
                expected=f"an adapter that offers {', '.join(missing)}",
                found=f"'{backbone.adapter}' offers {', '.join(offered)}",
                todo="--no_train uses the heads that a checkpoint has" if missing == ["fit"] else "choose another model or task",
            )
        ]
    if use.trains and module.BOTH_DIRECTIONS and not backbone.sees_both_ways:
        return [
            UserError(
                f"task '{spec.task}' ({spec.type}) hides words, and what comes before a word does not tell it",
                where=use.where,
                expected="attention in both directions",
                found=f"a causal model (adapter '{backbone.adapter}')",
                todo="--model_args bidirectional=true, or an encoder",
            )
        ]
    return []


def _only_words(use: Use, backbone: Backbone) -> UserError:
    """A task that a server does not answer."""
    found = "it would be trained" if use.trains else "its answer is read from hidden states"
    todo = "add --route prompt" if use.where == "--tasks" and PROMPT in TASK_TYPES.load(use.entry.spec.type).ROUTES else ""
    return UserError(
        f"task '{use.entry.spec.task}' cannot be had of a server, which answers in words only",
        where=use.where,
        found=f"{found} (engine={backbone.engine.name})",
        todo=todo or f"leave '{use.entry.spec.task}' out of {use.where}, or take a model whose weights are here",
    )


def _no_words(use: Use, backbone: Backbone) -> UserError:
    """A model that reads but neither writes nor rates texts, asked in words."""
    spec = use.entry.spec
    other = TASK_TYPES.load(spec.type).ROUTES[0]
    instead = {
        PROMPT: f"leave '{spec.task}' out of {use.where}",
        "embedding": "leave --route prompt out: its vectors are compared",
    }
    return UserError(
        f"task '{spec.task}' is asked in words, and {backbone.name} gives none",
        where=use.where,
        expected="a causal language model (adapter 'decoder' in `ls models`), such as qwen3-0.6b-base",
        found=f"an encoder (adapter '{backbone.adapter}'), which reads texts and answers by a head that is trained",
        todo=instead.get(other, "leave --route prompt out: a head is trained instead") + ", or choose such a model",
    )


def beyond(tasks: TaskResolver, names: Sequence[str]) -> list[UserError]:
    """Layers and lengths that the model does not have, as far as its configuration is here."""
    errors: list[UserError] = []
    layers, positions = tasks.backbone.limits
    for name in names:
        with contextlib.suppress(UserError):  # said by `unresolved`
            task = tasks.target(name)
            where = f"task '{task.spec.task}' {{}} ({{}})"
            pooling = None if task.in_words else TASK_TYPES.load(task.spec.type).pools(task.options.values)
            if pooling and layers and not (0 < pooling.layer < 1 or -layers - 1 <= pooling.layer <= layers):
                expected = f"a whole number from {-layers - 1} to {layers}, or a fraction of the depth between 0 and 1"
                at = where.format("layer", task.options.origin["layer"])
                errors.append(UserError(f"there is no layer {pooling.layer:g}", where=at, expected=expected))
            length = None if task.in_words else getattr(task.options.values, "max_length", None)
            if positions and length and length > positions and task.options.origin["max_length"] == "--model_args":
                at, expected = where.format("max_length", "--model_args"), f"at most {positions}, the positions of the model"
                errors.append(UserError("longer than any input of the model", where=at, expected=expected, found=str(length)))
    return errors


def unresolved(tasks: TaskResolver, names: Sequence[str], settings: Sequence[Setting]) -> list[UserError]:
    """Options and hyper-parameters that do not come out right; labels that differ where a head answers for another task."""
    errors: list[UserError] = []
    for entry in map(tasks.entry, names):
        spec, source = entry.spec, tasks.source(entry).spec
        with collecting(errors):
            tasks.target(spec.task)
        if tasks.routing.is_trained(spec):
            with collecting(errors):
                tasks.target_training(entry, after="")
        if (source.type, source.labels) != (spec.type, spec.labels) and not {source.task, spec.task} & set(tasks.wrong_labels):
            errors.append(
                UserError(
                    f"task '{spec.task}' is trained on '{source.task}', whose type or labels differ",
                    where=entry.document.where(("train_on",)),
                    expected=f"{source.type}, labels [{', '.join(source.labels)}]",
                    found=f"{spec.type}, labels [{', '.join(spec.labels)}]",
                )
            )
        elif not source.data.train and tasks.routing.is_trained(spec):
            where = entry.document.where(("train_on",))
            errors.append(UserError(f"task '{source.task}' has no training rows for '{spec.task}'", where=where))
    for phase in dict.fromkeys(phase for setting in settings for phase in setting.phases):
        if not tasks.backbone.is_fake:
            with collecting(errors):
                for component in phase.components:
                    tasks.resolve(component.task, TrainingPhase.INTERMEDIATE)
            with collecting(errors):
                tasks.phase_training(phase, setting="")
    return errors
