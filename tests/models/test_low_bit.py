"""Adapters beside weights in few bits (QLoRA) and DoRA, for encoders and decoders: trained, saved, resumed, chained, merged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_low_bit import wide_folder
from small_models import HEADS, TEXTS, batch_of
from small_runs import Project, differences, run_in_child

import models.decoder
import models.encoder
from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from harness.api.protocols import Pooling
from models.loading.low_bit import dense_weight, is_low_bit
from models.low_rank.files import adapter_folders, combine_adapters

pytest.importorskip("bitsandbytes")
OWN = {"nli": HEADS["nli"]}
KINDS = {"xlm-roberta": models.encoder, "xlm-roberta-xl": models.encoder, "llama": models.decoder, "qwen3": models.decoder}
LEARNS = pytest.mark.parametrize(
    ("kind", "quantization", "variant"),
    [
        ("xlm-roberta", None, "dora"),
        ("xlm-roberta", "nf4", "lora"),
        ("xlm-roberta-xl", "nf4", "lora"),
        ("xlm-roberta-xl", None, "lora"),
        ("xlm-roberta", "int8", "dora"),
        ("llama", "nf4", "dora"),
        ("qwen3", "int8", "lora"),
    ],
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("wide")
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return {kind: wide_folder(kind, root / kind, **(still if "roberta" in kind else {})) for kind in KINDS}


def loaded(kind: str, path: str, *, inference: bool = True, keep: bool = False, seed: int = 1, **source: Any) -> Any:
    settings: dict[str, Any] = {"dtype": "float32", **source}
    kept = {name: name for name in OWN} if keep else {}
    place = ModelSource(path=path, **settings)
    return KINDS[kind].load(place, heads=OWN, keep_heads=kept, device="cpu", seed=seed, inference=inference)


def outputs(model: Any) -> np.ndarray:
    batch = batch_of(TEXTS)
    model.module.eval()
    return np.concatenate([np.ravel(model.forward_head(batch, "nli")), np.ravel(model.embed(batch, Pooling()))])


def vectors(model: Any) -> np.ndarray:
    return np.stack(model.embed(batch_of(TEXTS), Pooling()))


def trained(model: Any, *, steps: int = 25) -> tuple[float, float]:
    """First and last loss of some steps, with checkpointed activations."""
    model.module.enable_gradient_checkpointing()
    model.module.train()
    optimizer = torch.optim.AdamW([one for one in model.module.parameters() if one.requires_grad], lr=1e-2)
    losses = []
    torch.manual_seed(0)  # of dropout
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(model.module(batch_of(TEXTS), head="nli"), torch.tensor([0, 1, 2]))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses[0], losses[-1]


def weights_of(model: Any) -> dict[str, torch.Tensor]:
    """The matrices below the adapters, as numbers."""
    layers = {name: layer for name, layer in model.module.backbone.named_modules() if isinstance(layer, torch.nn.Linear)}
    return {name.replace(".base_layer", ""): dense_weight(layer).clone() for name, layer in layers.items() if "lora_" not in name}


def extra_of(quantization: str | None, variant: str = "lora", **lora: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"lora": {"rank": 4, "alpha": 8, "variant": variant, **lora}}
    return found | ({"quantization": quantization} if quantization else {})


@LEARNS
def test_what_is_trained_beside_the_weights_is_what_answers_afterwards(folders, kind, quantization, variant, tmp_path):
    base, extra = folders[kind], extra_of(quantization, variant)
    asked = {"quantization": quantization} if quantization else {}
    model = loaded(kind, base, inference=False, extra=extra)
    np.testing.assert_array_equal(vectors(model), vectors(loaded(kind, base, extra=asked)))  # fresh adapters change nothing
    assert is_low_bit(model.module) == (quantization is not None)
    before = weights_of(model)
    first, last = trained(model)
    assert last < 0.7 * first
    after = weights_of(model)
    assert len(before) >= 3 * 6
    assert all(torch.equal(after[name], before[name]) for name in before)
    model.save(str(tmp_path / "one"))
    assert sorted(path.name for path in (tmp_path / "one").iterdir() if path.is_dir()) == ["adapters"]
    assert json.loads((tmp_path / "one" / "base.json").read_text()).get("quantization") == quantization
    again = loaded(kind, base, extra=asked, checkpoint=str(tmp_path / "one"), keep=True)
    # Beside weights in few bits the adapter stays; else it is merged in fp32.
    np.testing.assert_allclose(outputs(again), outputs(model), atol=0 if quantization else 1e-5, rtol=0)
    alone = loaded(kind, str(tmp_path / "one"), keep=True)  # base.json says on what it was trained
    np.testing.assert_array_equal(outputs(alone), outputs(again))
    assert np.abs(vectors(again) - vectors(loaded(kind, base, extra=asked))).max() > 1e-2


@pytest.mark.parametrize("kind", ["xlm-roberta", pytest.param("llama", marks=pytest.mark.long)])
@pytest.mark.parametrize("variant", ["lora", pytest.param("dora", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("quantization", "chain"), [(None, "merge"), (None, "stack"), ("nf4", None), ("nf4", "merge"), ("int8", None)]
)
def test_a_second_phase_goes_on_from_the_first_by_the_named_rule(folders, kind, variant, quantization, chain, tmp_path):
    base = folders[kind]
    extra = extra_of(quantization, variant, **({"chain": chain} if chain else {}))
    asked = {key: value for key, value in extra.items() if key != "lora"}
    first = loaded(kind, base, inference=False, extra=extra)
    trained(first)
    first.save(str(tmp_path / "first"))
    second = loaded(kind, base, inference=False, extra=extra, checkpoint=str(tmp_path / "first"), keep=True, seed=2)
    started = np.abs(outputs(second) - outputs(first)).max()
    facts = second.weight_facts["adapters"]
    assert facts["adapters"] == 1
    if quantization and chain == "merge":
        assert facts["chain"] == "merge"
        assert facts["rounding"]["of_updates"] > 0.05  # quantised anew: a good part of the update is lost
        assert started > 1e-3
    else:
        assert facts["chain"] == ("stack" if quantization else chain)
        assert started < (1e-5 if facts["chain"] == "merge" else 1e-12)
    trained(second)
    second.save(str(tmp_path / "second"))
    assert [path.name for path in adapter_folders(tmp_path / "second")] == ["0", "1"]
    for name in ("0", "1"):  # whole, whatever peft calls layers and adapters
        file = tmp_path / "second" / "adapters" / name / "adapter_model.safetensors"
        assert file.stat().st_size == (tmp_path / "first" / "adapters" / "0" / "adapter_model.safetensors").stat().st_size
    again = loaded(kind, base, extra=asked, checkpoint=str(tmp_path / "second"), keep=True)
    merged = quantization is None and chain == "merge"
    np.testing.assert_allclose(outputs(again), outputs(second), atol=1e-5 if merged else 0, rtol=0)


@pytest.mark.parametrize("variant", ["lora", "dora"])
def test_stacked_adapters_go_into_the_weights_where_these_are_trained_as_a_whole(folders, variant, tmp_path):
    base, extra = folders["llama"], extra_of(None, variant, chain="stack")
    for number in range(2):
        before = {"checkpoint": str(tmp_path / "0"), "keep": True} if number else {}
        model = loaded("llama", base, inference=False, extra=extra, seed=number, **before)
        trained(model)
        model.save(str(tmp_path / str(number)))
    whole = loaded("llama", base, inference=False, checkpoint=str(tmp_path / "1"), keep=True)
    np.testing.assert_allclose(outputs(whole), outputs(model), atol=5e-5, rtol=0)
    assert all(one.requires_grad for one in whole.module.backbone.parameters())
    whole.save(str(tmp_path / "whole"))
    assert not (tmp_path / "whole" / "adapters").exists()
    other = extra_of(None, variant, chain="merge")
    with pytest.raises(UserError, match=r"in another way(.|\n)*expected: lora_chain=stack\n  found: lora_chain=merge"):
        loaded("llama", base, inference=False, extra=other, checkpoint=str(tmp_path / "1"))


@pytest.mark.slow
def test_adapters_are_added_in_fp32_and_rounded_once(folders, tmp_path):
    base, extra = folders["llama"], extra_of(None)
    for number in range(3):
        before = {"checkpoint": str(tmp_path / str(number - 1)), "keep": True} if number else {}
        model = loaded("llama", base, inference=False, extra=extra, dtype="bfloat16", seed=number, **before)
        trained(model)
        model.save(str(tmp_path / str(number)))
    last = {"checkpoint": str(tmp_path / "2"), "keep": True}
    exact = weights_of(loaded("llama", base, **last))
    start = weights_of(loaded("llama", base))
    for name, found in weights_of(loaded("llama", base, dtype="bfloat16", **last)).items():
        # The base is read in bf16; its sum with all three updates is rounded once more, by half a unit in the last place at most.
        summed = start[name].bfloat16().float() + (exact[name] - start[name])
        assert ((found.float() - summed).abs() <= 2**-8 * summed.abs() * 1.001 + 1e-7).all(), name
    facts = loaded("llama", base, dtype="bfloat16", **last).weight_facts["adapters"]
    assert facts["adapters"] == 3
    assert 5e-4 < facts["rounding"]["relative"] < 3e-3  # bf16 has 8 bits


def test_dora_is_not_combined_for_a_server_and_not_stacked_with_dropout(folders, tmp_path):
    base = folders["llama"]
    model = loaded("llama", base, inference=False, extra=extra_of(None, "dora"))
    model.save(str(tmp_path / "one"))
    with pytest.raises(UserError, match=r"vLLM serves plain LoRA only(.|\n)*found: DoRA"):
        combine_adapters(adapter_folders(tmp_path / "one") * 2, tmp_path / "both")
    extra = extra_of(None, "dora", chain="stack", dropout=0.1)
    with pytest.raises(UserError, match=r"dropout(.|\n)*lora_dropout=0, or lora_chain=merge"):
        loaded("llama", base, inference=False, extra=extra, checkpoint=str(tmp_path / "one"))


def test_weights_in_few_bits_are_not_trained_themselves_nor_asked_in_other_bits(folders, tmp_path):
    base = folders["xlm-roberta"]
    with pytest.raises(UserError, match=r"in few bits cannot be trained themselves(.|\n)*lora_rank=16"):
        loaded("xlm-roberta", base, inference=False, extra={"quantization": "nf4"})
    loaded("xlm-roberta", base, inference=False, extra=extra_of("nf4")).save(str(tmp_path / "one"))
    with pytest.raises(UserError, match=r"expected: quantization=nf4\n  found: quantization=int8"):
        loaded("xlm-roberta", base, extra={"quantization": "int8"}, checkpoint=str(tmp_path / "one"))


def test_the_8_bit_optimizer_trains_adapters_beside_4_bits(folders):
    from bitsandbytes.optim import AdamW8bit

    model = loaded("xlm-roberta", folders["xlm-roberta"], inference=False, extra=extra_of("nf4"))
    model.module.train()
    # min_8bit_size: of small tensors it keeps fp32 states otherwise.
    optimizer = AdamW8bit([one for one in model.module.parameters() if one.requires_grad], lr=1e-2, min_8bit_size=64)
    losses = []
    for _ in range(25):
        loss = torch.nn.functional.cross_entropy(model.module(batch_of(TEXTS), head="nli"), torch.tensor([0, 1, 2]))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert torch.uint8 in {
        value.dtype for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value)
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["model", pytest.param("decoder", marks=pytest.mark.long)])
def test_killed_in_training_beside_4_bits_it_ends_with_the_same_bytes(kind, tmp_path):
    project = Project.make(tmp_path / "project", tasks="pairs", gradient_checkpointing=True)
    request = {
        "tasks": "pairs",
        "languages": ("en", "de"),
        "model": str(getattr(project, kind)),
        "model_args": "quantization=nf4,lora_rank=4,lora_dropout=0.1",
    }
    assert run_in_child(project, tmp_path / "whole", **request) == 0
    states = tmp_path / "killed" / "train"
    reached = lambda: any(int(place.name.rpartition("-")[2]) >= 4 for place in states.glob("*/state-*"))  # noqa: E731
    assert run_in_child(project, tmp_path / "killed", until=reached, **request) != 0
    assert not list(states.glob("*/done.json"))
    assert run_in_child(project, tmp_path / "killed", **request) == 0
    assert differences(tmp_path / "whole", tmp_path / "killed") == []
    (checkpoint,) = (tmp_path / "whole").glob("train/*/checkpoint")
    assert sorted(path.name for path in checkpoint.iterdir() if path.is_dir()) == ["adapters"]
    assert json.loads((checkpoint / "base.json").read_text())["quantization"] == "nf4"
    weights = json.loads(next(Path(tmp_path / "whole").glob("predict/*/args.json")).read_text())["args"]
    assert weights["model"]["extra"] == {"quantization": "nf4"}
