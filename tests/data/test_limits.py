"""A limit takes a stable sample, the same of every language, and shrinks no pool that is searched."""

import pytest
from small_mirrors import NliMirror, nli_task, pair

from harness.data.examples import load_examples, sample_ids


@pytest.fixture
def mirror(tmp_path):
    return NliMirror(tmp_path / "mirror")


def test_samples_are_stable_and_nested():
    ids = [str(number) for number in range(1000)]
    small, large = sample_ids(ids, 50, key="xnli"), sample_ids(ids, 200, key="xnli")
    assert small == sorted(small)
    assert len(small) == 50
    assert set(small) < set(large)
    assert {ids[::-1][position] for position in sample_ids(ids[::-1], 50, key="xnli")} == {ids[position] for position in small}
    assert sample_ids(ids, 50, key="xnli", seed=1) != small != sample_ids(ids, 50, key="panx")
    assert sample_ids(ids, 2000) == list(range(1000))


def test_a_limit_takes_the_same_examples_of_every_language(mirror):
    for lang in ("de", "fr"):
        mirror(f"{lang}/test-0.parquet", [pair(n) for n in range(30)])
    found = load_examples(nli_task(), split="test", langs=["de", "fr"], place=mirror.place, limit=7)
    ids = [e.id for e in found.examples]
    assert (len(ids), ids[:7], found.num_rows) == (14, ids[7:], 60)


def test_a_limit_never_shrinks_a_retrieval_pool(mirror):
    mirror("de/test-0.parquet", [{"s": f"s {n}", "t": f"t {n}"} for n in range(30)])
    task = nli_task(type="retrieval", fields={"source": "s", "target": "t"}, labels=[])
    found = load_examples(task, split="test", langs=["de"], place=mirror.place, limit=7)
    assert (len(found.examples), sum(e.query for e in found.examples)) == (30, 7)
