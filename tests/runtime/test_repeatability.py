"""Sums have one order: what torch is told, what is said where it cannot, and equal bytes of equal runs on a GPU."""

import os

import pytest
import torch
from small_runs import Project, differences

from harness.prediction.failures import failure_of, message_of
from harness.runtime.repeatability import is_repeatable, make_repeatable, unrepeatable


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """These choices are the process's: later tests find them as they were."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)
    torch.backends.cuda.enable_cudnn_sdp(True)


def unpool() -> torch.Tensor:
    """An operation of which torch has no ordered kernel anywhere."""
    return torch.nn.functional.max_unpool2d(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.long), 2)


def test_an_operation_without_an_ordered_kernel_is_named_with_the_way_out():
    make_repeatable("cpu", wanted=True)
    with pytest.raises(RuntimeError) as caught:
        unpool()
    told = str(unrepeatable(caught.value))
    assert "max_unpooling2d_forward_out" in told
    assert "--unrepeatable" in told
    assert "torch.use_deterministic" not in told


def test_what_is_not_wanted_is_not_asked_of_torch():
    make_repeatable("cpu", wanted=True)
    make_repeatable("cpu", wanted=False)
    assert unpool().shape == (1, 1, 4, 4)
    assert torch.backends.cuda.cudnn_sdp_enabled()


def test_other_errors_keep_their_own_words():
    assert unrepeatable(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
    assert unrepeatable(ValueError("x does not have a deterministic implementation")) is None


def test_cublas_gets_its_workspace_before_the_first_model_unless_the_user_chose_one():
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    make_repeatable("cuda:0", wanted=True)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":16:8"
    make_repeatable("cuda:0", wanted=True)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_nothing_is_promised_of_a_device_that_nobody_vouches_for():
    assert [is_repeatable(device, wanted=True) for device in ("cpu", "cuda:1", "mps")] == [True, True, False]
    assert not is_repeatable("cuda", wanted=False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("tasks", ["pairs", "tags", "quiz", "nearest", "cloze"])
def test_equal_runs_on_a_gpu_give_equal_bytes(tmp_path, tasks):
    project = Project.make(tmp_path / "p", tasks=tasks, max_steps=9).with_machine(device_name="cuda")
    for name in ("a", "b"):
        assert not project.run(tmp_path / name, tasks=tasks).failed
        torch.manual_seed(99)
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_the_way_out_is_told_wherever_a_stage_fails(tmp_path):
    make_repeatable("cpu", wanted=True)
    with pytest.raises(RuntimeError) as caught:
        unpool()
    assert message_of(caught.value) == str(unrepeatable(caught.value))
    assert failure_of(caught.value, folder=tmp_path).message == message_of(caught.value)
    assert message_of(ValueError("odd")) == "ValueError: odd"
