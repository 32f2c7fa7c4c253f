"""ROUGE that task code asks for: of one example, and of many, where lm-eval gives the middle of resamples drawn with its seed.

XLIFT_LM_EVAL_PYTHON=<python with lm-eval> pytest -m real tests/scoring/test_lm_eval_rouge.py
"""

import importlib
import json
import os
import random
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from harness.task_types.lm_eval_harness.corpus_functions import shares
from harness.task_types.lm_eval_harness.evaluate_metrics import load

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = """
from typing import NamedTuple


class Score(NamedTuple):
    precision: float
    recall: float
    fmeasure: float


class RougeScorer:
    def __init__(self, rouge_types, use_stemmer=False):
        self.kinds = rouge_types

    def score(self, target, prediction):
        same = len(set(target.split()) & set(prediction.split()))
        return {kind: Score(1.0, 1.0, same / (number + len(target.split()))) for number, kind in enumerate(self.kinds)}
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package of the name rouge_score, for environments that have none."""
    (tmp_path / "rouge_score").mkdir()
    (tmp_path / "rouge_score" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "rouge_score" / "rouge_scorer.py").write_text(PACKAGE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    for name in ("rouge_score", "rouge_score.rouge_scorer"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield
    for name in ("rouge_score", "rouge_score.rouge_scorer"):
        sys.modules.pop(name, None)


def pairs_of(number):
    rng = random.Random(number)
    return [
        (" ".join(rng.choices("abcdefgh", k=rng.randint(1, 9))), " ".join(rng.choices("abcdefgh", k=5))) for _ in range(number)
    ]


def by_rouge(items, kinds=("rouge1", "rougeL")):
    golds, answers = zip(*items)
    return load("rouge").compute(predictions=answers, references=golds, rouge_types=kinds)[kinds[-1]]


@pytest.mark.parametrize("number", [1, 2, 40])
def test_many_examples_give_the_median_of_a_thousand_resampled_means(package, number):
    items = pairs_of(number)
    golds, answers = zip(*items)
    alone = load("rouge").compute(predictions=answers, references=golds, rouge_types=["rouge1", "rougeL"], use_aggregator=False)
    draws = np.random.RandomState(1234)  # one kind after the other, as rouge_score goes through them
    wanted = {}
    for kind, values in alone.items():
        means = [np.mean(np.array(values)[draws.choice(number, size=number)]) for _ in range(1000)]
        wanted[kind] = float(np.median(means))
    found = load("rouge").compute(predictions=answers, references=golds, rouge_types=["rouge1", "rougeL"])
    assert found == pytest.approx(wanted, rel=1e-12)
    assert (found["rougeL"] == pytest.approx(sum(alone["rougeL"]) / number, rel=1e-12)) == (number < 3)


def test_what_an_example_weighs_does_not_hang_on_resamples(package):
    items = pairs_of(60)
    golds, answers = zip(*items)
    found = np.array(shares(items, "m", by_rouge))
    assert found.mean() == pytest.approx(by_rouge(items), rel=1e-12)
    alone = np.array(
        load("rouge").compute(predictions=answers, references=golds, rouge_types=["rougeL"], use_aggregator=False)["rougeL"]
    )
    moved = np.array(
        load("rouge").compute(predictions=answers, references=golds, rouge_types=["rouge1", "rougeL"], use_aggregator=False)[
            "rougeL"
        ]
    )
    assert not np.allclose(alone, moved)
    assert found - found.mean() == pytest.approx(moved - moved.mean(), abs=1e-12)


BOTH = """
import json, sys
import numpy as np
from rouge_score import rouge_scorer, scoring
from lm_eval.tasks.truthfulqa.utils import rouge as of_truthfulqa
from harness.task_types.lm_eval_harness.evaluate_metrics import load

KINDS = ["rouge1", "rouge2", "rougeL", "rougeLsum"]


def theirs(pairs, stem):
    np.random.seed(1234)
    scorer, many = rouge_scorer.RougeScorer(KINDS, use_stemmer=stem), scoring.BootstrapAggregator()
    for gold, answer in pairs:
        many.add_scores(scorer.score(gold, answer))
    return {kind: float(one.mid.fmeasure) for kind, one in many.aggregate().items()}


def ours(pairs, stem):
    golds, answers = zip(*pairs)
    return load("rouge").compute(predictions=answers, references=golds, use_stemmer=stem)


pairs = [tuple(pair) for pair in json.load(sys.stdin)]
groups = [*([pair] for pair in pairs[::40]), pairs[:2], pairs[:50], pairs]
differ = [group for group in groups for stem in (False, True) if theirs(group, stem) != ours(group, stem)]
scorer = rouge_scorer.RougeScorer(KINDS)
single = [({kind: one.fmeasure for kind, one in scorer.score(*pair).items()}, ours([pair], False)) for pair in pairs]
differ += [pair for pair, (there, here) in zip(pairs, single) if there != here]
for pair in pairs[::20]:
    own = [text.replace(" . ", ".\\n") for text in pair]
    there = of_truthfulqa([pair[0]], [pair[1]])
    if there != {kind: 100 * ours([own], False)[kind] for kind in ("rouge1", "rouge2", "rougeLsum")}:
        differ.append(pair)
nonzero = {kind: sum(here[kind] > 0 for _, here in single) for kind in KINDS}
print(json.dumps({"differ": differ, "nonzero": nonzero, "several": ours(pairs, False)}))
"""
LANGUAGES = ("en", "es", "de", "ru", "zh", "ar", "hi", "th", "tr", "vi", "el")
ODD = (
    "the", "cat", "sat,", "on", "mat.", "Ada's", "läuft", "Running", "runs", "3,000", "don't", "शहर", "東京", "x_y", ".", "\n",
)  # fmt: skip


def real_pairs(hub):
    """Paragraphs of several sentences with some of their sentences and words; and odd words, empty texts among them."""
    import pyarrow.parquet as pq

    rng = random.Random(3)
    found = []
    for lang in LANGUAGES:
        table = pq.read_table(hub / "google/xtreme" / f"XQuAD.{lang}" / "validation-00000-of-00001.parquet")
        for text in rng.sample(list(dict.fromkeys(table["context"].to_pylist())), 16):
            gold = text.replace(". ", ".\n").replace("。", "。\n").replace("। ", "।\n")
            kept = [sentence for sentence in gold.split("\n") if rng.random() < 0.7]
            rng.shuffle(kept)
            found.append((gold, " ".join(word for word in "\n".join(kept).split(" ") if rng.random() < 0.85)))
    found += [
        (" ".join(rng.choices(ODD, k=rng.randint(0, 40))), " ".join(rng.choices(ODD, k=rng.randint(0, 30)))) for _ in range(80)
    ]
    return found


@pytest.mark.real
def test_single_and_many_examples_have_the_numbers_of_the_package_to_the_digit(lm_eval_python, shared):
    pairs = real_pairs(shared / "hub")
    assert len(pairs) >= 250
    assert "" in {gold for gold, _ in pairs}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_paths()["purelib"]])}
    command = [str(lm_eval_python), "-c", BOTH]
    answer = subprocess.run(command, input=json.dumps(pairs), capture_output=True, text=True, env=environment, cwd=ROOT)
    assert answer.returncode == 0, answer.stderr[-2000:]
    found = json.loads(answer.stdout.splitlines()[-1])
    assert found["differ"] == []
    assert all(number > 100 for number in found["nonzero"].values())
    assert len(set(found["several"].values())) == 4
