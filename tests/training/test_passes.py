"""Which passes the processes of a step make: each feature once, and everyone equally often."""

import pytest

from harness.api.protocols import Feature
from harness.prediction.batching import plan_batches
from harness.training.passes import plan_passes


def feature(length, example):
    return Feature(example=example, input_ids=[1] * length)


def planned(lengths, *, processes, tokens):
    groups = [[feature(length, number)] for number, length in enumerate(lengths)]
    cut = lambda features: plan_batches([len(one.input_ids) for one in features], max_tokens=tokens)  # noqa: E731
    return plan_passes(groups, pieces=cut, processes=processes)


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_every_feature_counts_once_and_all_make_as_many_passes(processes):
    lengths = [9, 3, 8, 2, 2, 7, 30]
    plan = planned(lengths, processes=processes, tokens=12)
    assert len(plan.pieces) == processes
    assert len({len(own) for own in plan.pieces}) == 1
    counted = [i for own in plan.pieces for piece in own if piece.counts for i in piece.indices]
    assert sorted(counted) == list(range(len(lengths)))
    numbers = [piece.number for own in plan.pieces for piece in own]
    assert sorted(numbers) == list(range(len(numbers)))
    empty = [piece for own in plan.pieces for piece in own if not piece.counts]
    assert all(piece.indices == [3] for piece in empty)
    assert bool(empty) == (processes > 1)


def test_processes_without_an_item_make_empty_passes():
    plan = planned([4, 5], processes=4, tokens=100)
    assert [[piece.counts for piece in own] for own in plan.pieces] == [[True], [True], [False], [False]]
    assert not plan.is_one


def test_features_of_an_item_stay_together():
    groups = [[feature(3, 0), feature(4, 0)], [feature(2, 1)], [feature(9, 2), feature(1, 2)]]
    plan = plan_passes(groups, pieces=lambda own: [list(range(len(own)))], processes=2)
    assert [[piece.indices for piece in own] for own in plan.pieces] == [[[0, 1, 3, 4]], [[2]]]
    assert plan_passes(groups, pieces=lambda own: [list(range(len(own)))], processes=1).is_one
