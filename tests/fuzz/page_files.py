"""Fuzzer of what only the page reads of a run folder: study.json, logs of trainings, predictions; one of them is spoilt.

case = make(random.Random("1 7"), folder)       # case.commands: leaderboard --html
"""

import functools
import json
import random
import shutil
import tempfile
from pathlib import Path

from fuzzing import FuzzCase
from made_up_boards import made_up_study
from run_folders import spoil
from written_runs import nli, seal_again

STEPS = [{"step": 1, "loss": 1.5}, {"step": 2, "loss": 1.25}, {"step": 2, "english_score": 80.0}]
ANSWERS = [{"id": str(n), "gold": "yes", "prediction": "no", "notes": ["cut"], "num_truncated": 0} for n in range(3)]


@functools.cache
def _original() -> tuple[Path, list[str]]:
    """A run with all that a page reads, and these files; study.json, which holds the most, as often as all others."""
    run = nli(Path(tempfile.mkdtemp(prefix="fuzz-page-")) / "run").write()
    study = made_up_study(backbones={"small": 1e7, "large": 1e9}, settings=["mnli"], targets={"xnli": ["en", "de"]})
    (run / "study.json").write_text(json.dumps(study), encoding="utf-8")
    found = []
    for stages, name, lines in (("train", "log.jsonl", STEPS), ("predict", "predictions.jsonl", ANSWERS)):
        for stage in sorted((run / stages).iterdir()):
            (stage / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
            seal_again(stage)
            found.append(str((stage / name).relative_to(run)))
    return run, [*found, *["study.json"] * len(found)]


def make(rng: random.Random, folder: Path) -> FuzzCase:
    """A run folder of which one file is spoilt."""
    original, files = _original()
    run = folder / "run"
    shutil.copytree(original, run)
    name = rng.choice(files)
    what = f"{name}: {spoil(run / name, rng)}"
    if (run / name).is_file() and (run / name).parent != run:
        seal_again((run / name).parent)
    command = ("leaderboard", str(run), "--html", str(folder / "report.html"))
    return FuzzCase(what, (command if rng.random() < 0.7 else (*command, "--examples", "2"),))
