"""Code that tasks of lm-evaluation-harness bring: nobody has allowed it, it cannot be loaded, or it lacks a package.

untrusted(entries, trusted=place.trust_task_code), unsafe(entries, trusted=place.trust_generated_code)
unloadable(entries, place=place)              # imports the code that is trusted, so that what is missing is said at once
"""

from collections.abc import Callable, Sequence
from typing import Any

from harness.api.errors import UserError, collecting
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Entry
from harness.specs.lm_eval import Function, LmEvalTask
from harness.specs.task import TaskSpec
from harness.task_types.lm_eval_harness.evaluate_metrics import MissingPackage
from harness.task_types.lm_eval_harness.task_code import ALLOW, TaskCode, place_of

PAIRS = ([("a b", "a b"), ("a b", "a c")], [(0, 0), (1, 0)])
"What functions of all examples are tried on: made-up texts, and made-up classes."


def untrusted(entries: Sequence[Entry[TaskSpec]], *, trusted: bool) -> list[UserError]:
    """Tasks that run code which lies beside their files, where nobody has allowed it: one error for all of them."""
    named: dict[str, list[str]] = {}
    for entry in entries if not trusted else ():
        for function in entry.spec.lm_eval.functions() if entry.spec.lm_eval else ():
            named.setdefault(place_of(function, entry.document.path.parent), []).append(entry.spec.task)
    if not named:
        return []
    tasks = list(dict.fromkeys(task for several in named.values() for task in several))
    more = f" and {len(tasks) - 3} more" if len(tasks) > 3 else ""
    return [
        UserError(
            f"{', '.join(tasks[:3])}{more}: Python code that lies beside the task files would run",
            where="--tasks",
            found="; ".join(list(named)[:8]) + (f"; and {len(named) - 8} more" if len(named) > 8 else ""),
            todo=ALLOW,
        )
    ]


def unsafe(entries: Sequence[Entry[TaskSpec]], *, trusted: bool) -> list[UserError]:
    """Tasks that run what the model writes, where nobody has allowed it: one error for all of them."""
    named = [entry.spec.task for entry in entries if entry.spec.lm_eval and entry.spec.lm_eval.unsafe_code]
    if trusted or not named:
        return []
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    todo = "run them where nothing can be harmed, and allow it with --trust_generated_code"
    return [UserError(f"{', '.join(named[:3])}{more}: programs that the model writes would run", where="--tasks", todo=todo)]


def unloadable(entries: Sequence[Entry[TaskSpec]], *, place: DataPlace) -> list[UserError]:
    """Code that cannot be imported, and metrics that lack a package: each once, however many tasks have it."""
    errors: list[UserError] = []
    for entry in entries if place.trust_task_code else ():
        if entry.spec.lm_eval:
            code = TaskCode.at(place, folder=entry.document.path.parent, task=entry.spec.task)
            errors += code_mistakes(entry.spec.lm_eval, code)
    return list({(error.where, error.found, error.expected): error for error in errors}.values())


def code_mistakes(config: LmEvalTask, code: TaskCode) -> list[UserError]:
    """What of the code of one task cannot be loaded, or lacks a package."""
    errors: list[UserError] = []
    for function in config.functions():
        with collecting(errors):
            code.function(function)
    if errors:
        return errors
    for scored in config.metrics:
        if isinstance(scored.function, Function):
            made_up = {"references": ["a b"], "predictions": ["a b"], **scored.options}
            errors += _lacking(code.function(scored.function), **made_up)
        if isinstance(scored.aggregate, Function):
            for pairs in PAIRS:
                errors += _lacking(code.function(scored.aggregate), list(pairs))
    return errors


def _lacking(function: Callable[..., Any], *args: Any, **kwargs: Any) -> list[UserError]:
    """The error of a call that lacks a package; whatever else made-up values run into is no mistake."""
    try:
        function(*args, **kwargs)
    except UserError as error:
        if isinstance(error, MissingPackage) or isinstance(error.__cause__, ImportError):
            return [error]
    return []
