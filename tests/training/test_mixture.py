"""Which items each training step sees."""

import numpy as np
import pytest

from harness.api.randomness import generator, seed_of
from harness.training.mixture import CAP, Mixture, SampledTask, rates, shares

SEED = 6564275157354722495
# Rows of the training splits on the hub, and the probabilities that min(rows, 2^17) gives them.
HUB = {
    "anli_plus": 1104934, "mnli": 392702, "qqp": 363846, "squad_v2": 130319, "squad_v1": 87599, "hellaswag": 39905,
    "ccg": 38015, "cosmosqa": 25262, "commonsenseqa": 9741,
}  # fmt: skip
GOLDEN = {
    "anli_plus": 0.1810, "mnli": 0.1810, "qqp": 0.1810, "squad_v2": 0.1800, "squad_v1": 0.1210, "hellaswag": 0.0551,
    "ccg": 0.0525, "cosmosqa": 0.0349, "commonsenseqa": 0.0135,
}  # fmt: skip


def component(name, *strata, batch_size=4, alpha=None):
    return SampledTask(name=name, strata=strata, num_examples=sum(strata), batch_size=batch_size, alpha=alpha)


def alone(name, size, *, batch_size, seed=1):
    return Mixture(components=[component(name, size, batch_size=batch_size)], seed=seed)


def test_each_epoch_sees_every_item_once_in_another_order():
    schedule = alone("a", 10, batch_size=4)
    steps = [schedule.step(number) for number in range(6)]
    assert [len(step.items) for step in steps] == [4, 4, 2, 4, 4, 2]
    assert [step.epoch for step in steps] == [0, 0, 0, 1, 1, 1]
    first, second = (np.concatenate([step.items for step in steps[n : n + 3]]) for n in (0, 3))
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)


def test_a_step_does_not_depend_on_the_steps_before_it():
    straight = alone("a", 10, batch_size=4)
    expected = [straight.step(number).items.tolist() for number in range(9)]
    for number in (8, 0, 5, 1):
        assert alone("a", 10, batch_size=4).step(number).items.tolist() == expected[number]
        assert straight.step(number).items.tolist() == expected[number]


@pytest.mark.parametrize("other", [alone("a", 50, batch_size=50, seed=2), alone("b", 50, batch_size=50)])
def test_seed_and_task_change_the_order(other):
    assert other.step(0).items.tolist() != alone("a", 50, batch_size=50).step(0).items.tolist()


@pytest.mark.parametrize(
    ("epochs", "max_steps", "steps"), [(2, None, 6), (None, 5, 5), (2, 5, 5), (1, 5, 3), (0.5, None, 2), (0.1, None, 1)]
)
def test_number_of_steps(epochs, max_steps, steps):
    assert alone("a", 10, batch_size=4).steps_for(epochs=epochs, max_steps=max_steps) == steps


def test_seeds_of_names_are_fixed_and_do_not_run_together():
    assert seed_of("order", "mnli", 3, seed=1) == SEED
    assert len({seed_of("ab", "c", seed=1), seed_of("a", "bc", seed=1), seed_of("abc", seed=1), seed_of("ab", "c", seed=2)}) == 4
    assert generator("x", seed=1).integers(1 << 30) == generator("x", seed=1).integers(1 << 30)


def test_rates_are_those_of_the_paper():
    found = rates(HUB)
    assert {name: round(rate, 4) for name, rate in found.items()} == GOLDEN
    assert sum(min(size, CAP) for size in HUB.values()) == 724057
    assert rates({"mnli": 392702, "mlm": 2_000_000}) == {"mnli": 0.5, "mlm": 0.5}


def test_other_samplings():
    sizes = {"a": 100, "b": 25}
    assert rates(sizes) == {"a": 0.8, "b": 0.2}
    assert rates(sizes, sampling="uniform") == {"a": 0.5, "b": 0.5}
    assert rates(sizes, sampling="temperature", temperature=2.0) == pytest.approx({"a": 2 / 3, "b": 1 / 3})
    assert rates(sizes, cap=25) == {"a": 0.5, "b": 0.5}


def mixture(**how):
    return Mixture(components=[component("a", 30), component("b", 10, batch_size=2)], seed=3, **how)


def test_a_mixture_draws_each_task_at_its_rate_and_goes_through_its_items():
    schedule = mixture()
    steps = [schedule.step(number) for number in range(4000)]
    assert sum(step.task == "a" for step in steps) / 4000 == pytest.approx(0.75, abs=0.02)
    for name, size, batch in (("a", 30, 4), ("b", 10, 2)):
        own = [step for step in steps if step.task == name]
        epoch = -(-size // batch)
        for number in range(3):
            items = np.concatenate([step.items for step in own[number * epoch : (number + 1) * epoch]])
            assert sorted(items) == list(range(size))
            assert {step.epoch for step in own[number * epoch : (number + 1) * epoch]} == {number}


def test_a_step_of_a_mixture_does_not_depend_on_the_steps_before_it():
    straight = [(step.task, step.items.tolist()) for step in map(mixture().step, range(200))]
    late = mixture()
    for number in (199, 3, 70000, 150):
        found = late.step(number)
        if number < 200:
            assert (found.task, found.items.tolist()) == straight[number]
    assert late.task_of(199) == straight[199][0]


def test_an_epoch_of_a_mixture_counts_each_task_up_to_the_cap():
    assert mixture().steps_per_epoch == 8 + 5
    assert mixture(cap=8).steps_per_epoch == 2 + 4


def test_small_languages_get_more_than_their_share():
    assert shares([800, 100, 100], 1.0) == [800, 100, 100]
    assert shares([800, 100, 100], 0.0) == [334, 333, 333]
    big, small, empty = shares([10_000, 100, 0], 0.3)
    assert (big + small, empty) == (10_100, 0)
    assert small / big == pytest.approx((100 / 10_000) ** 0.3, rel=1e-3)


def test_languages_are_gone_through_in_turn_whatever_their_share():
    schedule = Mixture(components=[component("mlm", 90, 10, batch_size=20, alpha=0.3)], seed=1)
    per_epoch = shares([90, 10], 0.3)
    seen = [np.concatenate([schedule.step(5 * epoch + n).items for n in range(5)]) for epoch in range(6)]
    for items in seen:
        assert [int((items < 90).sum()), int((items >= 90).sum())] == per_epoch
    small = np.concatenate(seen)
    counts = np.bincount(small[small >= 90] - 90, minlength=10)
    assert counts.max() - counts.min() <= 1
    large = np.bincount(small[small < 90], minlength=90)
    assert large.max() - large.min() <= 1
