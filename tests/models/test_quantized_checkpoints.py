"""Weights that were quantised elsewhere: read for inference as what they stand for, named, and never trained."""

import os

import numpy as np
import pytest
import torch
from small_decoders import batch_of
from small_low_bit import compressed_folder, gguf_file_of, wide_folder
from transformers import AutoTokenizer

import models.decoder
import models.encoder
from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from harness.api.protocols import Pooling


def vectors(path, adapter, **source):
    settings = {"dtype": "float32", **source}
    model = adapter.load(ModelSource(path=str(path), **settings), heads={}, device="cpu", seed=1, inference=True)
    return np.stack(model.embed(batch_of(), Pooling()))


@pytest.mark.parametrize(("kind", "adapter"), [("llama", models.decoder), ("xlm-roberta", models.encoder)])
def test_compressed_tensors_are_read_as_the_weights_they_stand_for(tmp_path, kind, adapter, capfd):
    pytest.importorskip("compressed_tensors")
    base = wide_folder(kind, tmp_path / "base")
    folders = {bits: compressed_folder(base, tmp_path / str(bits), bits=bits) for bits in (4, 8)}
    capfd.readouterr()
    expected = vectors(base, adapter)
    off = {bits: np.abs(vectors(folder, adapter) - expected).max() for bits, folder in folders.items()}
    assert 1e-4 < off[8] < off[4] / 4
    assert off[4] < 0.3 * np.abs(expected).max()
    assert "Decompressing" not in capfd.readouterr().err
    with pytest.raises(UserError, match="quantised elsewhere are not trained here"):
        adapter.load(ModelSource(path=folders[4], dtype="float32"), heads={}, device="cpu", seed=1, inference=False)
    with pytest.raises(UserError, match=r"in few bits already(.|\n)*compressed-tensors pack-quantized int4"):
        vectors(folders[4], adapter, extra={"quantization": "nf4"})


def test_a_gguf_file_is_read_as_the_weights_it_holds(tmp_path, capfd):
    pytest.importorskip("gguf")
    base = wide_folder("llama", tmp_path / "base")
    file = gguf_file_of(base, tmp_path / "tiny.gguf")
    capfd.readouterr()
    ids = torch.tensor([[1, 5, 9, 7, 20]])
    logits = []
    for path in (base, file, tmp_path / "alone"):
        if path == tmp_path / "alone":  # a folder in which the file lies
            path.mkdir()
            os.link(file, path / "weights.gguf")
        source = ModelSource(path=str(path), dtype="float32")
        model = models.decoder.load(source, heads={}, device="cpu", seed=1, inference=True)
        logits.append(model.module.backbone(input_ids=ids).logits)
    assert "dequantiz" not in capfd.readouterr().err
    assert torch.equal(logits[1], logits[2])
    assert 1e-5 < (logits[1] - logits[0]).abs().max() < 0.02  # 8 bits
    with pytest.raises(UserError, match="quantised elsewhere are not trained here"):
        models.decoder.load(ModelSource(path=str(file)), heads={}, device="cpu", seed=1, inference=False)


@pytest.mark.real
def test_a_real_model_in_a_gguf_file_says_nearly_what_it_says_in_its_folder(real_models, tmp_path):
    pytest.importorskip("gguf")
    folder = real_models / "SmolLM2-135M-Instruct"
    own = AutoTokenizer.from_pretrained(folder)
    file = gguf_file_of(str(folder), tmp_path / "smollm2-q8_0.gguf", tokenizer=own)
    one, other = (
        models.decoder.load(ModelSource(path=str(path), dtype="float32"), heads={}, device="cpu", seed=1, inference=True)
        for path in (file, folder)
    )
    text = "Guten Tag, ich heiße สวัสดี.\nWhat is the capital of France? The capital of France is"
    ids = own(text)["input_ids"]
    assert one.tokenizer(text)["input_ids"] == ids
    with torch.no_grad():
        found, expected = (model.module.backbone(input_ids=torch.tensor([ids])).logits[0, -1] for model in (one, other))
    assert own.decode([int(found.argmax())]) == " Paris"
    assert torch.nn.functional.cosine_similarity(found, expected, dim=0) > 0.999
    assert not torch.equal(found, expected)  # 8 bits
