"""Weights that are read one by one, each process its own rows, are those that are read at once; so is what is written so."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import CONFIGS, DECODERS, HEADS, batch_of, make_folder

import models.decoder
import models.encoder
from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from harness.api.protocols import Pooling
from models.loading import divided

LORA = {"lora": {"rank": 4, "alpha": 8}}
CASES = [*((name, {}) for name in (*CONFIGS, *DECODERS)), *((name, LORA) for name in DECODERS)]


def loaded(kind, folder, *, empty, extra=None):
    adapter = models.encoder if kind in CONFIGS else models.decoder
    heads = {name: head for name, head in HEADS.items() if name != "mlm" or kind in CONFIGS}
    source = ModelSource(path=str(folder), empty=empty, extra=extra or {})
    return adapter.load(source, heads=heads, device="cpu", seed=1, inference=False)


@pytest.mark.parametrize(("kind", "extra"), CASES, ids=lambda value: value if isinstance(value, str) else "lora" if value else "")
def test_a_model_that_was_described_and_then_read_is_the_model(kind, extra, tmp_path):
    folder = make_folder(kind, tmp_path / kind)
    whole, read = (loaded(kind, folder, empty=empty, extra=extra) for empty in (False, True))
    described = [name for name, parameter in read.module.backbone.named_parameters() if parameter.is_meta]
    assert described == [name for name, _ in read.module.backbone.named_parameters() if "lora_" not in name]
    read.read_weights()
    for view in ("named_parameters", "named_buffers"):
        one, other = (dict(getattr(each.module, view)(remove_duplicate=False)) for each in (whole, read))
        assert list(one) == list(other)
        assert [name for name in one if not torch.equal(one[name], other[name])] == []
        assert [
            name for name in one if (one[name].dtype, one[name].requires_grad) != (other[name].dtype, other[name].requires_grad)
        ] == []
    assert len(list(whole.module.parameters())) == len(list(read.module.parameters())), "what is tied stays tied"
    whole.module.eval()
    read.module.eval()
    for how in ({"head": "nli"}, {"pooling": Pooling()}):
        assert torch.equal(whole.module(batch_of(), **how), read.module(batch_of(), **how))


@pytest.mark.parametrize("kind", ["xlm-roberta", "modernbert", "mt5", "llama", "qwen2"])
def test_units_are_the_layers_and_the_heads(kind, tmp_path):
    network = loaded(kind, make_folder(kind, tmp_path / kind), empty=True).module
    units = network.units()
    assert [unit.in_float32 for unit in units] == [False] * 3 + [True] * len(network.heads)
    inside = {id(parameter) for unit in units for parameter in unit.module.parameters()}
    table = network.body.get_input_embeddings().weight
    assert id(table) not in inside
    assert len(inside) > 0.8 * len(list(network.parameters()))


def test_what_is_missing_is_said_before_anything_is_read(tmp_path):
    folder = tmp_path / "m"
    make_folder("bert", folder)
    tensors = load_file(folder / "model.safetensors")
    lost = next(name for name in tensors if name.endswith("layer.1.output.dense.weight"))
    short = next(name for name in tensors if name.endswith("layer.0.output.dense.bias"))
    del tensors[lost]
    tensors[short] = tensors[short][:5].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="the weights do not fit BertModel") as caught:
        loaded("bert", folder, empty=True)
    assert "2 tensors missing or of another shape" in str(caught.value)


def test_a_mixture_of_experts_is_refused(tmp_path):
    from small_models import tokenizer

    from models.decoder import init_scratch

    sizes = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = {"model_type": "mixtral", **sizes, "intermediate_size": 16, "num_local_experts": 2, "max_position_embeddings": 40}
    init_scratch(config, tokenizer=tokenizer(), folder=tmp_path / "m", seed=1)
    with pytest.raises(UserError, match="puts several tensors of its files into one"):
        loaded("mixtral", tmp_path / "m", empty=True)


@pytest.mark.parametrize(("kind", "most"), [("bert", 10**9), ("bert", 20_000), ("llama", 20_000), ("mt5", 20_000)])
def test_a_folder_that_is_written_tensor_by_tensor_is_the_one_written_at_once(kind, most, tmp_path, monkeypatch):
    from harness.training.sharding import whole_tensors

    monkeypatch.setattr(divided, "FILE_BYTES", most)
    model = loaded(kind, make_folder(kind, tmp_path / "m"), empty=False)
    model.save(str(tmp_path / "once"))
    model.save(str(tmp_path / "streamed"), tensors=whole_tensors(model.module))
    one, other = ({p.name: p.read_bytes() for p in (tmp_path / name / "backbone").iterdir()} for name in ("once", "streamed"))
    assert one.pop("config.json") == other.pop("config.json")
    files = [name for name in other if name.endswith(".safetensors")]
    assert (len(files) > 2) == (most == 20_000)
    if len(files) > 1:
        index = json.loads(other["model.safetensors.index.json"])
        assert set(index["weight_map"].values()) == set(files)
        assert all(len(other[name]) < most + 20_000 for name in files)
    assert {name for name in other if "safetensors" not in name} == {name for name in one if "safetensors" not in name}
    assert (tmp_path / "once/heads.safetensors").read_bytes() == (tmp_path / "streamed/heads.safetensors").read_bytes()
    saved = load_file(tmp_path / "once/backbone/model.safetensors")
    streamed = {name: tensor for file in files for name, tensor in load_file(tmp_path / "streamed/backbone" / file).items()}
    assert saved.keys() == streamed.keys()
    again = loaded(kind, tmp_path / "streamed", empty=False)
    assert all(torch.equal(a, b) for a, b in zip(model.module.backbone.parameters(), again.module.backbone.parameters()))
