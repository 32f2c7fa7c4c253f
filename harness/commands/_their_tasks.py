"""What `show` and `validate` say of a task of lm-evaluation-harness: its first prompts, and whether its rows give some.

for line in first_prompts(entry, catalog=catalog, place=place): out(line)
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from harness.catalog import Catalog, Entry
from harness.data.examples import load_examples
from harness.data.place import DataPlace
from harness.devices import Machine
from harness.errors import MissingData, UserError
from harness.registry import TASK_TYPES
from harness.request_checks import untrusted
from harness.settings import prompt_settings_of
from harness.specs.prompt import PromptSettings
from harness.specs.task import TaskSpec

ROWS = 2


def first_prompts(entry: Entry[TaskSpec], *, catalog: Catalog, place: DataPlace) -> Iterator[str]:
    """The requests of the first rows, or why there are none; raises UserError for rows that give none."""
    refused = untrusted([entry], trusted=place.trust_task_code)
    if refused:
        yield f"no prompts: {refused[0]}"
        return
    try:
        rows = _rows(entry.spec, "test", catalog, place)
        shown = _rows(entry.spec, "train", catalog, place) if entry.spec.data.train and _num_shots(entry.spec) else []
    except MissingData as error:
        yield f"no prompts: {str(error).splitlines()[0]}"
        return
    yield f"{len(rows)} rows; prompts of the first, zero-shot or as the file says ({_num_shots(entry.spec)}-shot):"
    machine = Machine(place=place, task_folders=catalog.task_folders())
    module: Any = TASK_TYPES.load(entry.spec.type)
    settings = prompt_settings_of(entry.spec, PromptSettings())
    route = module.prompt_route(task=entry.spec, settings=settings, pool=shown, machine=machine, max_positions=None)
    for example in rows[:ROWS]:
        asked = route.requests(example, task=entry.spec.task)
        contexts = list(dict.fromkeys(request.context for request in asked))
        yield f"row {example.id}, right: {_text(example.gold)}"
        for number, context in enumerate(contexts):
            yield f"  context{f' {number}' if len(contexts) > 1 else ''}: {_text(context)}"
        yield from (f"  then: {_text(request.continuation)}" for request in asked if request.continuation is not None)
        if asked[0].continuation is None:
            assert entry.spec.lm_eval is not None
            yield f"  then at most {entry.spec.lm_eval.max_gen_toks} tokens, until {_text(list(entry.spec.lm_eval.until))}"


def _num_shots(spec: TaskSpec) -> int:
    return prompt_settings_of(spec, PromptSettings()).num_fewshot


def _rows(spec: TaskSpec, split: Any, catalog: Catalog, place: DataPlace) -> Sequence[Any]:
    folder = catalog.folder("task", spec.task)
    return load_examples(spec, split=split, langs=list(spec.languages), place=place, task_folder=folder).examples


def _text(value: Any) -> str:
    """A value on one line, as it is."""
    return json.dumps(value, ensure_ascii=False)


def mistakes_in_rows(entry: Entry[TaskSpec], *, catalog: Catalog, place: DataPlace) -> list[UserError]:
    """What the rows that are here do not give."""
    try:
        for _ in first_prompts(entry, catalog=catalog, place=place):
            pass
    except UserError as error:
        where = f"{entry.document.where(())}: {error.where}" if error.where else entry.document.where(())
        return [UserError(error.message, where=where, expected=error.expected, found=error.found, todo=error.todo)]
    return []
