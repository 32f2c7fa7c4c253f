"""Folders that peft has written are models: what they answer is what peft answers, and training goes on from them."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_decoders import batch_of as batch_for
from small_low_bit import peft_folder
from small_models import HEADS, TEXTS, batch_of, make_folder

import models.decoder
import models.encoder
import models.finetuned
from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from harness.api.protocols import Pooling

VARIANTS = {
    "plain": {"r": 4, "lora_alpha": 8},
    "rslora": {"r": 4, "lora_alpha": 8, "use_rslora": True},
    "dora": {"r": 4, "lora_alpha": 8, "use_dora": True},
    "patterns": {"r": 4, "lora_alpha": 8, "alpha_pattern": {"q_proj": 32}, "rank_pattern": {"v_proj": 2}},
    "loha": {"kind": "LOHA", "r": 4, "alpha": 8},
    "ia3": {"kind": "IA3", "target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]},
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    root = tmp_path_factory.mktemp("bases")
    return {kind: make_folder(kind, root / kind) for kind in ("llama", "xlm-roberta", "bert")}


def source_of(base: str, peft: Path, **more: Any) -> ModelSource:
    return ModelSource(**{"path": base, "peft": str(peft), "dtype": "float32", **more})


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_a_decoder_with_a_foreign_adapter_says_what_peft_says(bases, tmp_path, variant):
    expected = peft_folder(bases["llama"], tmp_path / "own", task_type="CAUSAL_LM", **VARIANTS[variant])
    source = source_of(bases["llama"], tmp_path / "own")
    model = models.decoder.load(source, heads={}, device="cpu", seed=1, inference=True)
    ids = batch_for().input_ids[:1]
    with torch.no_grad():
        logits = model.module.backbone(input_ids=ids).logits
        torch.testing.assert_close(logits, expected(input_ids=ids).logits, atol=1e-5, rtol=1e-4)
        plain = models.decoder.load(
            ModelSource(path=bases["llama"], dtype="float32"), heads={}, device="cpu", seed=1, inference=True
        )
        assert not torch.allclose(logits, plain.module.backbone(input_ids=ids).logits, atol=1e-4)
    assert model.weight_facts["adapters"]["adapters"] == 1


def test_weights_of_an_older_kind_of_file_are_read_without_running_it(bases, tmp_path):
    peft_folder(bases["llama"], tmp_path / "own", task_type="CAUSAL_LM", r=4)
    shutil.copytree(tmp_path / "own", tmp_path / "old")
    (tmp_path / "old" / "adapter_model.safetensors").unlink()
    torch.save(load_file(tmp_path / "own" / "adapter_model.safetensors"), tmp_path / "old" / "adapter_model.bin")
    found = [
        np.stack(
            models.decoder.load(source_of(bases["llama"], tmp_path / name), heads={}, device="cpu", seed=1, inference=True).embed(
                batch_for(), Pooling()
            )
        )
        for name in ("own", "old")
    ]
    np.testing.assert_array_equal(*found)

    class Harm:
        def __reduce__(self):
            return (print, ("harm",))

    torch.save({"base_model.model.x.lora_A.weight": Harm()}, tmp_path / "old" / "adapter_model.bin")
    with pytest.raises(UserError, match=r"cannot read these weights(.|\n)*pickle of plain tensors"):
        models.decoder.load(source_of(bases["llama"], tmp_path / "old"), heads={}, device="cpu", seed=1, inference=True)


@pytest.mark.parametrize(("kind", "prefix"), [("xlm-roberta", "roberta"), ("bert", "bert")])
def test_an_encoder_takes_the_layers_of_an_adapter_and_leaves_its_head(bases, tmp_path, kind, prefix):
    given: dict[str, Any] = {"r": 4, "target_modules": ["query", "value"], "modules_to_save": ["classifier"]}
    expected = peft_folder(bases[kind], tmp_path / "own", task_type="SEQ_CLS", **given)
    source = source_of(bases[kind], tmp_path / "own")
    model = models.encoder.load(source, heads={"nli": HEADS["nli"]}, device="cpu", seed=1, inference=True)
    batch = batch_of(TEXTS)
    with torch.no_grad():
        body = getattr(expected.base_model.model, prefix)
        hidden = body(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
    mask = batch.attention_mask[..., None]
    mean = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
    np.testing.assert_allclose(np.stack(model.embed(batch, Pooling())), mean, atol=1e-5)


@pytest.mark.parametrize("kind", ["xlm-roberta"])
def test_its_own_head_is_asked_by_the_names_of_its_labels(bases, tmp_path, kind):
    given: dict[str, Any] = {"r": 4, "target_modules": ["query", "value"], "modules_to_save": ["classifier"]}
    expected = peft_folder(bases[kind], tmp_path / "own", task_type="SEQ_CLS", **given)
    labels = {"extra": {"labels": ["x", "y", "z"]}, "head_labels": {"nli": ("z", "x", "y")}}
    source = source_of(bases[kind], tmp_path / "own", adapter="finetuned", **labels)
    model = models.finetuned.load(source, heads={"nli": HEADS["nli"]}, device="cpu", seed=1, inference=True)
    batch = batch_of(TEXTS)
    with torch.no_grad():
        logits = expected(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits.numpy()
    np.testing.assert_allclose(np.stack(model.forward_head(batch, "nli")), logits[:, [2, 0, 1]], atol=1e-5)
    unlabelled = source_of(bases[kind], tmp_path / "own", head_labels=labels["head_labels"])
    with pytest.raises(UserError, match="the model does not say what its outputs mean"):
        models.finetuned.load(unlabelled, heads={"nli": HEADS["nli"]}, device="cpu", seed=1, inference=True)


@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_training_goes_on_from_a_foreign_adapter(bases, tmp_path, quantization):
    peft_folder(bases["llama"], tmp_path / "own", task_type="CAUSAL_LM", r=4)
    asked = {"quantization": quantization} if quantization else {}
    source = source_of(bases["llama"], tmp_path / "own", extra={"lora": {"rank": 2, "alpha": 4}, **asked})
    model = models.decoder.load(source, heads={"nli": HEADS["nli"]}, device="cpu", seed=1, inference=False)
    with torch.no_grad():
        for name, parameter in model.module.named_parameters():
            if parameter.requires_grad and "lora_" in name:
                parameter += 0.05 * torch.randn_like(parameter)
    model.save(str(tmp_path / "on"))
    assert sorted(path.name for path in (tmp_path / "on" / "adapters").iterdir()) == ["0", "1"]
    assert sorted(path.name for path in (tmp_path / "on" / "adapters" / "0").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    # The checkpoint has both: the folder of peft is not put on it again.
    again = models.decoder.load(
        source_of(bases["llama"], tmp_path / "own", checkpoint=str(tmp_path / "on"), extra=asked),
        heads={"nli": HEADS["nli"]},
        keep_heads={"nli": "nli"},
        device="cpu",
        seed=1,
        inference=True,
    )
    model.module.eval()
    expected, found = (np.stack(one.embed(batch_for(), Pooling())) for one in (model, again))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_adapter_of_another_architecture_is_refused(bases, tmp_path):
    peft_folder(bases["llama"], tmp_path / "own", task_type="CAUSAL_LM", r=4)
    with pytest.raises(UserError, match=r"does not fit the model(.|\n)*XLMRobertaModel does not have(.|\n)*base="):
        models.encoder.load(source_of(bases["xlm-roberta"], tmp_path / "own"), heads={}, device="cpu", seed=1, inference=True)
    config = json.loads((tmp_path / "own" / "adapter_config.json").read_text())
    (tmp_path / "own" / "adapter_config.json").write_text(json.dumps({**config, "r": 5}))
    with pytest.raises(UserError, match=r"/own: the adapter does not fit the model(.|\n)*size mismatch"):
        models.decoder.load(source_of(bases["llama"], tmp_path / "own"), heads={}, device="cpu", seed=1, inference=True)
