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
    return Project.make(tmp_path_factory.mktemp("waiting"), tasks="pairs,tags,quiz,nearest,cloze", max_steps=7, eval_every=7)


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


def training_of(project, root, *, batch_tokens=None, **asked):
    if "model" in asked:
        asked["model"] = str(project.decoder)
    plan, machine = project.with_machine(batch_tokens=batch_tokens).plan(**{"languages": ("de",), **asked})
    stage = next(stage for stage in plan.stages if stage.verb == "train")
    return prepare(stage, root=root, machine=machine)


@pytest.mark.parametrize(
    "asked",
    [
        {"tasks": "pairs"},
        {"tasks": "tags"},
        {"tasks": "quiz"},
        {"tasks": "nearest"},
        {"tasks": "nearest", "batch_tokens": 40},
        {"tasks": "pairs", "intermediate": "cloze"},
        {"tasks": "pairs", "model": "decoder", "model_args": "adapter=decoder"},
        {"tasks": "pairs", "model": "decoder", "model_args": "adapter=decoder,lora_rank=2"},
        {"tasks": "pairs", "model": "decoder", "route": "prompt", "intermediate": "pairs"},
    ],
    ids=lambda asked: "-".join(map(str, asked.values())),
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


def steps_of(project, root, *, lookahead, **asked):
    """(step, task, ids of what it trains) of all steps, and the weights behind them."""
    run = training_of(project.with_machine(lookahead=lookahead), root, **asked)
    seen = []
    for step in range(run.total_steps):
        if run.ahead:
            assert [*run.ahead] == [step]
        work, batch = run.ahead.get(step) or loop._inputs(run, step)
        seen.append((work.question.head, [tuple(feature.input_ids) for feature in batch.features]))
        loop._step(run, step)
    assert not run.ahead
    return seen, {name: tensor.clone() for name, tensor in run.module.state_dict().items()}


@pytest.mark.parametrize("asked", [{"tasks": "tags"}, {"tasks": "nearest"}, {"tasks": "pairs", "intermediate": "cloze"}])
def test_what_is_made_ready_ahead_is_what_the_step_would_make(project, tmp_path, asked):
    (ahead, one), (by_step, other) = (
        steps_of(project, tmp_path / str(lookahead), lookahead=lookahead, **asked) for lookahead in (True, False)
    )
    assert ahead == by_step
    assert len({str(batch) for _, batch in ahead}) == len(ahead)
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name])


def test_what_cannot_be_made_ready_fails_at_its_own_step(project, tmp_path, monkeypatch):
    run = training_of(project, tmp_path, tasks="pairs", intermediate="cloze")
    run.ahead = {0: loop._inputs(run, 0)}

    def failing(*_):
        raise ValueError("no such item")

    monkeypatch.setattr(loop, "_augmented", failing)
    loop._step(run, 0)
    assert len(run.progress.losses) == 1
    assert not run.ahead
    with pytest.raises(ValueError, match="no such item"):
        loop._step(run, 1)
    assert len(run.progress.losses) == 1
