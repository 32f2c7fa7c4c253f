"""Weights that were quantised elsewhere: read for inference as what they stand for, named, and never trained."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from small_decoders import batch_of
from small_low_bit import compressed_folder, gguf_file_of, wide_folder

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
def test_the_real_gguf_file_is_the_folder_that_was_made_of_it():
    file = Path(os.environ.get("XLIFT_GGUF", "~/.cache/xlift-real/gemma-3-270m-q4_k_m.gguf")).expanduser()
    folder = Path("~/.cache/xlift-real/gemma-3-270m").expanduser()
    if not file.is_file() or not folder.is_dir():
        pytest.skip("no gemma-3-270m-q4_k_m.gguf ($XLIFT_GGUF) beside the folder gemma-3-270m")
    one, other = (
        models.decoder.load(ModelSource(path=str(path), dtype="bfloat16"), heads={}, device="cpu", seed=1, inference=True)
        for path in (file, folder)
    )
    first, second = one.module.state_dict(), other.module.state_dict()
    assert first.keys() == second.keys()
    assert len(first) > 200
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    text = "Guten Tag, ich heiße สวัสดี"
    assert one.tokenizer(text)["input_ids"] == other.tokenizer(text)["input_ids"]
