"""Bitext mining against XTREME's own code, the choice of thresholds, and whole runs on small collections.

golden_mining.json holds what third_party/utils_retrieve.py (mine_bitext, read_candidate2score, bucc_optimize, bucc_extract) and
evaluate.py (bucc_f1) of google-research/xtreme at 838c13b gave for the collections of small_corpora, with faiss-cpu 1.15.1.
"""

import dataclasses
import json
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from small_corpora import Corpus, corpus
from small_tokenizers import word_level, word_piece

import run_eval
from harness.api.errors import UserError
from harness.api.protocols import TaskType
from harness.api.registry import METRICS, READERS, ROOT
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.prediction.fakes import character_tokenizer
from harness.prediction.partials import open_partials
from harness.specs.task import TaskSpec
from harness.task_types import bitext_mining
from harness.task_types.vectors.margin import best_threshold, mine, mining_memory
from harness.task_types.vectors.mined_pairs import _hash_halves, candidates_of

GOLDEN = json.loads((Path(__file__).parent / "golden_mining.json").read_text())
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


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("split", ["dev", "test"])
def test_candidates_are_those_of_xtremes_code(name, split):
    made = corpus(f"{name} {split}", **GOLDEN[name]["corpus"])
    example, expected = example_of(made), GOLDEN[name][split]
    vectors = np.stack(vectors_of([example], made.vectors)[1])
    found = candidates_of(example, vectors)
    assert found.lines == [line for line, _ in expected["candidates"]]
    assert np.allclose(found.scores, [score for _, score in expected["candidates"]], rtol=0, atol=1e-6)
    distinct = len(dict.fromkeys(example.sources))
    assert len(mine(vectors[:distinct], vectors[distinct:]).scores) == expected["num_mined"] >= len(found.lines)
    threshold = best_threshold(found.scores, found.correct, num_gold=len(example.gold))
    assert threshold == pytest.approx(expected["own_threshold"]["best-threshold"], rel=0, abs=1e-6)


@pytest.mark.parametrize("name", GOLDEN)
def test_scores_are_those_of_xtremes_code_to_the_last_digit(name):
    dev, test = (corpus(f"{name} {split}", **GOLDEN[name]["corpus"]) for split in ("dev", "test"))
    examples = bitext_mining.with_calibration([example_of(test)], [example_of(dev)], options=bitext_mining.Options())
    predictions = decode(examples, dev.vectors | test.vectors)
    expected = GOLDEN[name]["test"]
    assert pairs(predictions) == sorted(expected["predicted"])
    assert scores(predictions) == expected["scores"]
    assert {prediction.notes for prediction in predictions} == {("threshold_dev",)}
    best = decode([example_of(test)], test.vectors, "oracle")
    assert scores(best) == expected["oracle_scores"]
    assert {prediction.notes for prediction in best} == {("threshold_oracle",)}


def test_golden_cases_tell_apart_what_they_are_for():
    repeats, distractors = GOLDEN["repeats"]["test"], GOLDEN["distractors"]["test"]
    assert repeats["num_mined"] > len(repeats["candidates"]), "sentences that occur twice are dropped after mining"
    assert distractors["scores"] != distractors["oracle_scores"], "the threshold of the dev corpus is not that of the test corpus"


def test_threshold_by_hand():
    cut = np.array([1.5, 1.4, 1.2, 1.0])
    assert best_threshold(cut, np.array([True, True, False, False]), num_gold=2) == (1.4 + 1.2) / 2
    assert best_threshold(cut, np.array([True, False, False, False]), num_gold=3) == (1.5 + 1.4) / 2
    assert best_threshold(cut, np.array([True, False, True, True]), num_gold=3) == 0.5, "after the last one comes 0"
    assert best_threshold(cut, np.array([False] * 4), num_gold=3) == 0.0
    assert best_threshold(cut[:0], np.array([], dtype=bool), num_gold=3) == 0.0
    assert best_threshold(np.array([1.5, 1.5, 1.0]), np.array([True, False, False]), num_gold=1) == 1.5


def test_margins_by_hand():
    """Two sources, two targets: all cosines are known."""
    sources, targets = np.array([[1.0, 0], [0.6, 0.8]]), np.array([[2.0, 0], [0, 3.0]])
    cosines = np.array([[1, 0], [0.6, 0.8]])
    own, their = cosines.mean(axis=1), cosines.mean(axis=0)
    found = mine(sources, targets)
    assert [found.sources.tolist(), found.targets.tolist()] == [[0, 1], [0, 1]]
    assert np.allclose(found.scores, [1 / ((own[0] + their[0]) / 2), 0.8 / ((own[1] + their[1]) / 2)], atol=1e-6)
    one = mine(sources[:1], np.zeros((3, 2)))
    assert len(one.scores) == 0, "a cosine of 0 is no candidate"
    ties = mine(np.ones((9, 2)), np.ones((6, 2)))
    assert list(zip(*ties)) == [(0, 0, 1.0)], "all want the first, who is given away once"


def test_each_half_has_the_threshold_of_the_other():
    made = corpus("halves", pairs=40, alone=60, likeness=1)
    example = example_of(made)
    found = candidates_of(example, np.stack(vectors_of([example], made.vectors)[1]))
    text = dict(zip(example.source_ids, example.sources, strict=True))
    half = _hash_halves([text[line.split("\t")[0]] for line in found.lines])
    gold_half = _hash_halves([text[line.split("\t")[0]] for line in example.gold])
    assert 10 <= gold_half.sum() <= 30
    expected = []
    for own in (0, 1):
        other = half != own
        threshold = best_threshold(found.scores[other], found.correct[other], num_gold=int((gold_half != own).sum()))
        expected += [line for line, h, score in zip(found.lines, half, found.scores) if h == own and score >= threshold]
    predictions = decode([example], made.vectors)
    assert pairs(predictions) == sorted(expected)
    assert {prediction.notes for prediction in predictions} == {("threshold_split_half",)}
    assert scores(predictions)["f1"] <= scores(decode([example], made.vectors, "oracle"))["f1"]
    assert pairs(decode([example], made.vectors, "split_half")) == pairs(predictions)


def test_a_half_does_not_see_its_own_gold():
    """Taking the gold of half the sentences away does not change what is believed of that half."""
    made = corpus("blind", pairs=40, alone=60, likeness=1)
    example = example_of(made)
    text = dict(zip(example.source_ids, example.sources, strict=True))
    first = [line for line in example.gold if not _hash_halves([text[line.split("\t")[0]]])[0]]
    less = dataclasses.replace(example, gold=tuple(line for line in example.gold if line not in first))
    own = [pairs(decode([e], made.vectors)) for e in (example, less)]
    of_first = [[line for line in lines if not _hash_halves([text[line.split("\t")[0]]])[0]] for lines in own]
    assert of_first[0] == of_first[1]
    assert own[0] != own[1]


def test_a_dev_corpus_that_is_the_test_corpus_does_not_choose_the_threshold():
    test = example_of(corpus("same", pairs=6, alone=9))
    other = example_of(corpus("other", pairs=6, alone=9))
    options = bitext_mining.Options()
    assert [e.calibrates for e in bitext_mining.with_calibration([test], [other], options=options)] == [True, False]
    renamed = dataclasses.replace(
        test,
        id="9",
        source_ids=tuple(f"a{n}" for n in range(len(test.sources))),
        gold=tuple(f"a{int(line.split()[0][3:]) - 1}\t{line.split()[1]}" for line in test.gold),
        sources=tuple(text + " " for text in test.sources),
    )
    (found,) = bitext_mining.with_calibration([test], [renamed], options=options)
    assert found.notes == ("dev_corpus_is_test_corpus",)
    (found,) = bitext_mining.with_calibration([test], [dataclasses.replace(test, gold=())], options=options)
    assert found.notes == ("dev_corpus_is_test_corpus",)
    (found,) = bitext_mining.with_calibration([test], [], options=options)
    assert found.notes == ("no_dev_corpus",)
    predictions = decode([found], corpus("same", pairs=6, alone=9).vectors)
    assert {p.notes for p in predictions} == {("threshold_split_half", "no_dev_corpus")}
    for rule in ("oracle", "split_half"):
        assert bitext_mining.with_calibration([test], [other], options=bitext_mining.Options(threshold=rule)) == [test]
    for rows in ([], [renamed]):
        with pytest.raises(UserError, match=r"(?s)threshold: dev: no development corpus.*split_half.*oracle"):
            bitext_mining.with_calibration([test], rows, options=bitext_mining.Options(threshold="dev"))
    with pytest.raises(UserError, match="no development corpus"):
        decode([test], corpus("same", pairs=6, alone=9).vectors, "dev")


def test_runs_hold_every_pair_once_and_do_not_depend_on_the_model():
    made = corpus("runs", pairs=12, alone=30, likeness=2)
    example = example_of(made)
    one = decode([example], made.vectors)
    other = decode([example], {text: np.roll(vector, 1) * n for n, (text, vector) in enumerate(made.vectors.items(), start=1)})
    assert [(p.id, p.gold) for p in one] == [(p.id, p.gold) for p in other]
    assert len(one) == 12
    assert sorted(line for p in one for line in p.gold) == sorted(example.gold)
    assert [p.id for p in one] == sorted(line.split("\t")[0] for line in example.gold)
    ends = [int(p.id[3:]) for p in one]
    for prediction, begin, end in zip(one, [0, *ends], [*ends[:-1], 10**9]):
        assert all(begin < int(line[3:12]) <= end for line in prediction.prediction)
    nothing = dataclasses.replace(example, gold=())
    (alone,) = decode([nothing], made.vectors)
    assert (alone.id, alone.gold) == ("0", [])
    assert scores([alone]) == {"f1": 0, "precision": 0, "recall": 0}
    two = decode([example, dataclasses.replace(example, id="1")], made.vectors)
    assert len({p.id for p in two}) == 24


def test_truncated_tokens_are_counted_once():
    made = corpus("long", pairs=5, alone=7)
    example = example_of(made)
    options = bitext_mining.Options(max_length=8)
    features = bitext_mining.encode([example], task=TASK, tokenizer=TOKENIZER, options=options, train=False)
    partials = np.random.default_rng(0).standard_normal((len(features), 6), dtype=np.float32)
    predictions = bitext_mining.decode([example], features, partials, task=TASK, options=options)
    assert sum(p.num_truncated for p in predictions) == sum(f.num_truncated for f in features) > 0


@pytest.mark.parametrize("make", [word_level, word_piece, character_tokenizer])
def test_the_oracle_finds_all_and_random_vectors_nothing(make):
    (row,) = bitext_mining.SAMPLES
    example = bitext_mining.build(row, task=TASK, lang="de", row_id="0")
    options = bitext_mining.Options()
    features = bitext_mining.encode([example], task=TASK, tokenizer=make(), options=options, train=False)
    assert [feature.part for feature in features] == list(range(len(features)))
    assert all(1 <= len(feature.input_ids) <= 512 for feature in features)
    vectors = [bitext_mining.oracle(feature, example, task=TASK, options=options) for feature in features]
    assert scores(bitext_mining.decode([example], features, vectors, task=TASK, options=options))["f1"] == 100
    random = list(np.random.default_rng(0).standard_normal((len(features), 64), dtype=np.float32))
    assert scores(bitext_mining.decode([example], features, random, task=TASK, options=options))["f1"] < 25
    assert example.source_ids[0] == "de-000000001"
    assert example.gold[0] == "de-000000001\ten-000000003"


def test_the_module_keeps_the_contract():
    assert bitext_mining.CALIBRATES
    for name in set(TaskType.__annotations__) - {"Options"}:
        assert getattr(bitext_mining, name) is not None
    assert all(field.description for field in bitext_mining.Options.model_fields.values())
    assert bitext_mining.pools(bitext_mining.Options(layer=0.583)).layer == 0.583
    assert bitext_mining.head(TASK, bitext_mining.Options()) is None
    with pytest.raises(UserError, match="not trained"):
        bitext_mining.loss(None, None, bitext_mining.Options())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"sources": []}, "field 'sources' holds no sentences"),
        ({"targets": None}, "field 'targets' holds no sentences"),
        ({"sources": ["a", 3]}, "sentence 2 of 'sources' does not fit"),
        ({"sources": [["x", "a"], ["x", "b"]]}, "two sentences of 'sources' with the id 'x'"),
        ({"gold": [[0, 1]]}, "numbers from 1 to 2 and from 1 to 1"),
        ({"gold": [[1, 2]]}, r"found: \[1, 2\]"),
        ({"gold": [["de-1", "en-000000001"]]}, "a gold pair does not fit"),
        ({"gold": [[1]]}, "a gold pair does not fit"),
        ({"gold": None}, "field 'gold' does not fit"),
    ],
)
def test_rows_that_do_not_fit_are_user_errors(row, message):
    good = {"sources": ["a", "b"], "targets": ["c"], "gold": [[1, 1], [1, 1]]}
    assert len(bitext_mining.build(good, task=TASK, lang="de", row_id="0").gold) == 1
    with pytest.raises(UserError, match=message):
        bitext_mining.build({**good, **row}, task=TASK, lang="de", row_id="0")


def write_files(folder: Path, lang: str, made: Corpus, split: str) -> None:
    """The files of a collection under XTREME's names."""
    folder.mkdir(parents=True, exist_ok=True)
    for end, lines in ((lang, made.sources), ("en", made.targets)):
        text = "".join(f"{id_.replace('xx', lang)}\t{sentence}\n" for id_, sentence in lines)
        (folder / f"{lang}-en.{split}.{end}").write_text(text, encoding="utf-8")
    (folder / f"{lang}-en.{split}.gold").write_text("".join(f"{line.replace('xx', lang)}\n" for line in made.gold))


def test_reader_errors_name_file_and_line(tmp_path):
    write_files(tmp_path, "de", corpus("files", pairs=3, alone=2), "dev")
    files = {role: tmp_path / f"de-en.dev.{end}" for role, end in (("source", "de"), ("target", "en"), ("gold", "gold"))}
    (row,) = READERS.load("bucc").read(files, lang="de", options={})
    assert row["sentence1"][0][0] == "de-000000001"
    assert len(row["gold"]) == 3
    with files["gold"].open("a") as file:
        file.write("de-000000001\n")
    with pytest.raises(UserError, match=r"de-en\.dev\.gold:4: not a line of BUCC"):
        list(READERS.load("bucc").read(files, lang="de", options={}))
    with pytest.raises(UserError, match="roles source, target, gold"):
        list(READERS.load("bucc").read({"rows": files["gold"]}, lang="de", options={}))


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


def test_vectors_are_handed_over_as_they_lie_on_disk(tmp_path):
    rows = np.random.default_rng(0).standard_normal((50, 6), dtype=np.float32)
    store = open_partials(tmp_path, vectors=True)
    store.write((int(n), rows[n]) for n in np.random.default_rng(1).permutation(50))
    found = store.read(50)
    assert isinstance(found, np.ndarray)
    assert np.array_equal(found, rows)
    assert not found.flags.owndata
    assert not found.flags.writeable
    assert np.shares_memory(found[:20], found), "a side of a pair of collections is a view"
    store.close()


def test_a_million_features_stay_small():
    """What `memory` counts for a sentence holds: text, ids, feature with shared token numbers, and the tokenizer's own peak."""
    words = [f"w{n}" for n in range(500)]
    rng = np.random.default_rng(0)

    def sentences(side):
        return [f"{side}{n} " + " ".join(rng.choice(words, size=30)) for n in range(1000)]

    row = {"sources": sentences("s"), "targets": sentences("t"), "gold": [[n, n] for n in range(1, 50)]}
    tokenizer = word_level(words)
    tracemalloc.start()
    try:
        example = bitext_mining.build(row, task=TASK, lang="de", row_id="0")
        features = bitext_mining.encode([example], task=TASK, tokenizer=tokenizer, options=bitext_mining.Options(), train=False)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(features[0].input_ids) == 33
    stated = bitext_mining.memory(1000, 1000, dimension=8, tokens=33, characters=0)["sentences"]
    assert 0.3 * stated < held < stated
    russian = bitext_mining.memory(460_000, 555_503, dimension=4096)
    assert russian["sentences"] < 2.5e9


def test_the_largest_pair_is_planned_under_8_gb():
    for dimension in (1024, 4096):
        assert bitext_mining.memory(460_000, 555_503, dimension=dimension)["total"] < 8e9


@pytest.mark.parametrize(("sentences", "dimension"), [(4000, 64), (1500, 1024)])
def test_stated_memory_holds(sentences, dimension):
    """The benchmark in a process of its own, with blocks so small that the vectors would not fit."""
    command = [sys.executable, ROOT / "benchmarks/mining_memory.py", "--block_mb=16", "--json"]
    command += [f"--sentences={sentences}", f"--dimension={dimension}"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    total, library = found["stated"]["total"], found["stated"]["library"]
    assert 0.4 * (total - library) < found["peak"] < total


def test_memory_does_not_grow_with_the_dimension():
    sizes = [mining_memory(300_000, 300_000, dimension=dimension) for dimension in (384, 1024, 4096, 8192)]
    assert max(size["total"] - size["library"] for size in sizes) < 1.1 * min(size["total"] - size["library"] for size in sizes)


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
def test_the_oracle_on_real_sentences(shared, tmp_path):
    command = f"--model oracle --tasks bucc2018 --languages zh --data_dir {shared / 'hub'} --output_path {tmp_path} --quiet"
    assert run_eval.main(command.split()) == 0
    (score,) = _scores(tmp_path).values()
    assert score["score"]["value"] == 100
    assert score["counts"]["notes"] == {"threshold_split_half": 257, "no_dev_corpus": 257}


def test_the_plan_says_what_mining_takes_and_that_a_limit_shortens_nothing():
    task = Catalog().task("bucc2018").spec
    for dimension in (1024, 4096):
        note = bitext_mining.plan_note(task, dimension=dimension, limit=None)
        assert float(re.search(r"about ([\d.]+) GB", note)[1]) < 8
    assert "does not shorten" in bitext_mining.plan_note(task, dimension=None, limit=10)
