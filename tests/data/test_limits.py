"""A limit takes a stable sample, the same of every language, and shrinks no pool that is searched."""

import pytest
from small_mirrors import NliMirror, nli_task, pair

from harness.api.errors import UserError
from harness.data.examples import load_examples
from harness.data.samples import sample_ids
from harness.specs.limit import limit_order, limit_words, num_taken, read_limit


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


def test_a_limit_takes_the_first_rows_or_a_share_of_them(mirror):
    mirror("de/test-0.parquet", [pair(n) for n in range(30)])
    rows = {limit: _numbers(mirror, limit) for limit in (None, "first:4", "first:12%", "12%", 4, "first:99", "100%")}
    assert rows["first:4"] == rows[None][:4] == rows["first:12%"]
    assert rows["12%"] == rows[4] != rows["first:4"]
    assert rows["first:99"] == rows["100%"] == rows[None]


def _numbers(mirror, limit):
    return [e.id for e in load_examples(nli_task(), split="test", langs=["de"], place=mirror.place, limit=limit).examples]


@pytest.mark.parametrize(
    ("text", "limit", "of_72"),
    [
        ("20", 20, 20),
        ("0020", 20, 20),
        ("first:20", "first:20", 20),
        ("10%", "10%", 8),
        ("12.50%", "12.5%", 9),
        ("first:0.1%", "first:0.1%", 1),
        ("100%", "100%", 72),
        ("first:100", "first:100", 72),
    ],
)
def test_limits_are_read_into_one_form(text, limit, of_72):
    assert read_limit(text, where="--limit") == limit
    assert num_taken(limit, of=72) == of_72


def test_a_share_is_rounded_up_without_rounding_errors():
    assert num_taken("7%", of=100) == 7  # 100 * 0.07 is a little more than 7 in floating point
    assert num_taken("first:0.1%", of=1000) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "at least 1"), ("0%", "more than 0%"), ("101%", "at most 100%"), ("last:3", "first:20"), ("-1", "first:20"),
        ("0.1", "--limit first:10%"), ("1.5", "whole"), ("first:", "first:20"), ("٣", "first:20"), ("", "first:20"),
    ],
)  # fmt: skip
def test_other_limits_are_answered(text, said):
    with pytest.raises(UserError, match="--limit") as raised:
        read_limit(text, where="--limit")
    assert said in str(raised.value)


def test_limits_are_said_in_words_and_sorted_by_their_numbers():
    assert limit_words(20) == "a seeded sample of at most 20 test rows a language"
    assert limit_words("first:20") == "the first 20 test rows of a language"
    assert limit_words("10%") == "a seeded sample of 10% of a language's test rows"
    assert limit_words("first:10%") == "the first 10% of a language's test rows"
    assert sorted([20, None, "first:3", "10%"], key=limit_order) == [None, "first:3", "10%", 20]
