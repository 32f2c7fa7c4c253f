"""Find the pairs of translations among the sentences of two collections, most of which have none (BUCC).

    features = bitext_mining.encode(examples, task=task, tokenizer=tokenizer, options=bitext_mining.Options(), train=False)
    # parts 0, 1, ... are the distinct sentences of the foreign collection, then those of the English one

An example is a whole pair of collections: `--limit` leaves it whole, since mining a part is an easier task.  The pairs are
`id TAB id`, as in XTREME's submissions.  Which pairs are believed depends on a threshold, which is chosen on a development
corpus where there is one (`with_calibration`); each prediction notes how: threshold_dev, threshold_split_half, threshold_oracle.

As in XTREME, a sentence whose text occurs twice in its collection takes part in the mining and is then dropped; a gold pair
with such a sentence is lost.  (jiant gives all sentences of one text the same partners instead.)

A prediction is a run of foreign sentences that ends with one that has gold, and its pairs: the runs are the same for every model,
their counts add up to those of the whole set of pairs, and their number is that of the sentences to be found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from harness.api.protocols import Feature, Output, Prediction
from harness.api.randomness import generator
from harness.specs.limit import Limit
from harness.specs.task import TaskSpec
from harness.task_types._row_fields import example_id
from harness.task_types.showing.answers import NOTHING, ShownAnswer
from harness.task_types.tokens.sequences import fit_pairs
from harness.task_types.vectors.corpora import Example as Example
from harness.task_types.vectors.corpora import distinct, gold_numbers, gold_pairs, same_corpus, sentences
from harness.task_types.vectors.margin import mining_memory
from harness.task_types.vectors.mined_pairs import SentenceRun, accept_pairs, candidates_of, no_dev_corpus, runs_of
from harness.task_types.vectors.pooling import VectorOptions
from harness.task_types.vectors.pooling import pools as pools

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

HUB_TASK = "sentence-similarity"
ROUTES = ("embedding",)
NEEDS = ("embed",)
CALIBRATES = True
DECODES_TOGETHER = True
TRAINS = False
FIELDS = {
    "sources": "the sentences of the foreign collection: texts, or pairs [id, text]",
    "targets": "the sentences of the English collection, likewise",
    "gold": "pairs [source, target] that translate each other: numbers of the sentences from 1, or their ids",
    "id?": "identifier of the pair of collections",
}
SAMPLES = (
    {
        "sources": [
            *(f"Satz Nummer {n}." for n in range(24)),
            "",
            "\u0645\u0631\u062d\u0628\u0627",
            "lang und l\u00e4nger " * 400,
        ],
        "targets": [*(f"Sentence number {n}." for n in range(30)), "\u200b", "Hello \U0001f469\u200d\U0001f467", "longer " * 800],
        "gold": [*([n, n + 2] for n in range(1, 13)), [26, 32], [27, 33]],
    },
)
ORACLE_SIZE = 64
TARGET_LANGUAGE = "en"
_BYTES_PER_SENTENCE = 900  # its texts and ids apart from their characters, its feature, and its place in the batches
_BYTES_PER_TOKEN = 8  # token numbers are shared
_BYTES_PER_CHARACTER = 4  # once as text and once in the table that was read
_CHUNK = 1000  # texts that the tokenizer holds at once: its results are large


class Options(VectorOptions):
    """Options of bitext_mining."""

    threshold: Literal["auto", "dev", "split_half", "oracle"] = "auto"
    """On what the threshold is chosen.  dev: the development corpus; split_half: the other half of the test corpus, by a hash of
    the foreign sentence; oracle: the test corpus itself, which is optimistic; auto: dev where there is a development corpus
    other than the test corpus, else split_half."""


def build(row: Mapping[str, Any], *, task: TaskSpec, lang: str, row_id: str) -> Example | None:
    """Make an Example; raises UserError for values that do not fit.

    Sentences without an id get one from their place, `de-000000001` or `en-000000001`, as those of the original files look.
    """
    source_ids, sources = sentences(row, "sources", lang)
    target_ids, targets = sentences(row, "targets", TARGET_LANGUAGE)
    return Example(
        id=example_id(row, row_id),
        lang=lang,
        sources=sources,
        source_ids=source_ids,
        targets=targets,
        target_ids=target_ids,
        gold=gold_pairs(row, source_ids, target_ids),
    )


def with_calibration(examples: Sequence[Example], calibration: Sequence[Example], *, options: Options) -> list[Example]:
    """The examples to encode: development corpora first where they choose the threshold, and remarks on why they do not.

    Raises UserError if the option `threshold` asks for a development corpus and there is none apart from the test corpus.
    """
    if options.threshold in ("split_half", "oracle"):
        return list(examples)
    own = [example for example in calibration if not any(same_corpus(example, other) for other in examples)]
    if own:
        return [*(replace(example, calibrates=True) for example in own), *examples]
    why = "dev_corpus_is_test_corpus" if calibration else "no_dev_corpus"
    if options.threshold == "dev":
        raise no_dev_corpus(why)
    return [replace(example, notes=(why,)) for example in examples]


def encode(
    examples: Sequence[Example], *, task: TaskSpec, tokenizer: PreTrainedTokenizerFast, options: Options, train: bool
) -> list[Feature]:
    """A feature per distinct sentence of each side; `info` is the number of its gold pair, which only the oracle looks at.

    Equal token numbers are one object, and so are equal type ids: a million sentences stay small.
    """
    features: list[Feature] = []
    shared: dict[Any, Any] = {}
    for index, example in enumerate(examples):
        texts = [*distinct(example.sources), *distinct(example.targets)]
        numbers = [*gold_numbers(example, 0), *gold_numbers(example, 1)]
        for start in range(0, len(texts), _CHUNK):
            chunk = [options.prefix + text for text in texts[start : start + _CHUNK]]
            fitted = fit_pairs(chunk, [None] * len(chunk), tokenizer=tokenizer, max_length=options.max_length)
            for part, one in enumerate(fitted, start=start):
                types = one.sequence.type_ids
                features.append(
                    Feature(
                        example=index,
                        part=part,
                        input_ids=[shared.setdefault(token, token) for token in one.sequence.input_ids],
                        type_ids=None if types is None else shared.setdefault(tuple(types), types),
                        info=numbers[part],
                        num_truncated=one.num_truncated,
                    )
                )
    return features


def memory(num_sources: int, num_targets: int, *, dimension: int, tokens: int = 64, characters: int = 200) -> dict[str, int]:
    """Bytes that a cell takes by what takes them, and their `total`, without the model; the vectors lie on disk.

    tokens, characters: of a sentence, on average.
    """
    parts = mining_memory(num_sources, num_targets, dimension=dimension)
    each = _BYTES_PER_SENTENCE + _BYTES_PER_TOKEN * tokens + _BYTES_PER_CHARACTER * characters
    parts["sentences"] = (num_sources + num_targets) * each
    total = parts.pop("total") + parts["sentences"]
    return {**parts, "total": total}


LARGEST_PAIR = (460_000, 555_503)
"Russian and English sentences of BUCC 2018, the largest of its pairs."


def plan_note(task: TaskSpec, *, dimension: int | None, limit: Limit | None) -> str:
    """What `plan` says beforehand: memory of the largest pair, and that no limit shortens a collection."""
    sources, targets = LARGEST_PAIR
    need = memory(sources, targets, dimension=dimension or 1024)["total"] / 1e9
    note = f"{task.task}: mining {sources:,} x {targets:,} sentences takes about {need:.1f} GB of memory, smaller pairs less"
    return note + ("; --limit does not shorten collections: fewer sentences would be an easier task" if limit else "")


def reduce(feature: Feature, output: Output, *, task: TaskSpec, options: Options) -> np.ndarray:
    """The vector, fp32 [D]."""
    return np.asarray(output, dtype=np.float32)


def decode(
    examples: Sequence[Example], features: Sequence[Feature], partials: Sequence[np.ndarray], *, task: TaskSpec, options: Options
) -> list[Prediction]:
    """The pairs believed, in runs of the foreign sentences of each example that is no development corpus.

    `features` come as `encode` gave them; `partials` may be one array [N, D], memory-mapped, of which little is read at once.
    """
    vectors = partials if isinstance(partials, np.ndarray) else np.stack(partials)
    starts = np.searchsorted(np.fromiter((feature.example for feature in features), dtype=np.int64), np.arange(len(examples) + 1))
    found = []
    for example, start, end in zip(examples, starts[:-1], starts[1:]):
        assert features[start].part == 0
        assert features[end - 1].part == end - start - 1
        found.append(candidates_of(example, vectors[start:end]))
    rule, accepted = accept_pairs(examples, found, rule=options.threshold)
    predictions = []
    asked = [number for number, example in enumerate(examples) if not example.calibrates]
    for number in asked:
        example, own = examples[number], found[number].only(accepted[number])
        truncated = [feature.num_truncated for feature in features[starts[number] : starts[number + 1]]]
        predictions += [_prediction(run, example, rule, alone=len(asked) == 1) for run in runs_of(example, own, truncated)]
    return predictions


def _prediction(run: SentenceRun, example: Example, rule: str, *, alone: bool) -> Prediction:
    """The line of a run; where there are several examples its id names the one it belongs to."""
    return Prediction(
        id=run.id if alone else f"{example.id}:{run.id}",
        lang=example.lang,
        prediction=run.pairs,
        gold=run.gold,
        num_truncated=run.num_truncated,
        notes=(f"threshold_{rule}", *example.notes),
    )


def oracle(feature: Feature, example: Example, *, task: TaskSpec, options: Options) -> Output:
    """A direction [64], the same for both sentences of a gold pair, and one of its own for a sentence without."""
    name = ("alone", feature.part) if feature.info is None else ("pair", feature.info)
    return generator("direction", example.id, *name, seed=0).standard_normal(ORACLE_SIZE, dtype=np.float32)


def english_from(example: Example) -> int:
    """The sentences of the second collection are English."""
    return len(distinct(example.sources))


def texts(example: Example) -> tuple[str, ...]:
    """All sentences of both sides."""
    return ("\n".join(example.sources), "\n".join(example.targets))


def shown(lines: Sequence[Mapping[str, Any]], examples: Sequence[Example], *, task: TaskSpec) -> list[ShownAnswer | None]:
    """The pairs of sentences that are gold and those that were believed, of the run of foreign sentences that a line is."""
    asked = [example for example in examples if not example.calibrates]
    texts_of = {id_: text for one in asked for id_, text in zip((*one.source_ids, *one.target_ids), (*one.sources, *one.targets))}

    def pairs(found: Sequence[str] | None) -> tuple[str, ...]:
        ends = [line.split("\t") for line in found or ()]
        return tuple(" = ".join(f"{id_}: {texts_of.get(id_, NOTHING)}" for id_ in both) for both in ends) or (NOTHING,)

    def one(line: Mapping[str, Any]) -> ShownAnswer | None:
        source = texts_of.get(str(line["id"]).rpartition(":")[2])
        gold, said = frozenset(line["gold"]), frozenset(line["prediction"] or ())
        parted = [("missed", gold - said), ("wrong", said - gold)]
        differences = tuple(f"{what}: {pair}" for what, some in parted for pair in pairs(sorted(some)) if some)
        fields = {} if source is None else {"last sentence": source}
        return ShownAnswer(fields, pairs(line["gold"]), pairs(line["prediction"]), differences)

    return [one(line) for line in lines]
