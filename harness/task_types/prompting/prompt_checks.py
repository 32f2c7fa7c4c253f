"""Checks of a task's templates: those of its fields, and its prompt against its task type, labels, fields and the language table.

for mistake in prompt_mistakes(spec, example=TASK_TYPES.load(spec.type).Example): mistake.path, mistake.message
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from harness.api.errors import UserError, did_you_mean
from harness.data.field_mapping import ITEM, check_fields, names_in
from harness.data.languages import languages, near_languages
from harness.data.templates.compiled import braces_doubt, single_braces
from harness.specs.prompt import PerItem, PromptSpec, Words
from harness.specs.task import TaskSpec, Template
from harness.task_types.prompting.templates import EXTRA, HIDDEN

FORMS: Mapping[str, tuple[str, ...]] = {"generation": ("text",), "span_qa": ("text",), "tagging": ("entities", "word_tags")}
"Task types whose answers are generated -> the forms that these may have."
CHOSEN = ("classification", "multiple_choice")


class Mistake(NamedTuple):
    """One mistake of a prompt."""

    path: tuple[Any, ...]
    "Key path below the task."
    message: str
    expected: str = ""
    found: str = ""
    todo: str = ""


def prompt_mistakes(spec: TaskSpec, *, example: type) -> Iterator[Mistake]:
    """Every mistake of the prompt of a task whose type has examples of this class; none where the task has no prompt."""
    prompt = spec.prompt
    if prompt is None:
        return
    if spec.type not in (*CHOSEN, *FORMS):
        yield Mistake(("prompt",), f"task type '{spec.type}' is not asked in words", expected=", ".join((*CHOSEN, *FORMS)))
        return
    yield from _way_to_answer(spec, prompt)
    names = sorted({field.name for field in dataclasses.fields(example)} - {*HIDDEN} | {*EXTRA})
    yield from _templates(("prompt",), prompt, spec.labels, names)
    for lang, words in prompt.languages.items():
        if lang not in languages():
            yield Mistake(("prompt", "languages", lang), f"unknown language '{lang}'", todo=near_languages(lang))
        yield from _templates(("prompt", "languages", lang), words, spec.labels, names)
    if prompt.chat:
        yield from _templates(("prompt", "chat"), prompt.chat, spec.labels, names)
    for path, other in (*((("languages", lang), words) for lang, words in prompt.languages.items()), (("chat",), prompt.chat)):
        if other and other.continuations is not None and prompt.continuations is None:
            yield Mistake(("prompt", *path, "continuations"), "this task generates its answers", todo="leave it out")


def field_mistakes(spec: TaskSpec) -> Iterator[Mistake]:
    """Templates of a task's fields that do not parse, or fail whatever the row is."""
    for name, value in spec.fields.items():
        try:
            check_fields(value, name)
        except UserError as error:
            yield Mistake(("fields", name), error.message, found=error.found, todo=error.todo)


def _way_to_answer(spec: TaskSpec, prompt: PromptSpec) -> Iterator[Mistake]:
    """Continuations or generation, as the task type has it."""
    if spec.type in CHOSEN and prompt.generate:
        yield Mistake(("prompt", "generate"), f"task type '{spec.type}' chooses among continuations", expected="continuations")
    if spec.type in FORMS and prompt.continuations is not None:
        yield Mistake(("prompt", "continuations"), f"task type '{spec.type}' generates its answers", expected="generate")
    forms = FORMS.get(spec.type, ())
    if prompt.generate and forms and prompt.generate.form not in forms:
        yield Mistake(("prompt", "generate", "form"), "no form for this task type", " or ".join(forms), prompt.generate.form)


def prompt_doubts(spec: TaskSpec, *, example: type) -> list[str]:
    """Fields that the prompt of a task has in single braces, with the key of the file first."""
    if spec.prompt is None:
        return []
    names = {field.name for field in dataclasses.fields(example)} - {*HIDDEN} | {*EXTRA}
    own: list[tuple[str, PromptSpec | Words]] = [("prompt", spec.prompt)]
    own += [(f"prompt.languages.{lang}", words) for lang, words in spec.prompt.languages.items()]
    own += [("prompt.chat", spec.prompt.chat)] if spec.prompt.chat else []
    doubts = []
    for where, words in own:
        given = words.continuations
        texts = [given.template] if isinstance(given, PerItem) else [*(given or {}).values()]
        found = [name for text in (words.instruction, words.context, *texts) for name in single_braces(text or "", names)]
        if found:
            doubts.append(f"{where}: {braces_doubt(list(dict.fromkeys(found)))}")
    return doubts


def _templates(
    path: tuple[Any, ...], words: PromptSpec | Words, labels: Sequence[str], names: Sequence[str]
) -> Iterator[Mistake]:
    """Templates that do not parse or take what an example does not have, and continuations that do not fit the labels."""
    found: list[tuple[tuple[Any, ...], str | None, tuple[str, ...]]] = [
        ((*path, "instruction"), words.instruction, ()),
        ((*path, "context"), words.context, ()),
    ]
    given = words.continuations
    if isinstance(given, PerItem):
        found.append(((*path, "continuations", "template"), given.template, (ITEM,)))
        if given.each not in names:
            yield _unknown((*path, "continuations", "each"), given.each, names)
    elif given is not None:
        found += [((*path, "continuations", label), text, ()) for label, text in given.items()]
        for same, alike in _alike(given).items():
            has = f"{' and '.join(alike)}: {same!r}"
            yield Mistake((*path, "continuations"), "two labels have the same continuation", "one for each label", has)
        if set(given) != set(labels):
            yield Mistake((*path, "continuations"), "not one for each label", ", ".join(labels), ", ".join(given))
    for where, text, more in found:
        try:
            taken = names_in(text or "", ".".join(map(str, where)))
            if text and not taken:
                check_fields(Template(template=text), ".".join(map(str, where)))
        except UserError as error:
            yield Mistake(where, error.message, found=error.found, todo=error.todo)
            continue
        for name in sorted(taken - {*names, *more}):
            yield _unknown(where, name, [*names, *more])


def _alike(given: Mapping[str, str]) -> dict[str, list[str]]:
    """Texts that several labels have, with these labels."""
    labels = {text: [label for label, own in given.items() if own == text] for text in given.values()}
    return {text: alike for text, alike in labels.items() if len(alike) > 1}


def _unknown(where: tuple[Any, ...], name: str, names: Sequence[str]) -> Mistake:
    return Mistake(where, f"a prompt has no field '{name}'", expected=", ".join(names), todo=did_you_mean(name, names))
