"""One label for a text or a pair of texts (XNLI, PAWS-X, MNLI, QQP, ANLI).

    example = classification.build(row, task=task, lang="de", row_id="0")
    features = classification.encode([example], task=task, tokenizer=tokenizer, options=classification.Options(), train=False)

Pairs are laid out as the tokenizer lays them out (`<s> a </s></s> b </s>` for XLM-R, as XTREME's run_classify does) and cut by
the longer text first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from harness.api.protocols import Batch, Feature, HeadSpec, Output, Prediction
from harness.data.label_names import label_name
from harness.specs.model import Spec
from harness.specs.task import TaskSpec
from harness.task_types._label_scores import log_probabilities_of
from harness.task_types._row_fields import by_example, example_id, num_truncated, optional_text, text_field
from harness.task_types.tokens.sequences import fit_pairs

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

HUB_TASK = "text-classification"
GOLD_IS_LABEL = True
ROUTES = ("head", "prompt")
NEEDS = ("forward_head",)
FIELDS = {
    "text": "the text, or the first of a pair",
    "text_pair?": "the second text of a pair",
    "label": "the label: a name, or a raw value that the task's label_values name",
    "id?": "identifier of the row",
}
SAMPLES = (
    {"id": "pair", "text": "All of it is new.", "text_pair": "Nothing is old.", "label": "entailment"},
    {"text": "", "text_pair": "", "label": "neutral"},
    {"text": "Ein Satz ohne Paar \U0001f469\u200d\U0001f469\u200d\U0001f467", "label": "contradiction"},
    {"text": "\u0627\u0644\u0643\u062a\u0627\u0628 \u062c\u062f\u064a\u062f", "text_pair": "\u200b\u200f", "label": "neutral"},
    {"text": "very long " * 400, "text_pair": "and longer " * 500, "label": "entailment"},
)


class Options(Spec):
    """Options of classification."""

    max_length: int = Field(default=128, ge=1)
    "Longest input in tokens, special tokens included; the longer text of a pair is cut first."


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A text or a pair with its label."""

    id: str
    lang: str
    text: str
    text_pair: str | None
    gold: str | None
    "Label name."


def head(task: TaskSpec, options: Options) -> HeadSpec:
    """A sequence head with one logit per label."""
    return HeadSpec(kind="sequence", num_outputs=len(task.labels))


def build(row: Mapping[str, Any], *, task: TaskSpec, lang: str, row_id: str) -> Example | None:
    """Make an Example; None for labels that the task drops; raises UserError for values that do not fit."""
    label = None if row.get("label") is None else label_name(row["label"], task)
    if label is None and row.get("label") is not None:
        return None
    return Example(
        id=example_id(row, row_id),
        lang=lang,
        text=text_field(row, "text"),
        text_pair=optional_text(row, "text_pair"),
        gold=label,
    )


def encode(
    examples: Sequence[Example], *, task: TaskSpec, tokenizer: PreTrainedTokenizerFast, options: Options, train: bool
) -> list[Feature]:
    """One feature per example; labels are class indices."""
    classes = {name: index for index, name in enumerate(task.labels)}
    fitted = fit_pairs(
        [example.text for example in examples],
        [example.text_pair for example in examples],
        tokenizer=tokenizer,
        max_length=options.max_length,
    )
    return [
        Feature(
            example=index,
            input_ids=one.sequence.input_ids,
            type_ids=one.sequence.type_ids,
            labels=None if example.gold is None else classes[example.gold],
            num_truncated=one.num_truncated,
        )
        for index, (example, one) in enumerate(zip(examples, fitted))
    ]


def loss(outputs: torch.Tensor, batch: Batch, options: Options) -> torch.Tensor:
    """Cross-entropy of logits [B, C], summed over the examples."""
    from torch.nn.functional import cross_entropy

    assert batch.labels is not None
    return cross_entropy(outputs.float(), batch.labels, reduction="sum")


def num_targets(features: Sequence[Feature]) -> int:
    """Labelled examples."""
    return sum(feature.labels is not None for feature in features)


def reduce(feature: Feature, output: Output, *, task: TaskSpec, options: Options) -> list[Any]:
    """The class of the largest logit, the lowest index among equals, and the log-probability of each class."""
    return reduce_batch([feature], [output], task=task, options=options)[0]


def reduce_batch(features: Sequence[Feature], outputs: Sequence[Output], *, task: TaskSpec, options: Options) -> list[list[Any]]:
    """The same of many at once."""
    logits = np.stack(outputs)
    return [list(pair) for pair in zip(logits.argmax(axis=1).tolist(), log_probabilities_of(logits), strict=True)]


def decode(
    examples: Sequence[Example],
    features: Sequence[Feature],
    partials: Sequence[Sequence[Any]],
    *,
    task: TaskSpec,
    options: Options,
) -> list[Prediction]:
    """A label name per example."""
    predictions = []
    for example, parts in zip(examples, by_example(features, partials, len(examples))):
        number, scores = parts[0].partial
        predictions.append(
            Prediction(
                id=example.id,
                lang=example.lang,
                prediction=task.labels[number],
                gold=example.gold,
                num_truncated=num_truncated(parts),
                scores=None if scores is None else tuple(scores),
            )
        )
    return predictions


def oracle(feature: Feature, example: Example, *, task: TaskSpec, options: Options) -> Output:
    """Logits [C] with 1 at the label."""
    output = np.zeros(len(task.labels), dtype=np.float32)
    if example.gold is not None:
        output[task.labels.index(example.gold)] = 1
    return output


def texts(example: Example) -> tuple[str, ...]:
    """The text, or both texts of the pair."""
    return (example.text,) if example.text_pair is None else (example.text, example.text_pair)
