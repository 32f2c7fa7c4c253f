"""Fuzzer of what `errors` reads back: a run folder whose predictions, or their statistics and arguments, nobody wrote so.

case = make(random.Random("1 7"), folder)       # case.commands: errors
"""

import functools
import json
import random
import shutil
import tempfile
from pathlib import Path

from fuzzing import FuzzCase
from run_folders import spoil
from written_runs import LABELS, lines, nli, seal_again

LEARNT = {"fields": {"text": "a", "label": "label"}, "labels": list(LABELS), "metrics": ["accuracy"]}
"What the stages of written runs lack of a task."


@functools.cache
def _original() -> Path:
    """A run with predictions, as it should be."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-answers-")) / "run"
    nli(folder).write()
    for predict in sorted((folder / "predict").iterdir()):
        said = [{**line, "lang": "de", "scores": [-0.1, -2.5, -4]} for line in lines(100, 50, seed=1)]
        (predict / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said), encoding="utf-8")
        begun = json.loads((predict / "args.json").read_text(encoding="utf-8"))
        begun["args"]["spec"] |= LEARNT
        (predict / "args.json").write_text(json.dumps(begun), encoding="utf-8")
        seal_again(predict)
    return folder


def make(rng: random.Random, folder: Path) -> FuzzCase:
    """A run folder of which one file that `errors` reads is spoilt, and mostly sealed as if it had been written so."""
    run = folder / "run"
    shutil.copytree(_original(), run)
    names = [*["predict/*/predictions.jsonl"] * 4, "predict/*/args.json", "score/*/stats.npz"]
    path = rng.choice(sorted(run.glob(rng.choice(names))))
    what = f"{path.relative_to(folder)}: {spoil(path, rng)}"
    if path.is_file() and rng.random() < 0.9:
        seal_again(path.parent)
        what += ", sealed again"
    how = rng.choice((["-n", "0", "--all"], ["-n", "3"], ["--draw", "1"], ["--right"]))
    return FuzzCase(what, (("errors", str(run), "--task", "*", *how),))
