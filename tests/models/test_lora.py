"""Low-rank adapters on causal language models: what is trained, what is saved, phases on top of each other."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_decoders import LORA, OWN, batch_of, loaded, outputs_of, same
from small_models import DECODERS, make_folder
from small_runs import Project
from transformers import AutoModelForCausalLM

from harness.api.errors import UserError
from harness.api.protocols import Batch
from models.decoder import Decoder
from models.low_rank.files import adapter_folders, combine_adapters
from models.low_rank.merging import merge_adapters

ALL = pytest.mark.parametrize("kind", sorted(DECODERS))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: make_folder(kind, root / kind) for kind in DECODERS}


def stepped(model: Decoder, batch: Batch, heads) -> Decoder:
    """A few steps of training."""
    optimizer = torch.optim.AdamW([p for p in model.module.parameters() if p.requires_grad], lr=0.05)
    for _ in range(2):
        for head in heads:
            model.module(batch, head=head).float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


@ALL
def test_lora_trains_its_own_weights_and_heads_and_nothing_else(folders, kind, tmp_path):
    before = {name: value.clone() for name, value in load_file(Path(folders[kind]) / "model.safetensors").items()}
    model, batch = loaded(folders[kind], inference=False, extra=LORA), batch_of()
    same(outputs_of(model), outputs_of(loaded(folders[kind])), atol=1e-6)  # nothing is changed at first
    trained = {name for name, parameter in model.module.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in model.module.named_parameters() if "lora_" in name or name.startswith("heads.")}
    num_linear = len([name for name in trained if "lora_A" in name])
    assert num_linear == 3 * {"xglm": 6, "bloom": 4}.get(kind, 7)  # all linear layers but the LM head
    stepped(model, batch, OWN)
    for name, parameter in model.module.backbone.named_parameters():
        if "lora_" not in name:
            assert torch.equal(parameter, before[name.replace(".base_layer", "")]), name
    model.save(str(tmp_path / "one"))
    assert sorted(path.name for path in (tmp_path / "one").iterdir() if path.is_dir()) == ["adapters"]
    again = loaded(folders[kind], checkpoint=str(tmp_path / "one"), keep=OWN)
    assert not [name for name, _ in again.module.named_parameters() if "lora_" in name]  # merged
    same(outputs_of(again), outputs_of(model), atol=1e-4)
    assert not np.allclose(outputs_of(again)["vectors"][0], outputs_of(loaded(folders[kind]))["vectors"][0], atol=1e-2)


def test_a_chain_of_lora_phases_goes_on_from_all_earlier_ones(folders, tmp_path):
    base, batch = folders["llama"], batch_of()
    first = stepped(loaded(base, inference=False, extra=LORA, seed=1), batch, OWN)
    first.save(str(tmp_path / "first"))
    second = loaded(base, inference=False, extra=LORA, seed=2, checkpoint=str(tmp_path / "first"), keep=["qa"])
    found, expected = outputs_of(second), outputs_of(first)
    np.testing.assert_allclose(found["vectors"][0], expected["vectors"][0], atol=1e-4)
    np.testing.assert_allclose(found["qa"][0], expected["qa"][0], atol=1e-4)
    assert not np.allclose(found["nli"][0], expected["nli"][0])  # a fresh head
    stepped(second, batch, OWN).save(str(tmp_path / "second"))
    assert sorted(path.name for path in (tmp_path / "second" / "adapters").iterdir()) == ["0", "1"]
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        old, new = (tmp_path / name / "adapters" / "0" / file for name in ("first", "second"))
        assert old.read_bytes() == new.read_bytes()
    same(outputs_of(loaded(base, checkpoint=str(tmp_path / "second"), keep=OWN)), outputs_of(second), atol=1e-4)
    # By itself the folder knows its base; full fine-tuning on top of it writes the merged weights.
    same(outputs_of(loaded(str(tmp_path / "second"), keep=OWN)), outputs_of(second), atol=1e-4)
    whole = stepped(loaded(str(tmp_path / "second"), inference=False, keep=OWN), batch, OWN)
    whole.save(str(tmp_path / "whole"))
    assert not (tmp_path / "whole" / "adapters").exists()
    third = stepped(loaded(base, inference=False, extra=LORA, checkpoint=str(tmp_path / "whole"), keep=OWN), batch, OWN)
    third.save(str(tmp_path / "third"))  # only the checkpoint has that backbone: it goes along
    same(outputs_of(loaded(base, checkpoint=str(tmp_path / "third"), keep=OWN)), outputs_of(third), atol=1e-4)


def test_one_adapter_does_what_several_do(folders, tmp_path):
    base, batch = folders["qwen3"], batch_of()
    narrow = {"lora": {"rank": 2, "alpha": 6, "targets": ("q_proj", "up_proj")}}
    stepped(loaded(base, inference=False, extra=LORA), batch, OWN).save(str(tmp_path / "first"))
    second = loaded(base, inference=False, extra=narrow, checkpoint=str(tmp_path / "first"))
    stepped(second, batch, OWN).save(str(tmp_path / "second"))
    combine_adapters(adapter_folders(tmp_path / "second"), tmp_path / "combined")
    served = AutoModelForCausalLM.from_pretrained(base).eval()
    merge_adapters(served, [tmp_path / "combined"])
    assert json.loads((tmp_path / "combined" / "adapter_config.json").read_text())["r"] == 6
    expected = loaded(base, heads={}, checkpoint=str(tmp_path / "second")).module.backbone
    ids = batch.input_ids[:1]
    torch.testing.assert_close(served(input_ids=ids).logits, expected(input_ids=ids).logits, atol=1e-4, rtol=1e-4)


def test_lora_is_reproducible_and_leaves_the_global_generator_alone(folders, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    for number, seed in enumerate((3, 3, 4)):
        loaded(folders["qwen3"], inference=False, extra=LORA, seed=seed).save(str(tmp_path / str(number)))
    assert torch.equal(torch.rand(3), expected)
    weights, twin, other = ((tmp_path / str(n) / "adapters" / "0" / "adapter_model.safetensors").read_bytes() for n in range(3))
    assert weights == twin != other
    configs = {(tmp_path / str(n) / "adapters" / "0" / "adapter_config.json").read_bytes() for n in range(3)}
    assert len(configs) == 1


def test_a_state_of_lora_holds_what_is_trained_and_is_taken_up_again(folders):
    model, batch = loaded(folders["llama"], inference=False, extra=LORA), batch_of()
    stepped(model, batch, OWN)
    state = model.module.state_dict()
    assert state.keys() == {name for name, parameter in model.module.named_parameters() if parameter.requires_grad}
    fresh = loaded(folders["llama"], inference=False, extra=LORA, seed=9)
    fresh.module.load_state_dict(state)
    same(outputs_of(fresh), outputs_of(model))
    state.pop("heads.qa.output.bias")
    with pytest.raises(RuntimeError, match="qa"):
        fresh.module.load_state_dict(state)


def test_lora_on_named_modules_and_on_a_bfloat16_base(folders, tmp_path):
    extra = {"lora": {"rank": 2, "alpha": 4, "dropout": 0.1, "targets": ("q_proj", "v_proj")}}
    model, batch = loaded(folders["qwen2"], inference=False, extra=extra, dtype="bfloat16"), batch_of()
    types = {"lora_" in name or name.startswith("heads."): p.dtype for name, p in model.module.named_parameters()}
    assert types == {True: torch.float32, False: torch.bfloat16}
    adapted = {name.split(".lora_")[0].rpartition(".")[2] for name, _ in model.module.named_parameters() if "lora_" in name}
    assert adapted == {"q_proj", "v_proj"}
    heads = ("nli", "qa")
    model.module.enable_gradient_checkpointing()  # though nothing before the adapters wants gradients
    with torch.autocast("cpu", dtype=torch.bfloat16):
        stepped(model, batch, heads)
    moved = [bool(p.any()) for n, p in model.module.named_parameters() if "lora_B" in n]
    assert moved == [True] * 2 * 3  # two in each layer; they were 0
    model.save(str(tmp_path / "trained"))
    again = loaded(folders["qwen2"], checkpoint=str(tmp_path / "trained"), keep=heads, heads={n: OWN[n] for n in heads})
    for near, value in zip(again.forward_head(batch, "nli"), model.forward_head(batch, "nli")):
        np.testing.assert_allclose(near, value, atol=0.1)
    full = loaded(folders["qwen2"], inference=False, dtype="bfloat16")
    assert {parameter.dtype for parameter in full.module.parameters()} == {torch.float32}
    with pytest.raises(UserError, match=r"cannot be put into these modules(.|\n)*expected: all-linear, or some of .*q_proj"):
        loaded(folders["qwen2"], inference=False, extra={"lora": {"rank": 2, "alpha": 4, "targets": ("query",)}})


def test_an_adapter_of_another_model_is_refused(folders, tmp_path):
    loaded(folders["llama"], inference=False, extra=LORA).save(str(tmp_path))
    with pytest.raises(UserError, match="the adapter does not fit the model"):
        loaded(folders["bloom"], checkpoint=str(tmp_path))


def test_what_nothing_trains_is_predicted_once_whether_or_not_adapters_are_asked_for(tmp_path):
    project = Project.make(tmp_path)
    plans = [
        project.plan(tasks="nearest", model=str(project.decoder), model_args=args, no_train=True)[0]
        for args in ("", "lora_rank=2,lora_alpha=4")
    ]
    assert [stage.key for stage in plans[0].stages] == [stage.key for stage in plans[1].stages]
