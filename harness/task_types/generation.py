r"""Write a text: translate, summarise, answer in free words.  A model is asked by the task's prompt and fine-tunes no head.

    examples = [generation.build({"source": "Guten Tag.", "references": "Good day."}, task=task, lang="de", row_id="0")]
    generation.decode(examples, features, [" Good day.\n"], task=task, options=generation.Options())

What flows is text: the model's answer to a feature is a str, and so is what `reduce` keeps of it.  `harness.task_types.prompting`
makes the requests and the training rows of a task with a prompt, from the fields of its Examples; reading and scoring stay here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.api.errors import UserError
from harness.api.protocols import Feature, Prediction
from harness.data.languages import language
from harness.specs.model import Spec
from harness.specs.task import TaskSpec
from harness.task_types._row_fields import by_example, example_id, list_field, num_truncated, optional_text, text_field
from harness.task_types.tokens.sequences import special_frame, token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ROUTES = ("prompt",)
NEEDS = ("generate",)
FIELDS = {
    "source": "the text that the answer is about, or a list of texts (title and body)",
    "references": "what may be written, a text or a list of texts; the first is the one to learn",
    "source_lang?": "language code of the source where it is not that of the row",
    "target_lang?": "language code of the references where it is not that of the row",
    "id?": "identifier of the row",
}
SAMPLES = (
    {"id": "first", "source": "Das ist neu.", "references": "That is new.", "target_lang": "en"},
    {"source": ["A title", "and a body"], "references": ["Ein Titel", "Eine \u00dcberschrift"], "source_lang": "en"},
    {"source": "", "references": ["\u0645\u0631\u062d\u0628\u0627 \U0001f469\u200d\U0001f467", ""]},
    {"source": "lang und l\u00e4nger " * 400, "references": "lang"},
)


class Options(Spec):
    """Options of generation: none; lengths are those of the prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A text to be written about another."""

    id: str
    lang: str
    source: str | tuple[str, ...]
    source_lang: str
    target_lang: str
    source_language: str
    "English name, e.g. German: what prompts call it."
    target_language: str
    gold: list[str] | None
    "The references."

    def references(self) -> list[str] | dict[str, Any] | None:
        """Gold for the metrics: with its language where it is not that of the cell, since tokens go by language."""
        if self.gold is None or self.target_lang == self.lang:
            return self.gold
        return {"lang": self.target_lang, "texts": self.gold}


def build(row: Mapping[str, Any], *, task: TaskSpec, lang: str, row_id: str) -> Example | None:
    """Make an Example; raises UserError for values that do not fit."""
    source = row.get("source")
    source_lang, target_lang = (optional_text(row, name) or lang for name in ("source_lang", "target_lang"))
    return Example(
        id=example_id(row, row_id),
        lang=lang,
        source=tuple(list_field(row, "source", str)) if isinstance(source, list | tuple) else text_field(row, "source"),
        source_lang=source_lang,
        target_lang=target_lang,
        source_language=language(source_lang).name,
        target_language=language(target_lang).name,
        gold=_references(row),
    )


def _references(row: Mapping[str, Any]) -> list[str] | None:
    """One reference or several; None where the row has none."""
    value = row.get("references")
    return [value] if isinstance(value, str) else None if value is None else list_field(row, "references", str) or None


def encode(
    examples: Sequence[Example], *, task: TaskSpec, tokenizer: PreTrainedTokenizerFast, options: Options, train: bool
) -> list[Feature]:
    """One feature an example, its bare source, which fakes are asked; raises UserError for training, which needs a prompt."""
    if train and examples:
        raise UserError(f"task '{task.task}' cannot be trained on its bare source", expected="a prompt that says what to write")
    frame = special_frame(tokenizer, pair=False)
    sources = token_ids(tokenizer, ["\n".join(texts(example)) for example in examples])
    framed = [frame.put(source) for source in sources]
    return [Feature(example=index, input_ids=one.input_ids, type_ids=one.type_ids) for index, one in enumerate(framed)]


def reduce(feature: Feature, output: str, *, task: TaskSpec, options: Options) -> str:
    """The text as it was written."""
    return output


def decode(
    examples: Sequence[Example], features: Sequence[Feature], partials: Sequence[str], *, task: TaskSpec, options: Options
) -> list[Prediction]:
    """The texts without the white space around them; one without anything else is noted as `empty`."""
    predictions = []
    for example, parts in zip(examples, by_example(features, partials, len(examples)), strict=True):
        text = parts[0].partial.strip()
        predictions.append(
            Prediction(
                id=example.id,
                lang=example.lang,
                prediction=text,
                gold=example.references(),
                num_truncated=num_truncated(parts),
                notes=() if text else ("empty",),
            )
        )
    return predictions


def oracle(feature: Feature, example: Example, *, task: TaskSpec, options: Options) -> str:
    """The first reference; empty where there is none."""
    return example.gold[0] if example.gold else ""


def texts(example: Example) -> tuple[str, ...]:
    """The source."""
    return (example.source,) if isinstance(example.source, str) else example.source
