"""What a run asks of its engine, and of how a model is put in words, that cannot be had: found before anything is loaded.

errors = unserved(tasks, names)          # --model_args engine=..., --prompt_args guided=true, thinking=true, chat_template=server
"""

from collections.abc import Sequence

from harness.api.errors import UserError, collecting
from harness.api.registry import TASK_TYPES
from harness.planning.backbone.resolve import Backbone
from harness.planning.catalog.catalog import Entry
from harness.planning.resolved_tasks import ResolvedTask, TaskResolver
from harness.planning.routes import written_tokens
from harness.runtime.engines import ADAPTER, DEFAULT, vllm_python
from harness.runtime.processes import announced_processes
from harness.specs.prompt import USUAL_LENGTH
from harness.specs.task import TaskSpec
from harness.task_types.prompting.guided_regex import CLOSED_FORMS

PROMPT_ARGS = "--prompt_args"


def unserved(tasks: TaskResolver, names: Sequence[str]) -> list[UserError]:
    """What --model_args engine=... and --prompt_args ask of an engine and cannot be had."""
    backbone, engine = tasks.backbone, tasks.backbone.engine
    entries = [tasks.entry(name) for name in names]
    in_words = [entry.spec for entry in entries if tasks.routing.of(entry.spec).in_words]
    errors = _unguided(backbone, entries) if tasks.routing.prompt.guided else []
    errors += _unthinkable(tasks, in_words)
    errors += _no_conversation(tasks, in_words)
    errors += _no_room(tasks, in_words)
    if engine.name == DEFAULT:
        return errors
    where = "--model_args engine"
    served = [entry.spec for entry in entries if tasks.routing.of(entry.spec).is_served]
    if not served and not engine.is_remote:
        message = f"engine={engine.name} answers prompts and makes vectors, and this run asks for neither"
        errors.append(UserError(message, where=where, todo="add --route prompt, or leave the engine out"))
    extra = [key for key in ("bidirectional", "model_type") if key in backbone.arguments.extra]
    if backbone.adapter != ADAPTER or extra:
        found = f"{backbone.name} with {', '.join(extra)}" if extra else f"{backbone.name} (adapter '{backbone.adapter}')"
        expected, todo = "a causal language model as its config.json says", "leave the engine out"
        errors.append(UserError(f"{engine.name} cannot serve this", where=where, expected=expected, found=found, todo=todo))
    for spec in served:
        with collecting(errors):
            errors += _other_layer(tasks.target(spec.task), backbone)
    if announced_processes() > 1:
        more = "num_concurrent=16" if engine.is_remote else "data_parallel_size=2"
        message = f"{engine.name} divides its work{'' if engine.is_remote else ' among devices'} by itself"
        todo = f"leave torchrun out and say --model_args {more}"
        errors.append(UserError(message, where="torchrun", found=f"{announced_processes()} processes", todo=todo))
    if not engine.is_remote:
        with collecting(errors):
            vllm_python()
    return errors


def _no_room(tasks: TaskResolver, in_words: Sequence[TaskSpec]) -> list[UserError]:
    """Answers, and thoughts, that may be as long as the whole input, by what --prompt_args say of any of them."""
    prompt = tasks.routing.prompt
    said = [key for key in ("max_new_tokens", "max_length") if getattr(prompt, key) is not None]
    said += ["thinking"] if prompt.thinking else []
    long: dict[int, list[str]] = {}
    for spec in in_words:
        limit, tokens = _longest(tasks, spec), written_tokens(prompt, spec)
        if limit and tokens >= limit:
            thoughts = f", {prompt.thinking_budget} of them thoughts" if prompt.thinking else ""
            long.setdefault(limit, []).append(f"{spec.task}: {tokens} tokens{thoughts}")
    if not said:
        return []
    wayout = ["a lower max_new_tokens", *(["a lower thinking_budget"] if prompt.thinking else [])]
    what = "thoughts and answers" if prompt.thinking else "answers"
    return [
        UserError(
            f"{what} leave no room for the prompt",
            where=f"{PROMPT_ARGS} {' and '.join(said)}",
            expected=f"{what} of less than {limit} tokens, for that is how long prompt and answer may be together",
            found=", ".join(found),
            todo=" or ".join(wayout) + (", or a higher max_length" if prompt.max_length else ""),
        )
        for limit, found in sorted(long.items())
    ]


def _longest(tasks: TaskResolver, spec: TaskSpec) -> int | None:
    """Tokens that prompt and answer of a task may have together, as far as that is known before a model is loaded."""
    prompt = tasks.routing.prompt
    usual = None if spec.lm_eval else USUAL_LENGTH + prompt.room_for_thoughts
    return min([limit for limit in (prompt.max_length or usual, tasks.backbone.limits.positions) if limit], default=None)


def _unthinkable(tasks: TaskResolver, in_words: Sequence[TaskSpec]) -> list[UserError]:
    """Thoughts where none can be had."""
    prompt, where = tasks.routing.prompt, f"{PROMPT_ARGS} thinking"
    errors: list[UserError] = []
    if not prompt.thinking:
        if "thinking_budget" in prompt.model_fields_set:
            message = "thinking_budget says nothing to a model that does not think"
            errors.append(UserError(message, where=f"{PROMPT_ARGS} thinking_budget", todo="add thinking=on, or leave it out"))
        return errors
    if not prompt.chat_template:
        message = "thoughts belong to a conversation"
        errors.append(UserError(message, where=where, todo="add chat_template=true, or leave thinking out"))
    if prompt.guided:
        message = "an answer that is held to what can be read leaves no room for thoughts"
        errors.append(UserError(message, where=where, todo="leave thinking or guided out"))
    rated = [spec.task for spec in in_words if spec.asks == "loglikelihood"]
    if rated:
        errors.append(
            UserError(
                f"{', '.join(rated)}: the likeliest of given answers is taken, so that nothing is written, thoughts neither",
                where=where,
                expected="tasks whose answers are written: generation, span_qa, tagging, generate_until of lm-eval",
                todo=f"leave {'it' if len(rated) == 1 else 'them'} out of --tasks, or leave thinking out",
            )
        )
    return errors


def _no_conversation(tasks: TaskResolver, in_words: Sequence[TaskSpec]) -> list[UserError]:
    """Conversations for a server where there is none, or where it would have to rate answers."""
    if tasks.routing.prompt.chat_template != "server":
        return []
    where = f"{PROMPT_ARGS} chat_template"
    if not tasks.backbone.engine.is_remote:
        todo = "chat_template=true, or --model_args engine=server,base_url=..."
        return [UserError("there is no server to put the prompt into its chat template", where=where, todo=todo)]
    rated = [spec.task for spec in in_words if spec.asks == "loglikelihood"]
    if not rated:
        return []
    message = f"{', '.join(rated)}: a server's chat rates no given answers"
    todo = "chat_template=true (the tokenizer's template, for /completions), or leave them out of --tasks"
    return [UserError(message, where=where, expected="tasks whose answers are written", todo=todo)]


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


def _unguided(backbone: Backbone, entries: Sequence[Entry[TaskSpec]]) -> list[UserError]:
    """Why answers cannot be held to what can be read."""
    where = "--prompt_args guided"
    forms = {entry.spec.prompt.generate.form for entry in entries if entry.spec.prompt and entry.spec.prompt.generate}
    if backbone.engine.name != "vllm":
        todo = "--model_args engine=vllm, or leave guided out"
        writes = "a server" if backbone.engine.is_remote else "transformers"
        return [UserError(f"{writes} writes what it likes: it cannot be guided", where=where, todo=todo)]
    if not forms & CLOSED_FORMS:
        expected = "a task whose answers are tags or entities (" + ", ".join(sorted(CLOSED_FORMS)) + ")"
        return [UserError("no task of this run has a closed set of answers to write", where=where, expected=expected)]
    return []
