"""Progress: a bar on a terminal, else a line every half minute and one at the end."""

import os
import pty
import re
import subprocess
import sys
import termios

import pytest

from harness.api.progress import ProgressLines, duration, pace, progress_bar, progress_over
from harness.api.registry import ROOT


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_a_line_every_half_minute_and_one_at_the_end(capsys):
    clock = Clock()
    with ProgressLines("train x", total=1000, unit="step", last_line=True, clock=clock) as shown:
        for _ in range(1000):
            clock.now += 0.25
            shown.set_postfix(loss="0.71", refresh=False)
            shown.update()
    said = lines(capsys)
    assert said[0] == "train x: 120 of 1,000 steps (12%), 4.0 steps/s, 3:40 to go, loss 0.71"
    assert len(said) == 9
    assert said[-1] == "train x: 1,000 steps in 4:10, 4.0 steps/s, loss 0.71"


def test_what_was_done_before_is_no_part_of_the_rate(capsys):
    clock = Clock()
    with ProgressLines("train x", total=100, unit="step", initial=50, clock=clock) as shown:
        clock.now += 40
        shown.update(10)
    assert lines(capsys) == [
        "train x: 60 of 100 steps (60%), 4.0 s a step, 2:40 to go",
        "train x: 60 of 100 steps in 0:40, 4.0 s a step",
    ]


def test_what_takes_a_moment_is_not_spoken_of(capsys):
    with progress_bar("encode", total=3, unit="cell") as shown:
        shown.update(3)
    assert list(progress_over([1, 2], "read", unit="row")) == [1, 2]
    with progress_bar("predict", total=3, unit="token", stays=True, shown=False) as shown:
        shown.update(3)
    assert lines(capsys) == []


def test_numbers_as_they_are_read():
    assert [duration(s) for s in (0.04, 9.94, 61, 3661)] == ["0.0 s", "9.9 s", "1:01", "1:01:01"]
    assert [pace(p, "step") for p in (0.025, 1, 99.94, 12345.6)] == [
        "40.0 s a step",
        "1.0 steps/s",
        "99.9 steps/s",
        "12,346 steps/s",
    ]


PROGRAM = """
from harness.api.progress import progress_bar, tell
import time
with progress_bar("train x", total=4, unit="step", stays=True) as shown:
    for _ in range(4):
        time.sleep(0.7)
        shown.update()
tell("end")
"""


@pytest.mark.parametrize("terminal", [True, False])
def test_bars_are_for_terminals(terminal):
    mine, theirs = pty.openpty() if terminal else os.pipe()
    if terminal:
        termios.tcsetwinsize(theirs, (24, 80))
    ran = subprocess.Popen([sys.executable, "-c", PROGRAM], stderr=theirs, cwd=ROOT)
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(mine, 1000)
        except OSError:  # a terminal that nobody writes to any more
            part = b""
        if not part:
            break
        said += part
    assert ran.wait() == 0
    os.close(mine)
    assert said.endswith(b"end\r\n" if terminal else b"end\n")
    assert (b"\r" in said.replace(b"\r\n", b"")) == terminal
    assert (b"%|" in said) == terminal
    if not terminal:
        assert re.fullmatch(rb"train x: 4 steps in [0-9.]+ s, [0-9.]+ (steps/s|s a step)\nend\n", said)
