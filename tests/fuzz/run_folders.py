"""Fuzzer of what our own commands read back: run folders and submission files with one file in them that nobody wrote so.

case = make(random.Random("1 7"), folder)       # case.commands: leaderboard, compare and submission
"""

import functools
import json
import random
import shutil
import tempfile
from pathlib import Path

from fuzzing import FuzzCase
from hostile_values import TEXTS, mangled
from small_submission import write_submission
from written_runs import nli, seal_again

VALUES = (None, True, 0, -1, 1.5, 1e308, 2**70, "", "x", [], {}, [None], [[]], {"a": None}, [1, 2], "9" * 400, *TEXTS[:12])
RAW = ("NaN", "Infinity", "9" * 5000, "1e999", "[" * 3000 + "]" * 3000, '"\\ud800"', '{"a": 1, "a": 2}', "tru", '"\x01"')


@functools.cache
def _original() -> tuple[Path, list[str]]:
    """A run as it should be, and its files."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-run-"))
    nli(folder / "run", seeds=(1, 2)).write()
    write_submission(folder / "predictions", folder / "labels")
    return folder, [str(path.relative_to(folder)) for path in sorted((folder / "run").rglob("*")) if path.is_file()]


def _changed(text: str, rng: random.Random) -> str:
    """JSON with another value somewhere."""
    whole = json.loads(text)
    places, waiting = [], [whole]
    while waiting:
        held = waiting.pop()
        for key in list(held) if isinstance(held, dict) else range(len(held)):
            places.append((held, key))
            if isinstance(held[key], dict | list) and held[key]:
                waiting.append(held[key])
    if not places:
        return rng.choice(RAW)
    held, key = rng.choice(places)
    pick = rng.random()
    if pick < 0.2:
        del held[key]
    elif pick < 0.35:
        held[key] = "@@"
        return json.dumps(whole).replace('"@@"', rng.choice(RAW), 1)
    elif pick < 0.45 and isinstance(held, dict):
        held[rng.choice(TEXTS)] = held.pop(key)
    else:
        held[key] = rng.choice(VALUES)
    return json.dumps(whole)


def spoil(path: Path, rng: random.Random) -> str:
    """One thing wrong with a file."""
    pick = rng.random()
    if pick < 0.05:
        path.unlink()
        return "removed"
    if pick < 0.1:
        path.unlink()
        path.mkdir()
        return "a folder"
    if pick < 0.3 or path.suffix not in (".json", ".jsonl"):
        path.write_bytes(mangled(path.read_bytes(), rng))
        return "bytes"
    lines = path.read_text(encoding="utf-8").splitlines() if path.suffix == ".jsonl" else [path.read_text(encoding="utf-8")]
    number = rng.randrange(len(lines))
    lines[number] = _changed(lines[number], rng)
    path.write_bytes("\n".join([*lines, ""]).encode("utf-8", "surrogatepass"))
    return "a value"


def make(rng: random.Random, folder: Path) -> FuzzCase:
    """A run folder, or a submission with its labels, of which one file is spoilt."""
    original, files = _original()
    if rng.random() < 0.25:
        for side in ("predictions", "labels"):
            shutil.copytree(original / side, folder / side)
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        path = rng.choice(found)
        what = f"{path.relative_to(folder)}: {spoil(path, rng)}"
        return FuzzCase(what, (("submission", "score", str(folder / "predictions"), str(folder / "labels")),))
    shutil.copytree(original / "run", folder / "run")
    name = rng.choice([file for file in files if "/requests/" in file] * 20 + files)
    path = folder / name
    what = f"{name}: {spoil(path, rng)}"
    done = path.parent / "done.json"
    if path.name not in ("done.json", "0123456789.json") and path.is_file() and done.is_file() and rng.random() < 0.7:
        seal_again(path.parent)
        what += ", sealed again"
    run = str(folder / "run")
    commands = [
        ("leaderboard", run, "--html", str(folder / "report.html")),
        ("compare", run),
        ("submission", "export", run, "--output", str(folder / "out"), "--partial"),
    ]
    return FuzzCase(what, tuple(commands))
