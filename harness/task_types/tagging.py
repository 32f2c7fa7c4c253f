"""One tag for every word of a sentence (UDPOS, PAN-X, CCG).

    features = tagging.encode(examples, task=task, tokenizer=tokenizer, options=tagging.Options(), train=False)
    # long sentences give several features (pieces); `decode` glues their tags together: every word has a tag

Alignment as in XTREME's utils_preprocess.py and utils_tag.py: words are tokenized one by one, the tag sits on one subword of
each word, a sentence too long for the model is split between words into consecutive pieces and nothing is cut away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from harness.api.errors import UserError
from harness.api.protocols import Batch, Feature, HeadSpec, Output, Prediction
from harness.data.label_names import label_names
from harness.specs.model import Spec
from harness.specs.task import TaskSpec
from harness.task_types._row_fields import by_example, example_id, list_field, num_truncated
from harness.task_types.showing.answers import NOTHING, ShownAnswer, numbered_differences
from harness.task_types.tokens.sequences import Frame, room, special_frame, stand_in, token_ids
from harness.task_types.tokens.token_loss import IGNORED, token_loss

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

HUB_TASK = "token-classification"
ROUTES = ("head", "prompt")
NEEDS = ("forward_head",)
FIELDS = {
    "tokens": "the words of the sentence, a list",
    "tags": "a tag per word, a list: names, or raw values that the task's label_values name",
    "id?": "identifier of the row",
}
UNSEEN = "tag_not_in_training"
"The sentence has a tag that no training row has: it is never predicted and counts as wrong."
SAMPLES: Sequence[Mapping[str, Any]] = (
    {"id": "plain", "tokens": ["Anna", "sees", "Kazan", "."], "tags": ["PROPN", "VERB", "PROPN", "PUNCT"]},
    {"tokens": [], "tags": []},
    {"tokens": ["\u200d", "\U0001f469\u200d\U0001f467", "", " ", "\u200f"], "tags": ["X", "PUNCT", "X", "X", "X"]},
    {"tokens": ["\u05e9\u05dc\u05d5\u05dd", "\u0639\u0644\u06cc\u06a9\u0645"], "tags": ["PROPN", "VERB"]},
    {"tokens": ["word", "\u4e2d\u6587", "x"] * 300, "tags": ["VERB", "PROPN", "X"] * 300},
    {"tokens": ["a", "b" * 3000, "c", "q?!" * 900], "tags": ["X", "PROPN", "VERB", "PUNCT"]},
)


class Options(Spec):
    """Options of tagging."""

    max_length: int = Field(default=128, ge=1)
    "Longest piece in tokens, special tokens included; longer sentences are split between words."
    label_subword: Literal["first", "last"] = "first"
    "Subword that carries a word's tag; `last` lets a causal model read the whole word first."


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A sentence of words with their tags."""

    id: str
    lang: str
    tokens: tuple[str, ...]
    gold: list[str] | None
    "Tag names, one per word."


class Word(NamedTuple):
    """A word's subwords."""

    ids: list[int]
    num_lost: int
    "Subwords given up because the word alone is longer than a piece."


def head(task: TaskSpec, options: Options) -> HeadSpec:
    """A token head with one logit per tag."""
    return HeadSpec(kind="token", num_outputs=len(task.labels))


def build(row: Mapping[str, Any], *, task: TaskSpec, lang: str, row_id: str) -> Example | None:
    """Make an Example; None for a sentence with a tag that the task drops; raises UserError for values that do not fit."""
    tokens = list_field(row, "tokens", str)
    tags = None
    if row.get("tags") is not None:
        tags = label_names(list_field(row, "tags", object), task)
        if tags is None:
            return None
        if len(tags) != len(tokens):
            raise UserError("tokens and tags differ in number", expected=f"{len(tokens)} tags", found=f"{len(tags)} tags")
    return Example(id=example_id(row, row_id), lang=lang, tokens=tuple(tokens), gold=tags)


def encode(
    examples: Sequence[Example], *, task: TaskSpec, tokenizer: PreTrainedTokenizerFast, options: Options, train: bool
) -> list[Feature]:
    """One feature per piece of each sentence; info holds the position of each word's tagged subword."""
    frame = special_frame(tokenizer, pair=False)
    most = _room_of_pieces(options.max_length, frame, tokenizer)
    classes = {name: index for index, name in enumerate(task.labels)}
    features = []
    for index, (example, words) in enumerate(zip(examples, _subwords(examples, tokenizer=tokenizer, most=most))):
        for part, (begin, end) in enumerate(_pieces([len(word.ids) for word in words], most)):
            ids: list[int] = []
            positions = []
            for word in words[begin:end]:
                carrier = 0 if options.label_subword == "first" else len(word.ids) - 1
                positions.append(len(frame.before) + len(ids) + carrier)
                ids += word.ids
            sequence = frame.put(ids)
            labels = None
            if example.gold is not None:
                labels = [IGNORED] * len(sequence.input_ids)
                for position, tag in zip(positions, example.gold[begin:end]):
                    labels[position] = classes.get(tag, IGNORED) if task.labels_from else classes[tag]
            features.append(
                Feature(
                    example=index,
                    part=part,
                    input_ids=sequence.input_ids,
                    type_ids=sequence.type_ids,
                    labels=labels,
                    info=positions,
                    num_truncated=sum(word.num_lost for word in words[begin:end]),
                )
            )
    return features


def _room_of_pieces(max_length: int, frame: Frame, tokenizer: PreTrainedTokenizerFast) -> int:
    """Subwords that fit into a piece.

    XTREME counts 3 special tokens for XLM-R (it closes a sentence with two separators) and 2 for BERT: one fewer than a pair
    has.  The input itself has the tokenizer's own single-text form; only the pieces must be the same as XTREME's.
    """
    spare = max(0, special_frame(tokenizer, pair=True).num_special - 1 - frame.num_special)
    return room(max_length, frame, needed=1 + spare) - spare


def _pieces(lengths: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Word ranges [begin, end) of consecutive pieces of at most `most` subwords, filled greedily; one piece if no words."""
    pieces, begin, used = [], 0, 0
    for position, length in enumerate(lengths):
        if used + length > most:
            pieces.append((begin, position))
            begin, used = position, 0
        used += length
    return [*pieces, (begin, len(lengths))]


def _subwords(examples: Sequence[Example], *, tokenizer: PreTrainedTokenizerFast, most: int) -> list[list[Word]]:
    """The words of each example; one without subwords, or longer than a piece, becomes the unknown token (as in XTREME)."""
    space = _space_before_words(tokenizer)
    spelled = [[(space if position else "") + word for position, word in enumerate(example.tokens)] for example in examples]
    ids = iter(token_ids(tokenizer, [word for words in spelled for word in words]))
    unknown = stand_in(tokenizer)

    def fitted(subwords: list[int]) -> Word:
        if 0 < len(subwords) <= most:
            return Word(subwords, 0)
        if unknown is None:
            raise UserError("a word without subwords or too long for max_length, and the tokenizer has no unknown token")
        return Word([unknown], len(subwords))

    return [[fitted(next(ids)) for _ in words] for words in spelled]


def _space_before_words(tokenizer: PreTrainedTokenizerFast) -> str:
    """A space if words inside a text are only recognised behind one (byte-level BPE without a prefix space), else nothing.

    Tokenizers that mark word beginnings themselves (WordPiece, XLM-R's and T5's SentencePiece) must not get another space.
    """
    whole, first, bare, spaced = token_ids(tokenizer, ["a b", "a", "b", " b"])
    return " " if whole == first + spaced and whole != first + bare else ""


def loss(outputs: torch.Tensor, batch: Batch, options: Options) -> torch.Tensor:
    """Cross-entropy of logits [B, T, C], summed over the tagged subwords."""
    return token_loss(outputs, batch)


def num_targets(features: Sequence[Feature]) -> int:
    """Words with a tag that can be predicted."""
    return sum(label != IGNORED for feature in features if isinstance(feature.labels, list) for label in feature.labels)


def reduce(feature: Feature, output: Output, *, task: TaskSpec, options: Options) -> list[int]:
    """The best tag's index for each word of the piece."""
    best: list[int] = np.asarray(output).argmax(axis=-1).tolist()
    return [best[position] for position in feature.info]


def decode(
    examples: Sequence[Example], features: Sequence[Feature], partials: Sequence[list[int]], *, task: TaskSpec, options: Options
) -> list[Prediction]:
    """A list of tag names per sentence, exactly one per word."""
    predictions = []
    known = frozenset(task.labels)
    for example, parts in zip(examples, by_example(features, partials, len(examples))):
        tags = [task.labels[index] for part in parts for index in part.partial]
        assert len(tags) == len(example.tokens)
        predictions.append(
            Prediction(
                id=example.id,
                lang=example.lang,
                prediction=tags,
                gold=example.gold,
                num_truncated=num_truncated(parts),
                notes=() if known.issuperset(example.gold or ()) else (UNSEEN,),
            )
        )
    return predictions


def oracle(feature: Feature, example: Example, *, task: TaskSpec, options: Options) -> Output:
    """Logits [T, C] with 1 at the tag of each tagged subword."""
    length = max([len(feature.input_ids), *(position + 1 for position in feature.info)])
    output = np.zeros((length, len(task.labels)), dtype=np.float32)
    if isinstance(feature.labels, list):
        for position in feature.info:
            if feature.labels[position] != IGNORED:
                output[position, feature.labels[position]] = 1
    return output


def texts(example: Example) -> tuple[str, ...]:
    """The words, joined by spaces."""
    return (" ".join(example.tokens),)


def shown(lines: Sequence[Mapping[str, Any]], examples: Sequence[Example], *, task: TaskSpec) -> list[ShownAnswer | None]:
    """The sentence, and the words whose tags differ."""
    by_id = {example.id: example for example in examples}

    def one(line: Mapping[str, Any]) -> ShownAnswer | None:
        example = by_id.get(line["id"])
        if example is None:
            return None
        found = numbered_differences(example.tokens, line["gold"], line["prediction"])
        gold, said = ((" ".join(tags or [NOTHING]),) for tags in (line["gold"], line["prediction"]))
        return ShownAnswer({"tokens": " ".join(example.tokens)}, gold, said, found)

    return [one(line) for line in lines]
