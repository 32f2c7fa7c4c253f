"""A host that looks at what a GPU computes waits for it, and the GPU then for the host: a training does so once a step.

Shown with torch's device `meta`, which computes nothing: whoever looks at one of its numbers gets an error.
"""

import contextlib
from dataclasses import replace

import pytest
import torch
from small_runs import Project

from harness.training import loop
from harness.training.setup import prepare

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("waiting"), tasks="pairs,tags,quiz,nearest,cloze", max_steps=3, eval_every=3)


@pytest.fixture
def on_meta(monkeypatch):
    """A training whose module lies on `meta`; autocast does not know that device."""
    before = torch.autocast
    monkeypatch.setattr(
        torch, "autocast", lambda kind, **how: contextlib.nullcontext() if kind == "meta" else before(kind, **how)
    )

    def moved(run):
        run.module.to("meta")
        machine = replace(run.machine, device_name="meta")
        return replace(run, machine=machine, works={name: replace(work, machine=machine) for name, work in run.works.items()})

    return moved


def training_of(project, root, **asked):
    if "model" in asked:
        asked["model"] = str(project.decoder)
    plan, machine = project.plan(**{"languages": ("de",), **asked})
    stage = next(stage for stage in plan.stages if stage.verb == "train")
    return prepare(stage, root=root, machine=machine)


@pytest.mark.parametrize(
    "asked",
    [
        {"tasks": "pairs"},
        {"tasks": "tags"},
        {"tasks": "quiz"},
        {"tasks": "nearest"},
        {"tasks": "pairs", "intermediate": "cloze"},
        {"tasks": "pairs", "model": "decoder", "model_args": "adapter=decoder"},
        {"tasks": "pairs", "model": "decoder", "model_args": "adapter=decoder,lora_rank=2"},
        {"tasks": "pairs", "model": "decoder", "route": "prompt", "intermediate": "pairs"},
    ],
    ids=lambda asked: "-".join(asked.values()),
)
def test_a_step_looks_at_its_loss_alone_when_all_is_begun(project, tmp_path, on_meta, asked):
    run = on_meta(training_of(project, tmp_path, **asked))
    with pytest.raises(RuntimeError, match=r"Tensor\.item\(\) cannot be called on meta tensors"):
        loop._step(run, 0)
    begun = [name for name, parameter in run.module.named_parameters() if parameter.grad is not None]
    trained = [name for name, parameter in run.module.named_parameters() if parameter.requires_grad]
    assert any(name.startswith("backbone") for name in begun)
    assert len(begun) > 0.8 * len(trained)
    assert [*run.ahead] == [1], "the next step was not made ready meanwhile"
