"""What is remembered between runs is believed only as it was written: anything else is made again, and no command minds."""

import os
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_models import make_folder
from small_tasks import write_tasks

import run_eval
from harness.api.cache import FIRST_LINE, cache_folder, is_sealed, recall, recall_bytes, remember, remember_bytes, seal_folder
from harness.api.file_states import COARSE_NS, DOUBT_NS, FileState
from models.loading.files import locate

SECOND = 1_000_000_000
GARBAGE = [b"", b"{}", b"null", b"[]", b"5", b'{"a": 1', b"\xff\x00" * 40, b"[" * 100_000, b"9" * 5000, b'{"labels": "abc"}']


def test_what_is_remembered_comes_back(tmp_path):
    store = tmp_path / "deep" / "er" / "store.json"
    remember(store, {"a": [1, "é"]})
    assert recall(store) == {"a": [1, "é"]}
    assert [path.name for path in store.parent.iterdir()] == ["store.json"]
    remember_bytes(store, np.arange(3, dtype="<u8").tobytes())
    assert np.frombuffer(recall_bytes(store), "<u8").tolist() == [0, 1, 2]
    assert recall(store) == {}


@pytest.mark.parametrize("content", GARBAGE, ids=range(len(GARBAGE)))
def test_what_nobody_remembered_is_nothing(tmp_path, content):
    store = tmp_path / "store.json"
    store.write_bytes(content)
    assert (recall(store), recall_bytes(store)) == ({}, None)
    remember(store, {"a": 1})
    whole = store.read_bytes()
    assert whole.startswith(FIRST_LINE)
    store.write_bytes(whole.replace(b'"a"', b'"b"'))  # edited: well-formed, of the right size
    assert recall(store) == {}
    store.write_bytes(whole[:-1])
    assert recall(store) == {}
    store.write_bytes(whole)
    assert recall(store) == {"a": 1}


def test_nothing_happens_where_nothing_can_be_remembered(tmp_path):
    (tmp_path / "file").write_text("")
    for store in (tmp_path / "file" / "x.json", tmp_path / ("n" * 300) / "x", tmp_path / ("d/" * 2500) / "x"):
        remember(store, {"a": 1})
        assert recall(store) == {}
    (tmp_path / "folder.json").mkdir()
    remember(tmp_path / "folder.json", {"a": 1})
    assert recall(tmp_path / "folder.json") == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.json"], "no temporary file is left"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"XLIFT_CACHE_DIR": "/c"}, "/c"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/xlift"),
        ({"XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/xlift"),
        ({"XDG_CACHE_HOME": "relative/folder", "HOME": "/h"}, "/h/.cache/xlift"),
        ({"XLIFT_CACHE_DIR": "~no_such_user_here/x"}, "/dev/null/xlift"),
    ],
)
def test_where_the_cache_lies(monkeypatch, variables, expected):
    for name in ("XLIFT_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(cache_folder()) == expected


def told(words, capsys):
    code = run_eval.main(words)
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture
def request_words(tmp_path):
    (tmp_path / "mine").mkdir()
    folder = write_tasks(tmp_path / "mine")
    words = ["--include_path", str(folder), "--data_dir", str(folder), "--recipe", "short", "--quiet"]
    return [*words, "--model", "oracle", "--tasks", "right,bare"]


@pytest.mark.slow
def test_no_command_minds_a_broken_cache(request_words, tmp_path, capsys, monkeypatch):
    """Every file that a plan and a run leave in the cache is broken in every way; they print what they printed before."""
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path / "cache"))
    plan = ["plan", *request_words, "--output_path", str(tmp_path / "none")]
    run = [*request_words, "--output_path", str(tmp_path / "runs")]
    whole = told(plan, capsys), told(run, capsys)
    assert (whole[0][0], whole[1][0]) == (0, 0)
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} >= {"cache", "right_rows", "overlaps"}
    for content in GARBAGE:
        for path in files:
            path.write_bytes(content)
        for path in (tmp_path / "mine").glob("*.jsonl"):
            os.utime(path)  # else this process remembers their hashes by itself
        shutil.rmtree(tmp_path / "runs")
        assert (told(plan, capsys), told(run, capsys)) == whole
    for path in files:
        assert path.read_bytes().startswith(FIRST_LINE), "made again"


@pytest.mark.parametrize("place", ["file", "read-only", "too long", "no home", "below a file", "folders for files"])
def test_no_command_minds_a_cache_that_cannot_be_written(request_words, tmp_path, capsys, monkeypatch, place):
    plan = ["plan", *request_words, "--output_path", str(tmp_path / "none")]
    run = [*request_words, "--output_path", str(tmp_path / "runs")]
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path / "cache"))
    whole = told(plan, capsys), told(run, capsys)
    shutil.rmtree(tmp_path / "runs")
    (tmp_path / "file").write_text("")
    folders = tmp_path / "folders"
    for name in ("file_hashes.entries", "row_counts.entries"):
        (folders / name).mkdir(parents=True)
    places = {
        "file": tmp_path / "file",
        "read-only": "/proc/1/cache",
        "too long": "/" + "n" * 300,
        "no home": "~no_such_user_here",
        "below a file": tmp_path / "file" / "x",
        "folders for files": folders,
    }
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(places[place]))
    assert (told(plan, capsys), told(run, capsys)) == whole
    assert (tmp_path / "file").read_text() == ""


def pickled(folder):
    """A model folder with its weights as a pickle."""
    make_folder("xlm-roberta", folder)
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    return folder


def test_converted_weights_that_are_torn_are_converted_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path / "cache"))
    folder = pickled(tmp_path / "model")
    first = locate(str(folder))
    assert first.parent == tmp_path / "cache" / "converted"
    weights = first / "model.safetensors"
    content = weights.read_bytes()
    inode = weights.stat().st_ino
    assert locate(str(folder)) == first
    assert weights.stat().st_ino == inode, "converted once"
    for broken in (b"", content[:-9], content[:-1] + bytes([content[-1] ^ 1])):
        weights.write_bytes(broken)
        assert locate(str(folder)) == first
        assert weights.read_bytes() == content
    (first / "config.json").unlink()
    assert (locate(str(folder)) / "config.json").is_file()
    shutil.rmtree(first)
    first.write_text("a file in its place")
    assert locate(str(folder)) == first
    assert weights.read_bytes() == content
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_weights_are_converted_though_the_cache_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path / "file"))
    folder = pickled(tmp_path / "model")
    found = locate(str(folder))
    assert (found / "model.safetensors").is_file()
    assert locate(str(folder)) == found


def test_files_that_others_write_for_a_moment_are_no_part_of_a_folder(tmp_path):
    """Several processes that find a folder doubtful, as it was made just now, write its seal anew at once."""
    (tmp_path / "weights").write_bytes(b"1")
    seal_folder(tmp_path)
    sealed = recall(tmp_path / "sealed")
    assert [*sealed] == ["weights"]
    (tmp_path / "tmp1").symlink_to(tmp_path / "gone")  # listed, and not there when it is looked at
    (tmp_path / "tmp2").write_bytes(b"{}")
    assert is_sealed(tmp_path)
    again = recall(tmp_path / "sealed")
    assert [*again] == ["weights"]
    assert again != sealed  # it was doubtful, and written anew
    (tmp_path / "tmp2").unlink()
    assert is_sealed(tmp_path)


def test_a_seal_says_whether_a_folder_is_whole(tmp_path):
    assert not is_sealed(tmp_path)
    (tmp_path / "a").write_text("aaaa")
    assert not is_sealed(tmp_path)
    seal_folder(tmp_path)
    assert is_sealed(tmp_path)
    (tmp_path / "a").write_text("aaaa")  # another time, the same content
    assert is_sealed(tmp_path)
    (tmp_path / "a").write_text("bbbb")
    assert not is_sealed(tmp_path)
    (tmp_path / "a").unlink()
    assert not is_sealed(tmp_path)


NOW = 1_800_000_000 * SECOND + 123_456_789
LONG_AGO = FileState(size=4, inode=7, mtime_ns=NOW - 100 * SECOND, ctime_ns=NOW - 100 * SECOND)


def test_a_state_is_certain_long_after_the_last_change():
    assert LONG_AGO.is_certain(looked_at=NOW, now=NOW + 5)
    assert LONG_AGO.is_certain(looked_at=LONG_AGO.ctime_ns + DOUBT_NS + 1, now=NOW)


def test_a_file_that_had_just_changed_when_it_was_looked_at_is_in_doubt():
    assert not LONG_AGO.is_certain(looked_at=LONG_AGO.ctime_ns + DOUBT_NS, now=NOW)
    touched = LONG_AGO._replace(mtime_ns=NOW + SECOND)  # set by hand, into the future
    assert not touched.is_certain(looked_at=NOW, now=NOW + 5)


def test_a_clock_that_was_set_back_leaves_a_doubt():
    """It comes by the times again that the file shows, and a change then would show them too."""
    assert not LONG_AGO.is_certain(looked_at=NOW, now=NOW - 101 * SECOND)
    assert not LONG_AGO.is_certain(looked_at=NOW, now=NOW - 1)


@pytest.mark.parametrize("step", [2 * SECOND, SECOND, 10_000_000])
def test_times_in_coarse_steps_are_never_certain(step):
    """FAT counts in 2 s, HFS+ and old ext in 1 s, exFAT in 10 ms: two changes in one step show the same."""
    coarse = LONG_AGO._replace(ctime_ns=LONG_AGO.ctime_ns // step * step)
    assert coarse.ctime_ns % COARSE_NS == 0
    assert not coarse.is_certain(looked_at=NOW, now=NOW + 5)


def test_the_state_is_that_of_the_file_system(tmp_path):
    path = tmp_path / "a"
    path.write_text("aaaa")
    stat = os.stat(path)
    assert FileState.of(path) == (4, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns)
