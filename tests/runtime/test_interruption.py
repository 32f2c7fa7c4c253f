"""Signals that end a process: raised at once, after a block that is held, or not at all where the process was started so."""

import os
import signal

import pytest

from harness.runtime.interruption import ENDING, Interrupted, ending_signals, held, waiting


def send(by):
    os.kill(os.getpid(), by)


@pytest.fixture(autouse=True)
def hears_of_a_closed_terminal():
    """Also where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_each_signal_ends_what_runs_with_the_code_of_shells(by, code):
    before = [signal.getsignal(each) for each in ENDING]
    with pytest.raises(Interrupted) as caught, ending_signals():
        send(by)
    assert (caught.value.by, caught.value.exit_code) == (by, code)
    assert [signal.getsignal(each) for each in ENDING] == before


def test_a_closed_pipe_has_the_code_of_a_program_that_it_ends():
    assert Interrupted(signal.SIGPIPE).exit_code == 141


def test_what_is_held_is_done_wholly():
    done = []

    def work():
        with held():
            with held():
                send(signal.SIGTERM)
                done.append(1)
            done.append(2)
        done.append(3)

    with pytest.raises(Interrupted), ending_signals():
        work()
    assert done == [1, 2]


def test_a_signal_that_is_told_twice_at_once_is_one():
    done = []

    def work():
        with held():
            send(signal.SIGINT)
            send(signal.SIGTERM)
            assert waiting() == signal.SIGINT
        done.append(1)

    with pytest.raises(Interrupted) as caught, ending_signals(), held(echo=30.0):
        work()
    assert (done, caught.value.by, waiting()) == ([1], signal.SIGINT, None)


def test_a_second_signal_does_not_wait():
    done = []

    def work():
        send(signal.SIGTERM)
        send(signal.SIGINT)
        done.append(1)

    with pytest.raises(Interrupted) as caught, ending_signals(), held():
        work()
    assert (done, caught.value.by) == ([], signal.SIGINT)
    with ending_signals(), held():
        pass  # nothing is left of it


def test_a_failure_in_what_is_held_does_not_swallow_the_signal():
    def work():
        send(signal.SIGTERM)
        raise ValueError

    with pytest.raises(Interrupted), ending_signals(), held():
        work()


@pytest.mark.parametrize("by", ENDING)
def test_a_signal_that_is_ignored_from_the_start_stays_ignored(by):
    """As SIGHUP is under nohup, and SIGINT behind & in a script."""
    before = signal.signal(by, signal.SIG_IGN)
    try:
        with ending_signals():
            send(by)
        assert signal.getsignal(by) == signal.SIG_IGN
    finally:
        signal.signal(by, before)
