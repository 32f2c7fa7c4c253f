"""Fingerprints are those of the bytes: known without reading rows, remembered until a file changes."""

import hashlib
import os
import subprocess
import sys

import pytest
from small_mirrors import NliMirror, nli_task, pair, source

from harness.api.registry import ROOT
from harness.data.examples import data_fingerprint, load_examples
from harness.data.file_hashes import files_fingerprint
from harness.data.rows import fingerprint, load_rows


@pytest.fixture
def mirror(tmp_path):
    return NliMirror(tmp_path / "mirror")


def fingerprint_of(content):
    return f"file:{hashlib.sha256(content).hexdigest()[:16]}"


def hash_of_another_process(path):
    lines = "import sys, pathlib, harness.data.file_hashes as h; print(h.files_fingerprint([pathlib.Path(sys.argv[1])]))"
    said = subprocess.run([sys.executable, "-c", lines, path], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return said.strip()


def test_the_fingerprint_is_that_of_the_bytes_and_is_known_without_reading_rows(mirror):
    path = mirror("de/test-0.parquet", [pair(1)])
    before = fingerprint(source(), lang="de", place=mirror.place)
    assert before == load_rows(source(), lang="de", place=mirror.place).fingerprint
    assert before.startswith("file:")
    path.rename(path.with_name("test-1.parquet"))
    assert fingerprint(source(), lang="de", place=mirror.place) == before
    mirror("de/test-1.parquet", [pair(2)])
    assert fingerprint(source(), lang="de", place=mirror.place) != before
    path.with_name("test-1.parquet").write_bytes(b"no rows can be read from this")
    assert fingerprint(source(), lang="de", place=mirror.place).startswith("file:")


def test_a_file_that_is_replaced_by_one_of_the_same_size_and_date_is_another(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "a.txt"

    def change(text, time):
        path.write_text(text)
        os.utime(path, ns=(time, time))

    change("aaaa", 1)
    first = files_fingerprint([path])
    assert first == fingerprint_of(b"aaaa")
    change("bbbb", 1)  # same size and date
    assert files_fingerprint([path]) == hash_of_another_process(path) == fingerprint_of(b"bbbb")
    other = tmp_path / "b.txt"
    other.write_text("dddd")
    os.utime(other, ns=(1, 1))
    other.rename(path)  # another inode
    assert files_fingerprint([path]) == hash_of_another_process(path) == fingerprint_of(b"dddd")
    change("bbbb", 2)
    assert files_fingerprint([path]) == hash_of_another_process(path) == fingerprint_of(b"bbbb")
    change("ccccc", 2)
    assert files_fingerprint([path]) == hash_of_another_process(path) == fingerprint_of(b"ccccc")


def test_the_fingerprint_of_a_split_covers_every_source_and_language(mirror):
    for lang in ("de", "fr"):
        mirror(f"{lang}/test-0.parquet", [pair(lang)])
    task = nli_task()
    both = data_fingerprint(task, split="test", langs=["de", "fr"], place=mirror.place)
    assert both == load_examples(task, split="test", langs=["de", "fr"], place=mirror.place).fingerprint
    assert len({both, *(data_fingerprint(task, split="test", langs=[lang], place=mirror.place) for lang in ("de", "fr"))}) == 3
