"""Batching: the plan keeps to its budget, and padding follows the Batch docstrings."""

import random

import pytest
import torch

from harness.api.errors import UserError
from harness.api.protocols import Feature
from harness.prediction.batching import check_lengths, collate, plan_batches, plan_packed_batches


def test_plan_by_hand():
    lengths = [3, 9, 3, 5, 9, 1]
    assert plan_batches(lengths, max_tokens=10) == [[1], [4], [3, 0], [2, 5]]
    assert plan_batches(lengths, max_tokens=18) == [[1, 4], [3, 0, 2], [5]]
    assert plan_batches(lengths, max_tokens=10**9, max_features=4) == [[1, 4, 3, 0], [2, 5]]
    assert plan_batches(lengths, max_tokens=1) == [[1], [4], [3], [0], [2], [5]]
    assert plan_batches([], max_tokens=10) == []


@pytest.mark.parametrize("seed", range(5))
def test_plans_hold_everything_once_within_the_budget(seed):
    rng = random.Random(seed)
    lengths = [rng.randrange(1, 60) for _ in range(rng.randrange(1, 300))]
    max_tokens, max_features = rng.choice([1, 50, 500]), rng.choice([1, 7, None])
    plan = plan_batches(lengths, max_tokens=max_tokens, max_features=max_features)
    assert sorted(index for batch in plan for index in batch) == list(range(len(lengths)))
    for batch in plan:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= max_tokens
        assert len(batch) <= (max_features or len(lengths))
    ordered = [lengths[index] for batch in plan for index in batch]
    assert ordered == sorted(lengths, reverse=True)


def feature(example, length, **fields):
    return Feature(example=example, input_ids=list(range(10, 10 + length)), **fields)


def test_collate_pads_to_the_right():
    batch = collate([feature(4, 2, type_ids=[0, 1], labels=[5, -100]), feature(9, 3, labels=[1, 2, 3]), feature(4, 1)], pad_id=7)
    assert batch.input_ids.tolist() == [[10, 11, 7], [10, 11, 12], [10, 7, 7]]
    assert batch.attention_mask.tolist() == [[1, 1, 0], [1, 1, 1], [1, 0, 0]]
    assert batch.type_ids.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert batch.labels.tolist() == [[5, -100, -100], [1, 2, 3], [-100, -100, -100]]
    assert batch.groups.tolist() == [0, 1, 0]
    assert {tensor.dtype for tensor in (batch.input_ids, batch.attention_mask, batch.labels, batch.groups)} == {torch.int64}


def test_collate_labels_of_each_kind():
    assert collate([feature(0, 2, labels=0), feature(1, 3)], pad_id=0).labels.tolist() == [0, -100]
    assert collate([feature(0, 5), feature(1, 2, labels=(0, 1))], pad_id=0).labels.tolist() == [[-100, -100], [0, 1]]
    none = collate([feature(0, 2), feature(1, 3)], pad_id=0)
    assert none.labels is None
    assert none.type_ids is None


def test_collate_rounds_the_width_up():
    assert collate([feature(0, 9, labels=[0] * 9)], pad_id=0, pad_to_multiple=8).labels.shape == (1, 16)
    assert collate([feature(0, 8)], pad_id=0, pad_to_multiple=8).input_ids.shape == (1, 8)
    assert collate([feature(0, 9)], pad_id=0).input_ids.shape == (1, 9)


def test_an_input_that_the_model_cannot_take_is_an_error_that_says_what_to_set():
    with pytest.raises(UserError, match="an input of 9 tokens is too long") as caught:
        check_lengths([Feature(example=0, input_ids=[1] * 9)], longest=8, where="here")
    assert "--model_args max_length=8" in str(caught.value)
    check_lengths([Feature(example=0, input_ids=[1] * 9)], longest=9, where="here")
    check_lengths([], longest=8, where="here")


@pytest.mark.parametrize("seed", range(20))
def test_packed_batches_cost_their_tokens(seed):
    rng = random.Random(seed)
    lengths = [rng.randint(1, 40) for _ in range(rng.randint(1, 60))]
    max_tokens = rng.choice([1, 45, 100, 10_000])
    plan = plan_packed_batches(lengths, max_tokens=max_tokens)
    assert sorted(index for batch in plan for index in batch) == [*range(len(lengths))]
    sums = [sum(lengths[index] for index in batch) for batch in plan]
    assert all(one <= max_tokens or len(batch) == 1 for one, batch in zip(sums, plan, strict=True))
    longest = [max(lengths[index] for index in batch) for batch in plan]
    assert longest == sorted(longest, reverse=True)
    if max_tokens >= max(lengths):
        assert len(plan) <= 1 + 11 / 9 * -(-sum(lengths) // max_tokens)  # as first-fit decreasing promises


def test_packed_batches_fill_what_room_there_is():
    assert plan_packed_batches([], max_tokens=10) == []
    assert plan_packed_batches([3, 50, 4], max_tokens=10) == [[1], [2, 0]]
    assert plan_packed_batches([600, 500, 400, 300], max_tokens=1024) == [[0, 2], [1, 3]]


def test_a_batch_says_where_tokens_have_labels():
    tags = [Feature(example=0, input_ids=[5, 6, 7], labels=[-100, 2, -100]), Feature(example=1, input_ids=[5, 6], labels=[1, 3])]
    batch = collate(tags, pad_id=0)
    assert batch.targets is not None
    assert batch.targets.tolist() == [1, 3, 4]
    assert batch.on(torch.device("meta")).targets.device.type == "meta"
    none = [Feature(example=0, input_ids=[5, 6], labels=[-100, -100])]
    assert collate(none, pad_id=0).targets.tolist() == []
    for labels in (None, 1, (0, 1)):
        assert collate([Feature(example=0, input_ids=[5, 6], labels=labels)], pad_id=0).targets is None
