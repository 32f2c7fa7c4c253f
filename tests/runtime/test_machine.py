"""What a machine can do: the number format that `auto` means, and how much is computed at a time."""

import pytest
import torch

from harness.data.locations import DataPlace
from harness.runtime.machine import Machine
from models.loading.pretrained import choose_dtype


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


def test_what_ran_out_of_memory_is_not_tried_again_whole():
    one = machine(device_name="cpu", batch_tokens=100)
    assert one.fits(100)
    one.remember_too_much(64)
    assert [one.fits(32), one.fits(33)] == [True, False]
    one.halve_training()
    assert (one.budget(train=True), one.budget(train=False)) == (50, 100)
