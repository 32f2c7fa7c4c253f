"""Steps that take far longer than they should are spoken of once, with the likely reason."""

import pytest

from harness.training.pace import Pace


class Clocks:
    """A machine whose time goes by as the test says."""

    def __init__(self, load):
        self.now = self.worked = 0.0
        self.load = load

    def pace(self, *, threads=2, cores=2):
        return Pace(threads=threads, cores=cores, clock=lambda: self.now, worked=lambda: self.worked, load=lambda: self.load)

    def steps(self, pace, *, seconds, number=1, tokens=100, share=1.0):
        for _ in range(number):
            with pace.step(tokens=tokens):
                self.now += seconds
                self.worked += 2 * share * seconds


@pytest.mark.parametrize(("load", "why"), [(5.0, "the machine is busy: a load of 5.0 on 2 cores"), (1.0, "not for want of")])
def test_far_slower_than_before(load, why):
    clocks = Clocks(load)
    pace = clocks.pace()
    clocks.steps(pace, seconds=3.5, number=6)
    assert pace.remark() is None
    clocks.steps(pace, seconds=40)
    said = pace.remark()
    assert said.startswith(f"a step takes 40.0 s, 11.4 times as long as before: {why}")
    clocks.steps(pace, seconds=40, number=5)
    assert pace.remark() is None, "once"


def test_a_machine_that_is_busy_from_the_start():
    clocks = Clocks(6.0)
    pace = clocks.pace()
    clocks.steps(pace, seconds=25, share=0.3)
    assert "gets 30% of its 2 threads' time" in pace.remark()


def test_longer_texts_are_no_reason():
    clocks = Clocks(1.0)
    pace = clocks.pace()
    clocks.steps(pace, seconds=3.5, number=6, tokens=100)
    clocks.steps(pace, seconds=35, tokens=1000)
    assert pace.remark() is None


def test_one_thread_that_gets_its_core_is_content():
    clocks = Clocks(6.0)
    pace = clocks.pace(threads=1)
    clocks.steps(pace, seconds=25, share=0.5)
    assert pace.remark() is None


def test_of_a_gpu_the_load_says_nothing():
    clocks = Clocks(60.0)
    pace = clocks.pace(threads=0, cores=0)
    clocks.steps(pace, seconds=5, number=4, share=0.0)
    assert pace.remark() is None
    clocks.steps(pace, seconds=21)
    assert "something else may use the device" in pace.remark()
