"""A training computes no padding where its backbone is packed, and ends where one with padding does."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_runs import CAUSAL, CONFIG, Project
from torch import nn

from harness.api.model_source import ModelSource
from harness.api.protocols import Feature
from harness.planning.costs.devices import present_device
from harness.planning.costs.estimate import costing_of
from harness.training import loop
from harness.training.setup import prepare
from models.decoder import init_scratch as init_decoder
from models.encoder import init_scratch
from models.loading.tokenizer import load_tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """An encoder and a decoder without dropout."""
    folder = tmp_path_factory.mktemp("packed")
    made = Project.make(folder, dropout=0.0, tasks="pairs,nearest,cloze", max_steps=4, eval_every=2)
    tokenizer = load_tokenizer(made.model, ModelSource(path=str(made.model)), vocab_size=10**6)
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    init_scratch({**CONFIG, **still}, tokenizer=tokenizer, folder=folder / "encoder", seed=1)
    init_decoder(CAUSAL, tokenizer=tokenizer, folder=folder / "causal", seed=1)
    return replace(made, model=folder / "encoder", decoder=folder / "causal")


def train_stage(project, **asked):
    plan, machine = project.plan(languages=("de",), **{"tasks": "pairs", **asked})
    return next(stage for stage in plan.stages if stage.verb == "train"), machine


def weights(root):
    files = sorted(root.glob("train/*/checkpoint/**/*.safetensors"))
    return [tensor for path in files for _, tensor in sorted(load_file(path).items())]


def losses(root):
    logs = sorted(root.glob("train/*/log.jsonl"), key=lambda path: path.parent.name.rsplit("-", 1)[0])  # without the key
    return [json.loads(line)["loss"] for path in logs for line in path.read_text().splitlines() if "loss" in line]


@pytest.mark.parametrize(
    "asked",
    [
        {"intermediate": "none,nearest,cloze"},
        {"model": "causal", "model_args": "adapter=decoder"},
        {"model": "causal", "route": "prompt", "intermediate": "pairs"},
        {"model": "causal", "model_args": "adapter=decoder,lora_rank=2"},
    ],
)
def test_a_training_ends_where_one_with_padding_does(project, tmp_path, asked):
    model = str(project.decoder) if asked.get("model") else str(project.model)
    for name, more in (("packed", "attn_implementation=sdpa"), ("padded", "attn_implementation=eager")):
        said = ",".join(filter(None, (asked.get("model_args"), more)))
        own = {"tasks": "pairs", "languages": ("de",), **asked, "model": model, "model_args": said}
        assert project.run(tmp_path / name, **own).failed == []
    found, expected = losses(tmp_path / "packed"), losses(tmp_path / "padded")
    assert found
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    for one, other in zip(weights(tmp_path / "packed"), weights(tmp_path / "padded"), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def computed(run):
    """Tokens that go through the first linear layer in a step, those that its batches have, and these with their padding."""
    counts = {"computed": 0, "real": 0, "padded": 0}

    def count(module, args, output):
        counts["computed"] += args[0].shape[:-1].numel()

    def see(module, args, kwargs):
        counts["real"] += int(args[0].attention_mask.sum())
        counts["padded"] += args[0].attention_mask.numel()

    linear = next(module for module in run.module.body.modules() if isinstance(module, nn.Linear))
    handles = [linear.register_forward_hook(count), run.module.register_forward_pre_hook(see, with_kwargs=True)]
    loop._step(run, 0)
    for handle in handles:
        handle.remove()
    return counts


@pytest.mark.parametrize("packs", [True, False])
def test_a_step_computes_its_tokens(project, tmp_path, packs):
    stage, machine = train_stage(project, model_args="" if packs else "attn_implementation=eager")
    run = prepare(stage, root=tmp_path, machine=replace(machine, batch_tokens=1000))
    run.folder.mkdir(parents=True)
    assert run.adapter.packs is packs
    found = computed(run)
    assert found["real"] < found["padded"]
    assert found["computed"] == (found["real"] if packs else found["padded"])


def test_a_pass_takes_as_many_tokens_as_its_budget_has(project, tmp_path):
    features = [Feature(example=n // 2, input_ids=[5] * length) for n, length in enumerate((40, 10, 10, 10, 20, 5))]
    found = {}
    for packs in (True, False):
        stage, machine = train_stage(project, model_args="" if packs else "attn_implementation=eager")
        (work,) = prepare(stage, root=tmp_path, machine=replace(machine, batch_tokens=95)).works.values()
        found[packs] = (len(work.pieces(features)), len(replace(work, one_pass_per_example=True).pieces(features)))
    assert found == {True: (1, 1), False: (2, 2)}


def test_a_plan_counts_the_tokens_that_a_training_computes(project):
    found = {}
    for name, more in (("packed", ""), ("padded", "attn_implementation=eager")):
        plan, machine = project.plan(tasks="pairs", languages=("de",), model_args=more)
        stage = next(stage for stage in plan.stages if stage.verb == "train")
        load = costing_of(plan, machine=replace(machine, batch_tokens=1000), device=present_device(None)).loads.training(stage)
        found[name] = load.batch
    assert found["packed"].tokens < found["padded"].tokens
    assert found["packed"].squares < found["padded"].squares
    assert found["packed"].passes <= found["padded"].passes
