"""Whole runs of bitext mining say where their threshold comes from, on small collections and on real ones."""

import json
from pathlib import Path

import pytest
from small_corpora import corpus
from small_mining import write_files

import run_eval
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.task_types import bitext_mining

LOCAL = """
task: local_mining
type: bitext_mining
description: d
languages: [de, fr]
train_languages: [de, fr]
data:
  validation: {files: {source: "{lang}-en.dev.{lang}", target: "{lang}-en.dev.en", gold: "{lang}-en.dev.gold"}, reader: bucc}
  test: {files: {source: "{lang}-en.test.{lang}", target: "{lang}-en.test.en", gold: "{lang}-en.test.gold"}, reader: bucc}
fields: {sources: sentence1, targets: sentence2, gold: gold}
options: {max_length: 64}
metrics: [mined_pairs]
selection: none
"""


@pytest.mark.parametrize("model", ["oracle", "random", "constant"])
def test_whole_runs_say_where_the_threshold_comes_from(model, tmp_path):
    folder = tmp_path / "tasks"
    for lang in ("de", "fr"):
        write_files(folder, lang, corpus(f"{lang} test", pairs=20, alone=30), "test")
    write_files(folder, "de", corpus("de dev", pairs=20, alone=30), "dev")
    (folder / "local_mining.yaml").write_text(LOCAL)
    command = f"--model {model} --tasks local_mining --include_path {folder} --limit 3 --output_path {tmp_path} --quiet"
    assert run_eval.main(command.split()) == 0
    found = {lang: next(value for path, value in _scores(tmp_path).items() if f"-{lang}-" in path) for lang in ("de", "fr")}
    assert found["de"]["counts"]["notes"] == {"threshold_dev": 20}
    assert found["fr"]["counts"]["notes"] == {"threshold_split_half": 20, "no_dev_corpus": 20}
    for score in found.values():
        assert score["metrics"]["mined_pairs.f1"]["n"] == 20, "a limit leaves the collections whole"
        assert score["score"]["value"] == 100 if model == "oracle" else score["score"]["value"] < 10


def _scores(root: Path):
    return {path.parent.name: json.loads(path.read_text()) for path in root.glob("score/*/score.json")}


@pytest.mark.real
def test_the_mirrors_row_is_the_sample_set_with_its_ids(shared):
    """So it is no development corpus for itself, and ids made from places are those of the original files."""
    spec = Catalog().task("bucc2018").spec
    place, raw = DataPlace(data_dir=shared / "hub", offline=True), DataPlace(data_dir=shared / "raw", offline=True)
    (test,) = load_examples(spec, split="test", langs=["zh"], place=place).examples
    (dev,) = load_examples(spec, split="validation", langs=["zh"], place=raw).examples
    assert (len(test.sources), len(test.targets), len(test.gold)) == (8624, 13589, 257)
    for name in ("sources", "source_ids", "targets", "target_ids", "gold"):
        assert getattr(test, name) == getattr(dev, name)
    (alone,) = bitext_mining.with_calibration([test], [dev], options=bitext_mining.Options())
    assert alone.notes == ("dev_corpus_is_test_corpus",)


@pytest.mark.real
@pytest.mark.long
def test_the_oracle_on_real_sentences(shared, tmp_path):
    command = f"--model oracle --tasks bucc2018 --languages zh --data_dir {shared / 'hub'} --output_path {tmp_path} --quiet"
    assert run_eval.main(command.split()) == 0
    (score,) = _scores(tmp_path).values()
    assert score["score"]["value"] == 100
    assert score["counts"]["notes"] == {"threshold_split_half": 257, "no_dev_corpus": 257}
