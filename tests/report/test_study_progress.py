"""How far a study is: states of stages in a folder that other processes work in, and what is foretold of the rest."""

import fcntl
import os

from harness.commands._study_watch import _time
from harness.report.studies.progress import study_progress
from harness.runtime.arguments import ScoreArguments
from harness.runtime.stages import Stage

NOW = 100_000.0


def stage(lang):
    args = ScoreArguments(metrics=("accuracy",), signatures=("accuracy",), score=("accuracy.accuracy",), lang=lang, seed=0)
    return Stage(label=lang, args=args)


def put(root, made, *, began, ended=None, error=False):
    folder = made.folder(root)
    folder.mkdir(parents=True)
    for name, when in (("args.json", began), ("done.json", ended), ("error.txt", began if error else None)):
        if when is not None:
            (folder / name).write_text("{}")
            os.utime(folder / name, (when, when))
    return folder


def test_states_are_seen_from_outside(tmp_path):
    stages = {name: stage(name) for name in ("de", "sw", "th", "ja", "zh")}
    put(tmp_path, stages["de"], began=NOW - 50, ended=NOW - 40)
    put(tmp_path, stages["sw"], began=NOW - 9000, ended=NOW - 8000)
    put(tmp_path, stages["th"], began=NOW - 30, error=True)
    working = put(tmp_path, stages["ja"], began=NOW - 5)
    with (working / "lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        found = study_progress({"base": list(stages.values())}, root=tmp_path, now=NOW)
    one = found.backbones["base"]
    assert dict(one.counts) == {"done": 2, "running": 1, "failed": 1, "waiting": 1}
    assert (one.running, one.failed) == ((stages["ja"].name,), (stages["th"].name,))
    assert found.per_hour == 6.0  # one in the last ten minutes
    assert one.seconds_left == 2 * (10 + 1000) / 2
    # A stage that was killed waits for the next process.
    assert study_progress({"base": list(stages.values())}, root=tmp_path, now=NOW).counts["running"] == 0


def test_stages_that_run_together_count_together(tmp_path):
    stages = [stage(f"l{number}") for number in range(6)]
    for number, made in enumerate(stages[:4]):  # a bundle: all begin at once, one after another ends
        put(tmp_path, made, began=NOW - 100, ended=NOW - 60 + number)
    found = study_progress({"base": stages, "large": [stage("other")]}, root=tmp_path, now=NOW)
    assert found.backbones["base"].seconds_left == 2 * 43 / 4
    assert (found.backbones["large"].seconds_left, found.backbones["large"].untold, found.untold) == (0, 1, 1)


def test_time_is_said_in_hours_and_minutes():
    assert [_time(0, 0), _time(0, 3), _time(20, 0), _time(600, 0), _time(7260, 2)] == ["-", "?", "1 min", "10 min", "2 h 01 min+"]
