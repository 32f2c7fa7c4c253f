"""Which items each training step sees."""

import numpy as np
import pytest

from harness.mixture import Schedule
from harness.randomness import generator, seed_of

SEED = 6564275157354722495


def test_each_epoch_sees_every_item_once_in_another_order():
    schedule = Schedule(sizes={"a": 10}, batch_size=4, seed=1)
    steps = [schedule.step(number) for number in range(6)]
    assert [len(step.items) for step in steps] == [4, 4, 2, 4, 4, 2]
    assert [step.epoch for step in steps] == [0, 0, 0, 1, 1, 1]
    first, second = (np.concatenate([step.items for step in steps[n : n + 3]]) for n in (0, 3))
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)


def test_a_step_does_not_depend_on_the_steps_before_it():
    straight = Schedule(sizes={"a": 10}, batch_size=4, seed=1)
    expected = [straight.step(number).items.tolist() for number in range(9)]
    for number in (8, 0, 5, 1):
        assert Schedule(sizes={"a": 10}, batch_size=4, seed=1).step(number).items.tolist() == expected[number]
        assert straight.step(number).items.tolist() == expected[number]


@pytest.mark.parametrize(
    "other", [Schedule(sizes={"a": 50}, batch_size=50, seed=2), Schedule(sizes={"b": 50}, batch_size=50, seed=1)]
)
def test_seed_and_task_change_the_order(other):
    assert other.step(0).items.tolist() != Schedule(sizes={"a": 50}, batch_size=50, seed=1).step(0).items.tolist()


@pytest.mark.parametrize(
    ("epochs", "max_steps", "steps"), [(2, None, 6), (None, 5, 5), (2, 5, 5), (1, 5, 3), (0.5, None, 2), (0.1, None, 1)]
)
def test_number_of_steps(epochs, max_steps, steps):
    assert Schedule(sizes={"a": 10}, batch_size=4, seed=1).steps_for(epochs=epochs, max_steps=max_steps) == steps


def test_seeds_of_names_are_fixed_and_do_not_run_together():
    assert seed_of("order", "mnli", 3, seed=1) == SEED
    assert len({seed_of("ab", "c", seed=1), seed_of("a", "bc", seed=1), seed_of("abc", seed=1), seed_of("ab", "c", seed=2)}) == 4
    assert generator("x", seed=1).integers(1 << 30) == generator("x", seed=1).integers(1 << 30)
