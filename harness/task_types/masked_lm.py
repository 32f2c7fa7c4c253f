"""Guess masked tokens: pretraining from scratch, and MLM as one more training task.

    features = masked_lm.encode(examples, task=task, tokenizer=tokenizer, options=masked_lm.Options(), train=True)
    masked = masked_lm.augment(features[0], rng=rng, tokenizer=tokenizer, options=masked_lm.Options())

Training masks anew each epoch (`augment`); prediction masks once, by the example's id.  A pair (e.g. a sentence and its
translation) is one input, so that either text helps to guess the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from harness.api.errors import UserError
from harness.api.protocols import Batch, Feature, HeadSpec, Output, Prediction
from harness.api.randomness import generator
from harness.specs.model import Spec
from harness.specs.task import TaskSpec
from harness.task_types._row_fields import by_example, example_id, num_truncated, optional_text, text_field
from harness.task_types.tokens.sequences import fit_pairs
from harness.task_types.tokens.token_loss import IGNORED, token_loss

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

HUB_TASK = "fill-mask"
ROUTES = ("head",)
NEEDS = ("forward_head",)
BOTH_DIRECTIONS = True
ROWS_HAVE_GOLD = False
FIELDS = {"text": "the text", "text_pair?": "a second text, put behind the first", "id?": "identifier of the row"}
MASKED_SHARE, RANDOM_SHARE = 0.8, 0.1
SAMPLES = (
    {"id": "plain", "text": "One plain sentence to guess."},
    {"text": ""},
    {"text": "\u0645\u0631\u062d\u0628\u0627 \U0001f469\u200d\U0001f467", "text_pair": "hello \u200b"},
    {"text": "far away " * 500, "text_pair": "weit weg " * 500},
)


class Options(Spec):
    """Options of masked_lm."""

    max_length: int = Field(default=128, ge=1)
    "Longest input in tokens, special tokens included; the longer text of a pair is cut first."
    mask_probability: float = Field(default=0.15, gt=0, le=1)
    "Share of tokens to guess; of these 80 % are masked, 10 % replaced by a random token, 10 % left (at least one is guessed)."


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A text or a pair."""

    id: str
    lang: str
    text: str
    text_pair: str | None
    gold: None = None
    "What was masked is known after tokenizing: see Feature.labels."


def head(task: TaskSpec, options: Options) -> HeadSpec:
    """A masked language modelling head; its size is the vocabulary's."""
    return HeadSpec(kind="mlm", num_outputs=0)


def build(row: Mapping[str, Any], *, task: TaskSpec, lang: str, row_id: str) -> Example | None:
    """Make an Example; raises UserError for values that do not fit."""
    pair = optional_text(row, "text_pair")
    return Example(id=example_id(row, row_id), lang=lang, text=text_field(row, "text"), text_pair=pair)


def encode(
    examples: Sequence[Example], *, task: TaskSpec, tokenizer: PreTrainedTokenizerFast, options: Options, train: bool
) -> list[Feature]:
    """One feature per example, masked unless `train`.

    Labels before masking are all tokens that may be masked; None if there are none.
    """
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    fitted = fit_pairs(
        [example.text for example in examples],
        [example.text_pair for example in examples],
        tokenizer=tokenizer,
        max_length=options.max_length,
    )
    features = []
    for index, (example, one) in enumerate(zip(examples, fitted)):
        ids = one.sequence.input_ids
        labels = [IGNORED] * len(ids)
        for begin, length in ((one.sequence.first_at, one.kept.first), (one.sequence.second_at, one.kept.second)):
            labels[begin : begin + length] = [IGNORED if token in special else token for token in ids[begin : begin + length]]
        feature = Feature(
            example=index,
            input_ids=ids,
            type_ids=one.sequence.type_ids,
            labels=labels if any(label != IGNORED for label in labels) else None,
            num_truncated=one.num_truncated,
        )
        if not train:
            rng = generator("mask", task.task, example.lang, example.id, seed=0)
            feature = augment(feature, rng=rng, tokenizer=tokenizer, options=options)
        features.append(feature)
    return features


def augment(feature: Feature, *, rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast, options: Options) -> Feature:
    """Choose some of the labelled tokens, keep the labels of these only, and mask (80 %), replace (10 %) or leave (10 %) them."""
    if tokenizer.mask_token_id is None:
        raise UserError("the tokenizer has no mask token", todo="masked_lm needs the tokenizer of an encoder")
    if not isinstance(feature.labels, list):
        return feature
    ids = list(feature.input_ids)
    labels = [IGNORED] * len(ids)
    places = [place for place, label in enumerate(feature.labels) if label != IGNORED]
    chosen = np.flatnonzero(rng.random(len(places)) < options.mask_probability)
    if not chosen.size:
        chosen = rng.integers(len(places), size=1)
    for place, fate in zip((places[number] for number in chosen), rng.random(len(chosen))):
        labels[place] = feature.labels[place]
        if fate < MASKED_SHARE:
            ids[place] = tokenizer.mask_token_id
        elif fate < MASKED_SHARE + RANDOM_SHARE:
            ids[place] = _random_token(rng, tokenizer, instead=ids[place])
    return dataclasses.replace(feature, input_ids=ids, labels=labels)


def _random_token(rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast, *, instead: int) -> int:
    """A token id of the vocabulary that is not special; `instead` itself where it holds nothing else.

    Tokens that were added to a tokenizer are left out: a model need not have vectors for them.
    """
    special = set(tokenizer.all_special_ids)
    if len({token for token in special if token < tokenizer.vocab_size}) >= tokenizer.vocab_size:
        return instead
    while (token := int(rng.integers(len(tokenizer)))) in special or token >= tokenizer.vocab_size:
        pass
    return token


def loss(outputs: torch.Tensor, batch: Batch, options: Options) -> torch.Tensor:
    """Cross-entropy summed over the tokens to guess; outputs [B, T, V], or [M, V] of the M labelled positions in their order."""
    return token_loss(outputs, batch)


def num_targets(features: Sequence[Feature]) -> int:
    """Tokens to guess."""
    return sum(len(_targets(feature)) for feature in features)


def _targets(feature: Feature) -> list[int]:
    """The original token ids at the places to guess."""
    return [label for label in feature.labels if label != IGNORED] if isinstance(feature.labels, list) else []


def reduce(feature: Feature, output: Output, *, task: TaskSpec, options: Options) -> list[int]:
    """The best token id for each place to guess."""
    output = np.asarray(output)
    return [int(token) for token in output.argmax(axis=-1)] if output.size else []


def decode(
    examples: Sequence[Example], features: Sequence[Feature], partials: Sequence[list[int]], *, task: TaskSpec, options: Options
) -> list[Prediction]:
    """Guessed and true token ids, as text, in the order of the places."""
    return [
        Prediction(
            id=example.id,
            lang=example.lang,
            prediction=[str(token) for token in parts[0].partial],
            gold=[str(token) for token in _targets(parts[0].feature)],
            num_truncated=num_truncated(parts),
        )
        for example, parts in zip(examples, by_example(features, partials, len(examples)))
    ]


def oracle(feature: Feature, example: Example, *, task: TaskSpec, options: Options) -> Output:
    """Logits [M, V] with 1 at the true tokens; V is just large enough for them."""
    targets = _targets(feature)
    output = np.zeros((len(targets), max(targets, default=0) + 1), dtype=np.float32)
    output[np.arange(len(targets)), targets] = 1
    return output


def texts(example: Example) -> tuple[str, ...]:
    """The text, or both texts of the pair."""
    return (example.text,) if example.text_pair is None else (example.text, example.text_pair)
