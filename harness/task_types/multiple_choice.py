"""One of several options: each is encoded by itself after the prompt and gets one score (HellaSwag, Cosmos QA, CommonsenseQA).

    features = multiple_choice.encode(examples, task=task, tokenizer=tokenizer, options=multiple_choice.Options(), train=False)
    # part 0, 1, ... = the options of an example in their order

As in jiant's multiple_choice.py: `<s> prompt </s></s> option </s>` for XLM-R (other tokenizers lay out pairs as they do), the
longer of the two texts loses its beginning, a scalar head, and a softmax over the options of an example.  The task's `labels` are
the names of the options in their order; an example may have fewer options than there are labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from harness.api.errors import UserError
from harness.api.placing import placed
from harness.api.protocols import Batch, Feature, HeadSpec, Output, Prediction
from harness.data.label_names import label_name
from harness.specs.model import Spec
from harness.specs.task import TaskSpec
from harness.task_types._label_scores import log_probabilities
from harness.task_types._row_fields import by_example, example_id, list_field, num_truncated, text_field
from harness.task_types.showing.answers import NOTHING, ShownAnswer
from harness.task_types.tokens.sequences import fit_pairs

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

HUB_TASK = "multiple-choice"
ROUTES = ("head", "prompt")
NEEDS = ("forward_head",)
EXAMPLES_ARE_ITEMS = True
ONE_PASS_PER_EXAMPLE = True
FIELDS = {
    "prompt": "what all options follow: a question, a context, a beginning",
    "options": "the options: a list column, a list of columns, or a template for each item of a list column",
    "label": "the right option: its label, or a raw value that the task's label_values name",
    "id?": "identifier of the row",
}
SAMPLES = (
    {"id": "four", "prompt": "A man sits on a roof.", "options": ["He sings.", "He eats it.", "It sits.", "No."], "label": "B"},
    {"prompt": "", "options": ["", "the empty one is wrong"], "label": "B"},
    {"prompt": "Twice the same?", "options": ["yes", "yes", "yes"], "label": "A"},
    {
        "prompt": "\u0623\u064a\u0646 \u0627\u0644\u0643\u062a\u0627\u0628\u061f",
        "options": ["\u0647\u0646\u0627", "\u200b\u200f"],
        "label": "A",
    },
    {"prompt": "only one \U0001f469\u200d\U0001f469\u200d\U0001f467", "options": ["this"], "label": "A"},
    {"prompt": "very long " * 400, "options": ["short", "and longer " * 500, "x"], "label": "C"},
)


class Options(Spec):
    """Options of multiple_choice."""

    max_length: int = Field(default=256, ge=1)
    "Longest input in tokens, special tokens included; the longer of prompt and option loses its beginning."


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A prompt with its options."""

    id: str
    lang: str
    prompt: str
    options: tuple[str, ...]
    gold: str | None
    "Label of the right option."


def head(task: TaskSpec, options: Options) -> HeadSpec:
    """A scalar head: one logit for each option."""
    return HeadSpec(kind="choice", num_outputs=1)


def build(row: Mapping[str, Any], *, task: TaskSpec, lang: str, row_id: str) -> Example | None:
    """Make an Example; None for labels that the task drops; raises UserError for values that do not fit."""
    label = None if row.get("label") is None else label_name(row["label"], task)
    if label is None and row.get("label") is not None:
        return None
    options = tuple(list_field(row, "options", str))
    if not 1 <= len(options) <= len(task.labels):
        expected = f"1 to {len(task.labels)}, for the task's labels name them in their order"
        raise UserError("field 'options' does not fit the task's labels", expected=expected, found=f"{len(options)} options")
    if label is not None and task.labels.index(label) >= len(options):
        last = task.labels[len(options) - 1]
        raise UserError(f"there is no option '{label}'", expected=f"{task.labels[0]} to {last}", found=f"{len(options)} options")
    return Example(id=example_id(row, row_id), lang=lang, prompt=text_field(row, "prompt"), options=options, gold=label)


def encode(
    examples: Sequence[Example], *, task: TaskSpec, tokenizer: PreTrainedTokenizerFast, options: Options, train: bool
) -> list[Feature]:
    """One feature per option; the label of each is the place of the right one, its info the number of options."""
    places = [(index, part) for index, example in enumerate(examples) for part in range(len(example.options))]
    fitted = fit_pairs(
        [examples[index].prompt for index, _ in places],
        [examples[index].options[part] for index, part in places],
        tokenizer=tokenizer,
        max_length=options.max_length,
        from_start=True,
    )
    golds = [None if example.gold is None else task.labels.index(example.gold) for example in examples]
    return [
        Feature(
            example=index,
            part=part,
            input_ids=one.sequence.input_ids,
            type_ids=one.sequence.type_ids,
            labels=golds[index],
            info=len(examples[index].options),
            num_truncated=one.num_truncated,
        )
        for (index, part), one in zip(places, fitted)
    ]


def loss(outputs: torch.Tensor, batch: Batch, options: Options) -> torch.Tensor:
    """Cross-entropy of logits [B] over the options of each example, summed; examples without a label add nothing."""
    import torch
    from torch.nn.functional import cross_entropy

    assert batch.labels is not None
    counts = Counter(feature.example for feature in batch.features)
    assert all(counts[feature.example] == feature.info for feature in batch.features), "an example's options were taken apart"
    columns = placed(np.array([feature.part for feature in batch.features]), outputs.device)
    # One row an example; where it has fewer options than another, nothing is no option: probability 0.
    table = outputs.new_full((len(counts), max(counts.values())), -torch.inf, dtype=torch.float32)
    table = table.index_put((batch.groups, columns), outputs.float())
    golds = batch.labels.new_empty(len(counts)).index_put((batch.groups,), batch.labels)
    return cross_entropy(table, golds, reduction="sum")


def num_targets(features: Sequence[Feature]) -> int:
    """Labelled examples."""
    return sum(feature.part == 0 and feature.labels is not None for feature in features)


def reduce(feature: Feature, output: Output, *, task: TaskSpec, options: Options) -> float:
    """The logit of the option."""
    return float(output)


def decode(
    examples: Sequence[Example], features: Sequence[Feature], partials: Sequence[float], *, task: TaskSpec, options: Options
) -> list[Prediction]:
    """The label of the option with the largest logit, the first among equals."""
    predictions = []
    for example, parts in zip(examples, by_example(features, partials, len(examples))):
        logits = [part.partial for part in parts]
        predictions.append(
            Prediction(
                id=example.id,
                lang=example.lang,
                prediction=task.labels[int(np.argmax(logits))],
                gold=example.gold,
                num_truncated=num_truncated(parts),
                scores=log_probabilities(logits),
            )
        )
    return predictions


def oracle(feature: Feature, example: Example, *, task: TaskSpec, options: Options) -> Output:
    """A logit [] of 1 for the right option, 0 for the others."""
    return np.array(task.labels[feature.part] == example.gold, dtype=np.float32)


def texts(example: Example) -> tuple[str, ...]:
    """The prompt and the options, sorted: in another order they are the same item."""
    return (example.prompt, *sorted(example.options))


def shown(lines: Sequence[Mapping[str, Any]], examples: Sequence[Example], *, task: TaskSpec) -> list[ShownAnswer | None]:
    """The prompt and each option with its label; gold and prediction with the text of their option."""
    by_id = {example.id: example for example in examples}

    def one(line: Mapping[str, Any]) -> ShownAnswer | None:
        example = by_id.get(line["id"])
        if example is None:
            return None
        options = {label: f"{label}. {text}" for label, text in zip(task.labels, example.options)}
        gold, said = ((options.get(label, NOTHING),) for label in (line["gold"], line["prediction"]))
        return ShownAnswer({"prompt": example.prompt, "options": "\n".join(options.values())}, gold, said)

    return [one(line) for line in lines]
