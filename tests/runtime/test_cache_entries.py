"""What is added to the cache entry by entry comes back, from any process, at the same cost however much is there already."""

import os
import time
from pathlib import Path

import pytest

from harness.api.cache_entries import HEAD, CacheEntries
from harness.api.file_states import DOUBT_NS
from harness.data import file_hashes


@pytest.fixture
def store(tmp_path):
    return tmp_path / "deep" / "x.entries"


def test_what_was_added_last_under_a_name_comes_back(store):
    entries = CacheEntries(store)
    assert entries.get("a") is None
    entries.add({"a\tb\n": [1, "é"], "": {"c": None}, "\udcff": 0})
    entries.add({"": 2})
    for seen in (entries, CacheEntries(store)):
        assert [seen.get(name) for name in ("a\tb\n", "", "\udcff", "b")] == [[1, "é"], 2, 0, None]
    assert [path.name for path in store.parent.iterdir()] == [store.name]


def test_what_another_process_adds_is_seen_and_none_is_lost(store):
    mine, others = CacheEntries(store), CacheEntries(store)
    mine.add({"a": 1})
    for number in range(5):
        others.add({f"other {number}": number})
        mine.add({f"mine {number}": number})
    for seen in (mine, others, CacheEntries(store)):
        assert [seen.get(f"{whose} {number}") for whose in ("mine", "other") for number in range(5)] == [*range(5), *range(5)]
        assert seen.get("a") == 1


def test_a_line_that_is_torn_or_edited_is_as_good_as_none(store):
    entries = CacheEntries(store)
    entries.add({"a": 1})
    entries.add({"b": 1})
    whole = store.read_bytes()
    store.write_bytes(whole[:-1].replace(b'"a"\t1', b'"a"\t2'))
    again = CacheEntries(store)
    assert (again.get("a"), again.get("b")) == (None, None)
    again.add({"c": 3})
    assert [CacheEntries(store).get(name) for name in "abc"] == [None, 1, 3]  # b has got the end of its line


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[" * 100_000, HEAD[:-1], b"\xff\n" * 40, HEAD.replace(b"1", b"2")], ids=range(6)
)
def test_a_file_of_others_is_replaced(store, content):
    entries = CacheEntries(store)
    entries.add({"a": 1})
    assert entries.get("a") == 1
    store.write_bytes(content)
    assert entries.get("a") is None
    entries.add({"b": 2})
    assert store.read_bytes().startswith(HEAD)
    assert [CacheEntries(store).get(name) for name in "ab"] == [None, 2]
    assert entries.get("b") == 2
    store.unlink()
    assert entries.get("b") is None


def test_what_cannot_be_written_this_process_remembers_alone(tmp_path):
    (tmp_path / "folder.entries").mkdir()
    (tmp_path / "file").write_text("")
    for store in (tmp_path / "folder.entries", tmp_path / "file" / "x.entries", tmp_path / ("n" * 300)):
        entries = CacheEntries(store)
        entries.add({"a": 1})
        entries.add({"b": 2})
        assert [entries.get("a"), entries.get("b"), CacheEntries(store).get("a")] == [1, 2, None]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.entries"], "no temporary file is left"


def test_a_file_keeps_its_newest_entries(store):
    entries = CacheEntries(store, largest=10_000)
    for number in range(1000):
        entries.add({"always": number, f"once {number}": number})
        assert store.stat().st_size <= 10_000
    again = CacheEntries(store)
    assert (again.get("always"), again.get("once 999"), again.get("once 950"), again.get("once 0")) == (999, 999, 950, None)


def bytes_moved():
    """What this process has read and written so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("rchar", "wchar")))


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="counts the bytes that a process reads and writes")
def test_the_hash_of_a_file_costs_the_same_however_many_are_remembered(tmp_path, monkeypatch):
    """A guard that no clock disturbs: 100 files that are hashed one by one, and 100 more when 2,000 others are remembered."""
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(file_hashes, "clock", lambda: time.time_ns() + 2 * DOUBT_NS)  # a while has passed

    def cost_of(name, number):
        (tmp_path / name).mkdir()
        for place in range(number):
            (tmp_path / name / f"{place:04}").write_text(f"{name} {place}")
        before = bytes_moved()
        for path in sorted((tmp_path / name).iterdir()):
            file_hashes.files_fingerprint([path])
        return bytes_moved() - before

    few, _, many = cost_of("few", 100), cost_of("others", 2000), cost_of("many", 100)
    assert (tmp_path / "cache" / "file_hashes.entries").stat().st_size > 2200 * 100, "they are remembered"
    assert many < 1.5 * few + 10_000
