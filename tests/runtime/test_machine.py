"""What a machine can do: the number format that `auto` means, and how much is computed at a time."""

import pytest
import torch

from harness.data.locations import DataPlace
from harness.runtime.budget import Ceiling, TrainingBudget, ran_out_of_memory
from harness.runtime.machine import Machine
from models.loading.pretrained import choose_dtype

GIB = 1 << 30


def machine(**knobs):
    return Machine(place=DataPlace(), **knobs)


@pytest.mark.parametrize("in_hardware", [True, False])
def test_bfloat16_that_is_emulated_is_not_taken_for_hardware(in_hardware, monkeypatch):
    """A T4 or V100 computes bfloat16 by emulation, of which torch says that it is supported."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: in_hardware or including_emulation)
    expected = "bfloat16" if in_hardware else "float32"
    assert machine(device_name="cuda").dtype("auto") == expected
    assert choose_dtype("auto", device="cuda:1", inference=True) == getattr(torch, expected)
    assert machine(device_name="cuda").dtype("bfloat16") == "bfloat16"


def test_a_budget_leaves_room_beside_the_weights():
    """Of all the memory of a device, not of what is free: 256 KiB a token, a sixth of the memory kept back."""
    one = machine(device_name="cuda", device_memory=80 * GIB)
    assert one.tokens(train=False) == int(80 * GIB * 0.85 / (1 << 18))
    assert one.tokens(train=False, weights=GIB) == int((80 * GIB * 0.85 - GIB) / (1 << 18))
    assert one.tokens(train=True, weights=GIB) == int((80 * GIB * 0.85 - 4 * GIB) / (1 << 20))
    large = one.tokens(train=False, weights=16 * GIB)
    assert large == int((80 * GIB * 0.85 - 16 * GIB) / (1 << 20)), "four times as much for a token of a model of sixteen times"
    part = one.tokens(train=True, weights=4 * GIB, model=16 * GIB)
    assert part == int((80 * GIB * 0.85 - 16 * GIB) / (1 << 22)), "a layer is whole while it computes"
    assert one.tokens(train=True, weights=30 * GIB) == 512, "it is tried all the same"
    assert machine(device_name="cuda", device_memory=80 * GIB, batch_tokens=77).tokens(train=False, weights=GIB) == 77


def test_what_ran_out_of_memory_is_not_tried_again_whole():
    one = Ceiling(100)
    assert one.fits(100)
    one.too_much(64)
    assert [one.fits(32), one.fits(33)] == [True, False]
    one.begin(1)
    assert [one.fits(32), one.fits(33)] == [True, False]


def test_what_was_learnt_holds_from_the_batch_on_in_which_it_was_learnt():
    """An interrupted run comes to it as the uninterrupted one did: whole batches before, and whole at first in that batch."""
    written = []
    one = Ceiling(100, on_learning=lambda learnt: written.append(list(learnt)))
    for batch in range(5):
        one.begin(batch)
        if batch == 2:
            one.too_much(100)
            one.too_much(50)
    assert written == [[(2, 50)], [(2, 50), (2, 25)]]
    again = Ceiling(100, learnt=written[-1], on_learning=lambda _: pytest.fail("nothing new is learnt"))
    found = []
    for batch in range(5):
        again.begin(batch)
        found.append(again.most)
    assert found == [100, 100, 100, 25, 25]
    again.begin(2)
    again.too_much(100)
    assert again.most == 50


def test_a_training_goes_on_with_the_budget_it_had():
    before = TrainingBudget(planned=100)
    before.halve()
    now = TrainingBudget(planned=400)
    now.go_on(before, wanted=False)
    assert now.tokens == 50
    now = TrainingBudget(planned=100)
    now.go_on(before, wanted=True)
    assert now.tokens == 50
    now = TrainingBudget(planned=20)
    now.go_on(before, wanted=True)  # another --batch_tokens than before
    assert now.tokens == 20


def test_running_out_of_memory_is_told_from_other_mistakes():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert ran_out_of_memory(caught.value)
    assert ran_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not ran_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
