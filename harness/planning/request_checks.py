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
from harness.planning.resolved_tasks import ResolvedTask, TaskResolver
from harness.planning.routes import PROMPT, Routing
from harness.runtime.engines import ADAPTER as ENGINE_ADAPTER
from harness.runtime.engines import DEFAULT, vllm_python
from harness.runtime.processes import announced_processes
from harness.runtime.stages import TrainingPhase
from harness.specs.prompt import LM_EVAL_SAMPLER
from harness.specs.task import TaskSpec
from harness.task_types.prompting.guided_regex import CLOSED_FORMS


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


def unserved(tasks: TaskResolver, names: Sequence[str]) -> list[UserError]:
    """What --model_args engine=... and --prompt_args guided=true ask and cannot be had."""
    errors: list[UserError] = []
    backbone, engine = tasks.backbone, tasks.backbone.engine
    entries = [tasks.entry(name) for name in names]
    if tasks.routing.prompt.guided:
        errors += _unguided(backbone, entries)
    if engine.name == DEFAULT:
        return errors
    where = "--model_args engine"
    served = [entry.spec for entry in entries if tasks.routing.of(entry.spec).is_served]
    if not served:
        message = f"engine={engine.name} answers prompts and makes vectors, and this run asks for neither"
        errors.append(UserError(message, where=where, todo="add --route prompt, or leave the engine out"))
    extra = [key for key in ("bidirectional", "model_type") if key in backbone.arguments.extra]
    if backbone.adapter != ENGINE_ADAPTER or extra:
        found = f"{backbone.name} with {', '.join(extra)}" if extra else f"{backbone.name} (adapter '{backbone.adapter}')"
        expected, todo = "a causal language model as its config.json says", "leave the engine out"
        errors.append(UserError(f"{engine.name} cannot serve this", where=where, expected=expected, found=found, todo=todo))
    for spec in served:
        with collecting(errors):
            errors += _other_layer(tasks.target(spec.task), backbone)
    if announced_processes() > 1:
        message = f"{engine.name} divides its work among devices by itself"
        todo = "leave torchrun out and say --model_args data_parallel_size=2"
        errors.append(UserError(message, where="torchrun", found=f"{announced_processes()} processes", todo=todo))
    with collecting(errors):
        vllm_python()
    return errors


def _other_layer(task: ResolvedTask, backbone: Backbone) -> list[UserError]:
    """Vectors of another layer than the last, which an engine does not give."""
    pooling = TASK_TYPES.load(task.spec.type).pools(task.options.values)
    if task.in_words or pooling is None or pooling.layer in (-1, backbone.facts.get("layers")):
        return []
    return [
        UserError(
            f"{backbone.engine.name} gives states of the last layer only",
            where=f"task '{task.spec.task}' layer ({task.options.origin['layer']})",
            found=f"layer {pooling.layer:g}",
            todo="--model_args layer=-1, or leave the engine out",
        )
    ]


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


def _unguided(backbone: Backbone, entries: Sequence[Entry[TaskSpec]]) -> list[UserError]:
    """Why answers cannot be held to what can be read."""
    where = "--prompt_args guided"
    forms = {entry.spec.prompt.generate.form for entry in entries if entry.spec.prompt and entry.spec.prompt.generate}
    if backbone.engine.name == DEFAULT:
        todo = "--model_args engine=vllm, or leave guided out"
        return [UserError("transformers writes what it likes: it cannot be guided", where=where, todo=todo)]
    if not forms & CLOSED_FORMS:
        expected = "a task whose answers are tags or entities (" + ", ".join(sorted(CLOSED_FORMS)) + ")"
        return [UserError("no task of this run has a closed set of answers to write", where=where, expected=expected)]
    return []


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
