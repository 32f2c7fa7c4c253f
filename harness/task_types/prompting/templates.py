"""The words of one task in one language: contexts, continuations and the answers of solved examples.

    wording = wording_of(task, prompt_args=PromptArgs(), lang="de")
    wording.parts(example).context, wording.continuations(example), wording.answer(example)

Templates see the fields of the task type without the gold ones, and `language`, the English name of the example's language.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from harness.data.field_mapping import compile_fields, names_in
from harness.data.languages import language
from harness.specs.prompt import Continuations, Generate, PerItem, PromptArgs, Words
from harness.specs.task import FieldSource, TaskSpec, Template
from harness.task_types.prompting.tag_text import entities_text, word_tags_text

HIDDEN = ("gold", "answer_starts")
"Fields of an example that a template must not see: the right answer."
EXTRA = ("language",)
"Names that a template can use beside the fields of the example."


class Parts(NamedTuple):
    """The rendered parts of a prompt for one example."""

    instruction: str
    context: str
    continuations: list[str]
    "Without the delimiter; empty where the answer is generated."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wording:
    """The words of a task for the examples of one language."""

    labels: tuple[str, ...]
    delimiter: str
    shot_delimiter: str
    generate: Generate | None
    render: Callable[[Mapping[str, Any]], Parts]
    fixed: tuple[int, ...] = ()
    "Numbers of the labels whose continuation is the same for every example."

    def parts(self, example: Any) -> Parts:
        """The prompt of an example, in pieces."""
        return self.render(visible(example))

    def continuations(self, example: Any) -> list[str]:
        """The answers among which the likeliest is taken, in the order of the labels."""
        return self.parts(example).continuations

    def answer(self, example: Any) -> str | None:
        """The right answer in words, without the delimiter; None where the example has no gold."""
        if example.gold is None:
            return None
        if self.generate is None:
            return self.continuations(example)[self.labels.index(example.gold)]
        if self.generate.form == "entities":
            return entities_text(example.tokens, example.gold, nothing=self.generate.nothing)
        if self.generate.form == "word_tags":
            return word_tags_text(example.tokens, example.gold)
        return example.gold[0] or self.generate.nothing


def visible(example: Any) -> dict[str, Any]:
    """The fields of an example that templates may use."""
    fields = {field.name: getattr(example, field.name) for field in dataclasses.fields(example)}
    return {**{name: value for name, value in fields.items() if name not in HIDDEN}, "language": language(example.lang).name}


def wording_of(task: TaskSpec, *, prompt_args: PromptArgs, lang: str) -> Wording:
    """The words in which a run asks the examples of a language; raises UserError for templates that do not parse.

    Those of the language and of the chat template are laid over those of the task, which must have a prompt.
    """
    prompt = task.prompt
    assert prompt is not None, f"{task.task} has no prompt"
    words: dict[str, Any] = {name: getattr(prompt, name) for name in Words.model_fields}
    localised = prompt.languages.get(lang) if prompt_args.wording == "localised" else None
    for other in filter(None, (localised, prompt.chat if prompt_args.chat_template else None)):
        words |= {name: value for name in Words.model_fields if (value := getattr(other, name)) is not None}
    templates: dict[str, FieldSource] = {name: Template(template=words[name]) for name in ("instruction", "context")}
    mapped = compile_fields({**templates, **_continuations(words["continuations"], task.labels)})

    def render(values: Mapping[str, Any]) -> Parts:
        instruction, context, *rest = mapped(values).values()
        return Parts(instruction, context, rest[0] if rest and isinstance(rest[0], list) else rest)

    return Wording(
        labels=task.labels,
        delimiter=words["delimiter"],
        shot_delimiter=prompt.shot_delimiter,
        generate=prompt.generate,
        render=render,
        fixed=_fixed(words["continuations"], task.labels),
    )


def _fixed(found: Continuations | None, labels: tuple[str, ...]) -> tuple[int, ...]:
    """Numbers of the labels whose continuation takes nothing of an example."""
    if found is None or isinstance(found, PerItem):
        return ()
    return tuple(number for number, label in enumerate(labels) if not names_in(found[label], label))


def _continuations(found: Continuations | None, labels: tuple[str, ...]) -> dict[str, FieldSource]:
    """The continuations as fields: one for all items, or one for each label in the order of the labels."""
    if found is None:
        return {}
    if isinstance(found, PerItem):
        return {"continuations": Template(template=found.template, each=found.each)}
    return {f"continuations.{label}": Template(template=found[label]) for label in labels}
