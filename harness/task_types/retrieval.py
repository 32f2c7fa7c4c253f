"""For each English sentence the nearest foreign sentence (Tatoeba).

    features = retrieval.encode(examples, task=task, tokenizer=tokenizer, options=retrieval.Options(), train=False)
    # part 0 = source (foreign, searched), part 1 = target (English, asks)

XTREME's direction: the foreign sentences are the index, the English ones the queries, nearest by cosine.  The prediction is the
id of the foreign sentence found, which XTREME's files give as its line number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from harness.api.placing import placed
from harness.api.protocols import Batch, Feature, Output, Prediction
from harness.api.randomness import generator
from harness.specs.task import TaskSpec
from harness.task_types._row_fields import by_example, example_id, num_truncated, text_field
from harness.task_types.showing.answers import NOTHING, ShownAnswer
from harness.task_types.tokens.sequences import fit_pairs
from harness.task_types.vectors.nearest_neighbours import top_k
from harness.task_types.vectors.pooling import VectorOptions
from harness.task_types.vectors.pooling import pools as pools

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

HUB_TASK = "sentence-similarity"
ROUTES = ("embedding",)
NEEDS = ("embed",)
WHOLE_BATCH_LOSS = True
EXAMPLES_ARE_ITEMS = True
WHOLE_POOL = True
DECODES_TOGETHER = True
FIELDS = {
    "source": "the foreign sentence, which is searched",
    "target": "its English translation, which asks",
    "id?": "identifier of the pair",
}
SAMPLES = (
    {"id": "first", "source": "Das ist neu.", "target": "That is new."},
    {"source": "", "target": "An empty one."},
    {"source": "\u0645\u0631\u062d\u0628\u0627 \U0001f469\u200d\U0001f467", "target": "\u200b"},
    {"source": "lang und l\u00e4nger " * 400, "target": "long and longer " * 400},
)
ORACLE_SIZE = 64


class Options(VectorOptions):
    """Options of retrieval."""

    temperature: float = Field(default=0.05, gt=0, allow_inf_nan=False)
    "Divides the cosines in the training loss."


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A sentence pair."""

    id: str
    lang: str
    source: str
    target: str
    query: bool = True
    "False for pairs that are only searched: `--limit` takes queries away, never the sentences among which they search."

    @property
    def gold(self) -> str:
        """The id of the foreign sentence that is to be found."""
        return self.id


def build(row: Mapping[str, Any], *, task: TaskSpec, lang: str, row_id: str) -> Example | None:
    """Make an Example; raises UserError for values that do not fit.  Newlines around sentences are no part of them."""
    return Example(
        id=example_id(row, row_id),
        lang=lang,
        source=text_field(row, "source").strip(),
        target=text_field(row, "target").strip(),
    )


def encode(
    examples: Sequence[Example], *, task: TaskSpec, tokenizer: PreTrainedTokenizerFast, options: Options, train: bool
) -> list[Feature]:
    """Part 0 = source, part 1 = target; no part 1 for an example that is no query, except in training."""
    sides = [
        (index, part, options.prefix + text)
        for index, example in enumerate(examples)
        for part, text in enumerate((example.source, example.target))
        if part == 0 or example.query or train
    ]
    side_texts = [text for _, _, text in sides]
    fitted = fit_pairs(side_texts, [None] * len(sides), tokenizer=tokenizer, max_length=options.max_length)
    return [
        Feature(
            example=index,
            part=part,
            input_ids=one.sequence.input_ids,
            type_ids=one.sequence.type_ids,
            num_truncated=one.num_truncated,
        )
        for (index, part, _), one in zip(sides, fitted)
    ]


def loss(outputs: torch.Tensor, batch: Batch, options: Options) -> torch.Tensor:
    """Translation ranking over vectors [2B, D]: each sentence picks its translation among all of the batch, summed over pairs.

    Mean of both directions of the cross-entropy over cosine / temperature.
    """
    import torch
    from torch.nn.functional import cross_entropy, normalize

    places = {(feature.example, feature.part): place for place, feature in enumerate(batch.features)}
    pairs = sorted({feature.example for feature in batch.features})
    unit = normalize(outputs.float(), dim=-1)
    source, target = (
        unit.index_select(0, placed(np.array([places[pair, side] for pair in pairs]), unit.device)) for side in (0, 1)
    )
    scores = target @ source.T / options.temperature
    own = torch.arange(len(pairs), device=scores.device)
    return (cross_entropy(scores, own, reduction="sum") + cross_entropy(scores.T, own, reduction="sum")) / 2


def num_targets(features: Sequence[Feature]) -> int:
    """Sentence pairs."""
    return sum(feature.part == 1 for feature in features)


def reduce(feature: Feature, output: Output, *, task: TaskSpec, options: Options) -> np.ndarray:
    """The vector, fp32 [D]."""
    return np.asarray(output, dtype=np.float32)


def decode(
    examples: Sequence[Example], features: Sequence[Feature], partials: Sequence[np.ndarray], *, task: TaskSpec, options: Options
) -> list[Prediction]:
    """For each query the id of the nearest source among all examples; examples that are no queries give no prediction."""
    parts = by_example(features, partials, len(examples))
    asking = [index for index, example in enumerate(examples) if example.query]
    if not asking:
        return []
    sources = np.stack([own[0].partial for own in parts])
    targets = np.stack([parts[index][1].partial for index in asking])
    nearest = top_k(targets, sources, k=1).indices[:, 0]
    return [
        Prediction(
            id=examples[index].id,
            lang=examples[index].lang,
            prediction=examples[int(found)].id,
            gold=examples[index].gold,
            num_truncated=num_truncated(parts[index]),
        )
        for index, found in zip(asking, nearest)
    ]


def oracle(feature: Feature, example: Example, *, task: TaskSpec, options: Options) -> Output:
    """A direction [64] of the pair's own, drawn from its id, the same for both sides."""
    return generator("direction", example.id, seed=0).standard_normal(ORACLE_SIZE, dtype=np.float32)


def english_from(example: Example) -> int:
    """The target is English."""
    return 1


def texts(example: Example) -> tuple[str, ...]:
    """Both sentences."""
    return (example.source, example.target)


def shown(lines: Sequence[Mapping[str, Any]], examples: Sequence[Example], *, task: TaskSpec) -> list[ShownAnswer | None]:
    """The English sentence that asks, its translation, and the sentence that was found in its place."""
    by_id = {example.id: example for example in examples}

    def found(id_: str | None) -> tuple[str]:
        return (f"{id_}: {by_id[id_].source}" if id_ in by_id else NOTHING,)

    return [
        ShownAnswer({"target": by_id[line["id"]].target}, found(line["gold"]), found(line["prediction"]))
        if line["id"] in by_id
        else None
        for line in lines
    ]
