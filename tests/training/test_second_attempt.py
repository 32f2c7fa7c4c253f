"""A loss that is lost in few bits: the training begins again in fp32 where that is wanted, says so, and goes on so if killed."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from small_runs import Project
from torch.optim.optimizer import register_optimizer_step_pre_hook

import run_eval
from harness.api.errors import UserError
from harness.training.loop import train

pytestmark = pytest.mark.usefixtures("one_thread")
LOST_BEFORE = 4
"The optimizer's step before which weights become no numbers."


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"), max_steps=8, precision="bfloat16")


class Spoiled:
    """Makes a weight no number in the first attempt, and counts the steps of all; may end a training as a kill does."""

    def __init__(self, *, end_before=None):
        self.steps, self.end_before = 0, end_before

    def __call__(self, optimizer, *_):
        self.steps += 1
        if self.steps == self.end_before:
            raise KeyboardInterrupt
        if self.steps == LOST_BEFORE:
            with torch.no_grad():
                optimizer.param_groups[0]["params"][0].fill_(float("nan"))

    def __enter__(self):
        self.handle = register_optimizer_step_pre_hook(self)
        return self

    def __exit__(self, *_):
        self.handle.remove()


def stage_of(project, **machine_knobs):
    plan, machine = project.plan(tasks="pairs", intermediate="none")
    return next(stage for stage in plan.stages if stage.verb == "train"), replace(machine, **machine_knobs)


def weights(folder):
    return {
        name: tensor for path in sorted(folder.rglob("checkpoint/**/*.safetensors")) for name, tensor in load_file(path).items()
    }


def in_float32(project, root):
    """The same training in fp32 from the start."""
    stage, machine = stage_of(project)
    stage = replace(stage, args=replace(stage.args, training={**stage.args.training, "precision": "float32"}))
    train(stage, root=root, machine=machine)
    return weights(stage.folder(root))


def test_without_being_asked_it_fails_and_names_the_flag(project, tmp_path):
    stage, machine = stage_of(project)
    with Spoiled(), pytest.raises(UserError, match=r"the loss became nan at step 5(.|\n)*bfloat16(.|\n)*--retry_in_float32"):
        train(stage, root=tmp_path, machine=machine)


def test_it_begins_again_in_fp32_to_the_bytes_of_fp32(project, tmp_path, capsys):
    stage, machine = stage_of(project, retry_in_float32=True, save_every=2)
    with Spoiled() as spoiled:
        facts = train(stage, root=tmp_path / "runs", machine=machine)
    assert spoiled.steps == LOST_BEFORE + 8
    assert facts["begun_again_in_float32"] == {"loss": "nan", "precision": "bfloat16", "step": 5}
    assert facts["dtype"] == "float32"
    assert "the loss became nan at step 5 in bfloat16: it begins again in float32" in capsys.readouterr().err
    own, other = weights(stage.folder(tmp_path / "runs")), in_float32(project, tmp_path / "other")
    assert own.keys() == other.keys()
    assert own
    assert all(torch.equal(own[name], other[name]) for name in own)


@pytest.mark.slow
def test_killed_in_the_second_attempt_it_goes_on_there(project, tmp_path):
    stage, machine = stage_of(project, retry_in_float32=True, save_every=2)
    with Spoiled(end_before=LOST_BEFORE + 8), pytest.raises(KeyboardInterrupt):
        train(stage, root=tmp_path / "runs", machine=machine)
    with Spoiled() as spoiled:  # it would spoil the fourth step of a training that began anew
        facts = train(stage, root=tmp_path / "runs", machine=replace(machine, retry_in_float32=False))
    assert spoiled.steps < LOST_BEFORE
    assert facts["begun_again_in_float32"]["step"] == 5
    own, other = weights(stage.folder(tmp_path / "runs")), in_float32(project, tmp_path / "other")
    assert all(torch.equal(own[name], other[name]) for name in other)


def test_in_fp32_there_is_no_other_attempt(project, tmp_path):
    stage, machine = stage_of(project, retry_in_float32=True)
    stage = replace(stage, args=replace(stage.args, training={**stage.args.training, "precision": "float32"}))
    with Spoiled(), pytest.raises(UserError, match="the loss became nan") as caught:
        train(stage, root=tmp_path, machine=machine)
    assert "--retry_in_float32" not in str(caught.value)


@pytest.mark.slow
def test_the_board_says_it(project, tmp_path, capsys):
    words = ["--model", str(project.model), "--include_path", str(project.folder), "--recipe", "tiny", "--tasks", "pairs"]
    with Spoiled():
        assert (
            run_eval.main([*words, "--languages", "de", "--retry_in_float32", "--quiet", "--output_path", str(tmp_path / "runs")])
            == 0
        )
    capsys.readouterr()
    assert run_eval.main(["leaderboard", str(tmp_path / "runs")]) == 0
    board = capsys.readouterr().out
    assert "Trained in float32, because the loss became nan in bfloat16: train/" in " ".join(board.split())
    done = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("train/*/done.json")]
    assert [one["arithmetic"]["dtype"] for one in done] == ["float32"]
    assert list((tmp_path / "runs").glob("train/*/begun_again.json")) == []
