"""Pickled weights become safetensors: in little memory, once, whatever else goes on, and with a line that says so."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from harness.api.errors import UserError
from harness.api.registry import ROOT
from models.loading import conversion
from models.loading.files import locate

CONVERT = """
import re, sys, threading, time
from models.loading import conversion
from models.loading.files import locate

def anonymous():
    with open("/proc/self/status") as file:
        return int(re.search(r"RssAnon:\\s+(\\d+)", file.read())[1]) << 10

conversion.SHARD = int(sys.argv[2])
start = peak = anonymous()
done = []

def look():
    global peak
    while not done:
        peak = max(peak, anonymous())
        time.sleep(0.001)

watcher = threading.Thread(target=look, daemon=True)
watcher.start()
print(locate(sys.argv[1]))
done.append(True)
print(peak - start)
"""
NUM = 40
"Tensors of four megabytes: a shard is large beside what the imports of a conversion take."


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "converted"


@pytest.fixture
def pickled(tmp_path):
    """Two .bin files; the tensors of each share one long one, as training states do."""
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    for part in range(2):
        whole = torch.arange(NUM // 2 * (1 << 20), dtype=torch.float32) + part
        rows = {f"{part}.{number}": row for number, row in enumerate(whole.view(NUM // 2, -1))}
        torch.save(rows, folder / f"pytorch_model-{part + 1:05}-of-00002.bin")
    return folder


def started(folder, *, shard=1 << 20):
    command = [sys.executable, "-c", CONVERT, str(folder), str(shard)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def ended(process):
    out, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    place, peak = out.split()
    return Path(place), int(peak), told


def check(place):
    """All tensors are there with their values, by the index."""
    index = json.loads((place / "model.safetensors.index.json").read_text())["weight_map"]
    assert len(index) == NUM
    assert set(index.values()) == {path.name for path in place.glob("*.safetensors")}
    held = {name: tensor for file in set(index.values()) for name, tensor in load_file(place / file).items()}
    for part in range(2):
        assert torch.equal(held[f"{part}.3"], torch.arange(3 << 20, 4 << 20, dtype=torch.float32) + part)
    return index


@pytest.mark.slow
def test_a_conversion_holds_one_shard_and_says_what_it_does(pickled, cache):
    place, peak, told = ended(started(pickled, shard=16 << 20))
    assert place.parent == cache
    assert len(set(check(place).values())) == NUM / 4
    assert peak < 64 << 20  # of 160 MB: one shard of 16, what is read of it, and what the allocator keeps
    assert f"converting {pickled} (0.2 GB of pickled weights) to safetensors, once, in {place}" in told
    again, _, told = ended(started(pickled))
    assert again == place
    assert "converting" not in told


@pytest.mark.slow
def test_a_killed_conversion_leaves_nothing_that_counts(pickled, cache):
    process = started(pickled)
    deadline = time.monotonic() + 120
    while not list(cache.glob(".making-*/*.safetensors")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    left = list(cache.iterdir())
    assert [path.name[:8] for path in left] == [".making-"]
    place, _, told = ended(started(pickled))
    assert "converting" in told
    check(place)
    assert list(cache.iterdir()) == [place]


@pytest.mark.slow
def test_processes_that_want_the_same_convert_it_once(pickled, cache):
    processes = [started(pickled) for _ in range(3)]
    found = [ended(process) for process in processes]
    assert len({place for place, _, _ in found}) == 1
    assert sum("converting" in told for _, _, told in found) == 1
    check(found[0][0])
    assert list(cache.iterdir()) == [found[0][0]]


def test_a_disk_without_room_is_said_beforehand(pickled, monkeypatch):
    monkeypatch.setattr(conversion, "ROOM", 1e12)
    with pytest.raises(UserError, match=r"no room for a copy(.|\n)*GB free in(.|\n)*XLIFT_CACHE_DIR"):
        locate(str(pickled))


def test_a_pickle_of_nothing_is_refused(pickled):
    for file in pickled.glob("*.bin"):
        torch.save({}, file)
    with pytest.raises(UserError, match=r"these are no weights(.|\n)*no tensor at all"):
        locate(str(pickled))
