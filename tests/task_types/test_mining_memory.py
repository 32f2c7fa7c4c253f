"""Mining takes the memory that the plan states: for sentences by the million, whatever the dimension."""

import json
import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from small_mining import TASK
from small_tokenizers import word_level

from harness.api.registry import ROOT
from harness.planning.catalog.catalog import Catalog
from harness.task_types import bitext_mining
from harness.task_types.vectors.margin import mining_memory


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


def test_the_plan_says_what_mining_takes_and_that_a_limit_shortens_nothing():
    task = Catalog().task("bucc2018").spec
    for dimension in (1024, 4096):
        note = bitext_mining.plan_note(task, dimension=dimension, limit=None)
        assert float(re.search(r"about ([\d.]+) GB", note)[1]) < 8
    assert "does not shorten" in bitext_mining.plan_note(task, dimension=None, limit=10)
