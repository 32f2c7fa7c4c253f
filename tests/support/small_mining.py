"""Mining small corpora through the task type: encode, reduce and decode with given vectors, and the score of what comes out.

made = corpus("halves", pairs=40, alone=60)
scores(decode([example_of(made)], made.vectors, "oracle"))
"""

import dataclasses
from pathlib import Path

import numpy as np
from small_corpora import Corpus

from harness.api.registry import METRICS
from harness.prediction.fakes import character_tokenizer
from harness.specs.task import TaskSpec
from harness.task_types import bitext_mining

FIELDS = {"sources": "sentence1", "targets": "sentence2", "gold": "gold"}
TASK = TaskSpec(task="t", type="bitext_mining", description="d", fields=FIELDS)
TOKENIZER = character_tokenizer()


def example_of(made: Corpus, **changes):
    row = {"sources": made.sources, "targets": made.targets, "gold": [line.split("\t") for line in made.gold]}
    return bitext_mining.build({**row, **changes}, task=TASK, lang="xx", row_id="0")


def vectors_of(examples, vectors):
    """The vectors of the features, through `encode` and `reduce`."""
    features = bitext_mining.encode(examples, task=TASK, tokenizer=TOKENIZER, options=bitext_mining.Options(), train=False)
    texts = [text for e in examples for side in (e.sources, e.targets) for text in dict.fromkeys(side)]
    assert len(texts) == len(features)
    options = bitext_mining.Options()
    return features, [
        bitext_mining.reduce(f, vectors[t], task=TASK, options=options) for f, t in zip(features, texts, strict=True)
    ]


def decode(examples, vectors, threshold="auto"):
    features, partials = vectors_of(examples, vectors)
    bare = [dataclasses.replace(feature, input_ids=[]) for feature in features]
    return bitext_mining.decode(examples, bare, partials, task=TASK, options=bitext_mining.Options(threshold=threshold))


def scores(predictions):
    metric = METRICS.load("mined_pairs")
    rows = [metric.stats(p.prediction, p.gold, lang="xx") for p in predictions]
    return {key: float(value) for key, value in metric.combine(np.array(rows, dtype=np.float64).sum(axis=0)).items()}


def pairs(predictions):
    return sorted(line for prediction in predictions for line in prediction.prediction)


def write_files(folder: Path, lang: str, made: Corpus, split: str) -> None:
    """The files of a collection under XTREME's names."""
    folder.mkdir(parents=True, exist_ok=True)
    for end, lines in ((lang, made.sources), ("en", made.targets)):
        text = "".join(f"{id_.replace('xx', lang)}\t{sentence}\n" for id_, sentence in lines)
        (folder / f"{lang}-en.{split}.{end}").write_text(text, encoding="utf-8")
    (folder / f"{lang}-en.{split}.gold").write_text("".join(f"{line.replace('xx', lang)}\n" for line in made.gold))
