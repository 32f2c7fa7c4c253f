"""First prompts of a task of lm-evaluation-harness, for `show` and `validate`, and what looks like a mistake in its rows.

for line in first_prompts(entry, catalog=catalog, place=place): out(line.text)
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from harness.api.errors import MissingData, UserError, collecting, did_you_mean
from harness.api.registry import TASK_TYPES
from harness.commands._table import on_one_line
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog, Entry
from harness.planning.routes import prompt_name, prompt_of
from harness.planning.task_code_checks import untrusted
from harness.runtime.machine import Machine
from harness.specs.prompt import PromptArgs
from harness.specs.task import TaskSpec
from harness.task_types.lm_eval_harness.task_code import TaskCode
from harness.task_types.lm_eval_harness.templates import RowRenderer

ROWS = 2
LOOKED_AT = 1000
"Rows whose right answers are held against their choices."
WORD = re.compile(r"[A-Za-z_]\w*")
"""What looks like the name of a column."""


class PreviewLine(NamedTuple):
    """A line of what `show` prints."""

    text: str
    warning: str = ""
    "What `validate` warns of; empty where the line says what is as it should be."


def first_prompts(
    entry: Entry[TaskSpec], *, catalog: Catalog, place: DataPlace, asked: PromptArgs | None = None, tokenizer: Any = None
) -> Iterator[PreviewLine]:
    """The requests of the first rows, or why there are none; raises UserError for rows that give none.

    They are zero-shot, or as the file says, where a run asks for nothing else; a chat template needs the tokenizer.
    """
    prompt_args = prompt_of(entry.spec, asked or PromptArgs())
    shots = prompt_args.num_fewshot
    refused = untrusted([entry], trusted=place.trust_task_code)
    if refused:
        yield _no_prompts(refused[0])
        return
    try:
        rows = _rows(entry.spec, "test", catalog, place)
        shown = _rows(entry.spec, "train", catalog, place) if entry.spec.data.train and shots else []
    except MissingData as error:
        yield _no_prompts(str(error).splitlines()[0])
        return
    how = prompt_name(prompt_args) if asked else f"zero-shot or as the file says ({shots}-shot)"
    yield PreviewLine(f"{len(rows)} rows; prompts of the first, {how}:")
    machine = Machine(place=place, task_folders=catalog.task_folders())
    module: Any = TASK_TYPES.load(entry.spec.type)
    route = module.prompt_route(task=entry.spec, prompt_args=prompt_args, pool=shown, machine=machine, max_positions=None)
    doubts = [*_doubts(entry, rows), *(_placed(entry, doubt) for doubt in route.doubts(rows, task=entry.spec))]
    yield from (PreviewLine(f"doubt: {doubt}", doubt.splitlines()[0]) for doubt in doubts)
    for example in rows[:ROWS]:
        yield from map(PreviewLine, _prompts_of(entry.spec, example, route, tokenizer))


def _placed(entry: Entry[TaskSpec], doubt: str) -> str:
    """A doubt with the file and line of the key that it begins with."""
    key, _, rest = doubt.partition(": ")
    return f"{entry.document.where((key,))}: {rest}" if key in entry.document.values else doubt


def _no_prompts(reason: object) -> PreviewLine:
    text = f"no prompts: {reason}"
    return PreviewLine(text, text.splitlines()[0])


def _prompts_of(spec: TaskSpec, example: Any, route: Any, tokenizer: Any) -> Iterator[str]:
    """Lines with the contexts of a row, what may follow them, and the right answer."""
    asked = route.requests(example, task=spec.task, tokenizer=tokenizer)
    contexts = list(dict.fromkeys(request.context for request in asked))
    yield f"row {int(example.id) + 1}, right: {on_one_line(example.gold)}"
    for number, context in enumerate(contexts):
        yield f"  context{f' {number}' if len(contexts) > 1 else ''}: {on_one_line(context)}"
    yield from (f"  then: {on_one_line(request.continuation)}" for request in asked if request.continuation is not None)
    if asked[0].continuation is None:
        assert spec.lm_eval is not None
        longest = route.prompt_args.answer_length(spec.lm_eval.max_gen_toks)
        yield f"  then at most {longest} tokens, until {on_one_line(list(spec.lm_eval.until))}"


def _doubts(entry: Entry[TaskSpec], rows: Sequence[Any]) -> Iterator[str]:
    """What lm-eval would run with, and what is hardly meant: words that are no column, right answers that are no choice."""
    config = entry.spec.lm_eval
    assert config is not None
    if not rows:
        yield "there is no row"
        return
    columns = rows[0].columns
    for key in ("doc_to_text", "doc_to_target", "doc_to_choice"):
        value = getattr(config, key)
        if isinstance(value, str) and WORD.fullmatch(value) and value not in columns:
            where = entry.document.where((key,))
            yield f"{where}: '{value}' is no column, so it stands for itself; {did_you_mean(value, columns)}"
    if config.output_type == "multiple_choice" and config.process_results is None and not rows[0].inputs:
        code = TaskCode(folder=entry.document.path.parent, trusted=True, task=entry.spec.task)
        renderer = RowRenderer(config=config, code=code, columns=columns)
        chosen = [(example, renderer.choices(example.row)) for example in rows[:LOOKED_AT]]
        outside = [example.id for example, choices in chosen if not _is_choice(example.gold, choices)]
        if outside:
            first = int(outside[0]) + 1
            yield f"the right answer of {len(outside)} of {len(chosen)} rows is none of their choices, row {first} for one"


def _is_choice(gold: Any, choices: Sequence[str]) -> bool:
    """Whether a right answer is among the choices: by number or text, each of several."""
    several = gold if isinstance(gold, list) else [gold]
    return all(
        one in choices if isinstance(one, str) else isinstance(one, int | float) and 0 <= one < len(choices) for one in several
    )


def _rows(spec: TaskSpec, split: Any, catalog: Catalog, place: DataPlace) -> Sequence[Any]:
    folder = catalog.folder("task", spec.task)
    return load_examples(spec, split=split, langs=list(spec.languages), place=place, task_folder=folder).examples


def mistakes_in_rows(
    entry: Entry[TaskSpec], *, catalog: Catalog, place: DataPlace, say: Callable[[str], None]
) -> list[UserError]:
    """What the rows that are here do not give; doubts are said."""
    errors: list[UserError] = []
    with collecting(errors):
        for line in first_prompts(entry, catalog=catalog, place=place):
            if line.warning:
                say(f"warning: {entry.spec.task}: {line.warning}")
    return [error.within(entry.document.where(())) for error in errors]
