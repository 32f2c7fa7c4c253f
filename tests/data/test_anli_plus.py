"""ANLI+: three datasets under one head, in one order of labels."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog


def test_its_sources_are_those_of_the_study_in_train_and_validation() -> None:
    spec = Catalog().task("anli_plus").spec
    rounds = [f"r{number}" for number in (1, 2, 3)]
    assert [source.split for source in spec.data.train] == [*(f"train_{name}" for name in rounds), "train", "train"]
    selection = [source.split for source in spec.data.validation]
    assert selection == [*(f"dev_{name}" for name in rounds), "validation_matched", "validation"]
    for sources in (spec.data.train, spec.data.validation):
        assert [source.hub for source in sources] == ["facebook/anli"] * 3 + ["nyu-mll/glue", "stanfordnlp/snli"]
    assert spec.labels == Catalog().task("xnli").spec.labels  # a head for one serves the other


@pytest.mark.real
def test_real_rows_of_all_sources_with_their_labels(shared: Path) -> None:
    spec, place = Catalog().task("anli_plus").spec, DataPlace(data_dir=shared / "hub", offline=True)
    train = load_examples(spec, split="train", langs=["en"], place=place)
    assert (len(train.examples), train.num_dropped) == (1000 + 1000 + 1200 + 2490 + 1289 - 16, 16)
    found = load_examples(spec, split="validation", langs=["en"], place=place)
    examples: Sequence[Any] = found.examples
    assert (len(examples), found.num_dropped) == (3200 + 1000 + 1277 - 23, 23)
    assert Counter(example.id.split(".")[0] for example in examples) == {"0": 1000, "1": 1000, "2": 1200, "3": 1000, "4": 1254}
    names = {0: "entailment", 1: "neutral", 2: "contradiction"}
    for source, prefix in (("facebook/anli/plain_text/dev_r1", "0."), ("stanfordnlp/snli/plain_text/validation", "4.")):
        (path,) = (shared / "hub").glob(f"{source}-*.parquet")
        rows = [row for row in pq.read_table(path).to_pylist() if row["label"] != -1]
        own = [example for example in examples if example.id.startswith(prefix)]
        assert [(row["premise"], row["hypothesis"], names[row["label"]]) for row in rows] == [
            (example.text, example.text_pair, example.gold) for example in own
        ]
    by_text = {example.text_pair: example.gold for example in examples}
    assert by_text["Four males are playing out in the yard."] == "contradiction"
