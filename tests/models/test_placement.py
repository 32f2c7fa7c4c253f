"""Where a model's parts lie: spread over devices, main memory and disk, with the same outputs, and nothing moved unseen."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_gpus import CPU, META, two_gpus
from small_decoders import LORA, OWN, everything, same
from small_models import CONFIGS, DECODERS, HEADS, batch_of, features_of, make_folder
from torch import nn
from transformers import AutoConfig, BertForMaskedLM, BertForSequenceClassification

from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from harness.api.protocols import Feature, Pooling
from models import decoder, encoder, finetuned
from models.inference.language_model import PaddedTokens, SplitModel, chosen_rows
from models.loading.architectures import make_model
from models.loading.layers import find_layers
from models.loading.placement import GIB, PlaceLimit, bytes_by_place, placement, spread
from models.loading.pretrained import load_config
from models.loading.read_ahead import ask_for, stretches

REQUESTS = [
    Feature(example=0, input_ids=[5, 6, 7, 8], continuations=[[9], [10, 11]]),
    Feature(example=1, input_ids=[5, 6, 7, 8, 9, 4], continuations=[[9], [10, 11]]),
]
TO_WRITE = [
    dataclasses.replace(one, continuations=None, generate={"max_new_tokens": 4 + one.example, "stop": []}) for one in REQUESTS
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: make_folder(kind, root / kind) for kind in (*CONFIGS, *DECODERS)}


def opened(path, *, adapter=encoder, heads=HEADS, device="cpu", inference=True, **source):
    settings = {"dtype": "float32", **source}
    return adapter.load(ModelSource(path=str(path), **settings), heads=heads, device=device, seed=1, inference=inference)


def offloaded(path, *, share, **given):
    """The model with main memory for so much of it, and the rest on the disk."""
    whole = sum(opened(path, **given).placed.values())
    return opened(path, device_map="auto", cpu_memory_gib=share * whole / GIB, **given)


@pytest.mark.parametrize("share", [0.6, 1e-9])
@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_an_encoder_says_the_same_wherever_its_layers_lie(folders, kind, share):
    plain, spread_out = opened(folders[kind]), offloaded(folders[kind], share=share)
    assert set(spread_out.placed) == {"cpu", "disk"}
    assert spread_out.is_streamed
    assert not plain.is_streamed
    assert sum(spread_out.placed.values()) == sum(plain.placed.values())
    for name in HEADS:
        for left, right in zip(plain.forward_head(batch_of(), name), spread_out.forward_head(batch_of(), name), strict=True):
            np.testing.assert_array_equal(left, right)
    for layer in (0, 2, -1):
        pooling = Pooling(layer=layer)
        np.testing.assert_array_equal(plain.embed(batch_of(), pooling), spread_out.embed(batch_of(), pooling))


@pytest.mark.parametrize("kind", sorted(DECODERS))
def test_a_decoder_says_the_same_wherever_its_layers_lie(folders, kind):
    plain = opened(folders[kind], adapter=decoder, heads=OWN)
    spread_out = offloaded(folders[kind], adapter=decoder, heads=OWN, share=0.6)
    assert spread_out.placed["disk"] > 0
    same(everything(plain), everything(spread_out))
    np.testing.assert_array_equal(plain.loglikelihood(REQUESTS), spread_out.loglikelihood(REQUESTS))
    assert plain.generate(TO_WRITE) == spread_out.generate(TO_WRITE)


@pytest.mark.parametrize("saved_as", [BertForMaskedLM, BertForSequenceClassification])
def test_layers_are_found_on_the_disk_under_the_names_that_they_have_there(tmp_path, folders, saved_as):
    """As in checkpoints of other classes, whose tensors are named `bert....`."""
    config = AutoConfig.from_pretrained(folders["bert"])
    names = ("no", "maybe", "yes")
    config.id2label, config.label2id = dict(enumerate(names)), {name: number for number, name in enumerate(names)}
    torch.manual_seed(2)
    saved_as(config).save_pretrained(tmp_path)
    for file in Path(folders["bert"]).glob("tokenizer*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    if saved_as is BertForMaskedLM:
        plain, spread_out = opened(tmp_path), offloaded(tmp_path, share=1e-9)
        np.testing.assert_array_equal(plain.embed(batch_of(), Pooling()), spread_out.embed(batch_of(), Pooling()))
        return
    heads = {"nli": HEADS["nli"]}
    given = {"adapter": finetuned, "heads": heads, "head_labels": {"nli": ("yes", "no", "maybe")}}
    plain, spread_out = opened(tmp_path, **given), offloaded(tmp_path, share=1e-9, **given)
    assert spread_out.placed["disk"] > 0
    np.testing.assert_array_equal(plain.forward_head(batch_of(), "nli"), spread_out.forward_head(batch_of(), "nli"))


def test_a_layer_on_the_disk_is_computed_in_the_type_that_is_asked_for(folders):
    """Its file is fp32; nothing is written anywhere."""
    before = sorted(Path(folders["bert"]).iterdir())
    plain = opened(folders["bert"], dtype="bfloat16")
    spread_out = opened(folders["bert"], dtype="bfloat16", device_map="auto", cpu_memory_gib=1e-9)
    assert spread_out.placed["disk"] > 0
    np.testing.assert_array_equal(plain.embed(batch_of(), Pooling()), spread_out.embed(batch_of(), Pooling()))
    assert sorted(Path(folders["bert"]).iterdir()) == before


def test_the_next_layer_is_asked_for_where_it_lies(folders):
    model = opened(folders["bert"], device_map="auto", cpu_memory_gib=1e-9).module.backbone
    owner, name = find_layers(model)
    size = sum(parameter.nbytes for parameter in getattr(owner, name)[1].parameters())
    found = list(stretches(getattr(owner, name)[1]))
    assert sum(stretch.size for stretch in found) == size
    assert {Path(stretch.file).name for stretch in found} == {"model.safetensors"}
    ask_for(found)
    mapped = opened(folders["bert"]).module.backbone
    owner, name = find_layers(mapped)
    found = list(stretches(getattr(owner, name)[1]))
    assert {stretch.file for stretch in found} == {""}
    assert sum(stretch.size for stretch in found) == size
    ask_for(found)


def meta_model(kind):
    with torch.device("meta"):
        return make_model(AutoConfig.for_model(kind, **{**(CONFIGS | DECODERS)[kind], "vocab_size": 20, "pad_token_id": 1}))


def layer_places(placed):
    return [place for name, place in placed.items() if name.rpartition(".")[2].isdigit()]


@pytest.mark.parametrize("kind", sorted(CONFIGS | DECODERS))
def test_a_map_names_every_parameter_once_and_divides_no_layer(kind):
    model = meta_model(kind)
    placed = spread(model, [PlaceLimit(0, 1 << 30), PlaceLimit("cpu", 0)], kind="auto", dtype=torch.float32)
    owners = [[part for part in placed if f"{name}.".startswith(f"{part}.")] for name, _ in model.named_parameters()]
    assert {len(found) for found in owners} == {1}
    assert layer_places(placed) == [0, 0, 0]
    assert set(placed.values()) == {0}


def room_for(model, *, layers, beside=True):
    """Bytes for so many layers, and for what is beside them."""
    owner, name = find_layers(model)
    size = sum(parameter.nbytes for parameter in getattr(owner, name)[0].parameters())
    rest = sum(parameter.nbytes for parameter in model.parameters()) - 3 * size
    return int(layers * size) + (rest if beside else 0)


@pytest.mark.parametrize(
    ("rooms", "kind", "expected"),
    [
        ([(0, 1), ("cpu", 1)], "auto", [0, "cpu", "disk"]),
        ([(0, 2), ("cpu", 0)], "auto", [0, 0, "disk"]),
        ([("cpu", 2)], "auto", ["cpu", "cpu", "disk"]),
        ([("cpu", 0)], "auto", ["disk", "disk", "disk"]),
        ([(0, 3), (1, 3), ("cpu", 3)], "sequential", [0, 0, 0]),
        ([(0, 3), (1, 3), ("cpu", 3)], "balanced", [0, 1, 1]),
        ([(0, 3), (1, 3), ("cpu", 3)], "auto", [0, 1, 1]),
        ([(0, 3), (1, 3), ("cpu", 3)], "balanced_low_0", [1, 1, 1]),
        ([(0, 1), (1, 1), ("cpu", 3)], "balanced", [0, 1, "cpu"]),
        ([(0, 1), (1, 1), ("cpu", 0)], "balanced", [0, 1, "disk"]),
    ],
)
def test_layers_fill_devices_then_main_memory_then_the_disk(rooms, kind, expected):
    model = meta_model("bert")
    first = rooms[0][0]
    given = [PlaceLimit(place, room_for(model, layers=layers + 0.1, beside=place == first)) for place, layers in rooms]
    placed = spread(model, given, kind=kind, dtype=torch.float32)
    assert layer_places(placed) == expected
    assert placed["embeddings"] == first


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_heads_and_vectors_of_an_encoder_on_two_gpus(folders, kind):
    model = opened(folders[kind], heads={name: spec for name, spec in HEADS.items() if spec.kind != "mlm"})
    with two_gpus(model.module, batch=batch_of(), first=CPU, second=META) as batch:
        for head in model.heads:
            assert model.module(batch, head=head).device == CPU
        for method in ("mean", "mean_no_first", "first", "last"):
            for layer in (0, 2, 3):
                assert model.module(batch, pooling=Pooling(method=method, layer=layer)).device == CPU


@pytest.mark.parametrize("kind", sorted(DECODERS))
def test_a_language_model_on_two_gpus(folders, kind):
    model = opened(folders[kind], adapter=decoder, heads={"nli": HEADS["nli"]})
    lm = model.module.backbone
    with two_gpus(model.module, batch=batch_of(), first=META, second=CPU) as batch:  # nothing on META may meet an index on CPU
        split_model = SplitModel(lm, device=META)
        rows = PaddedTokens(batch.input_ids, batch.attention_mask, [0] * len(batch.input_ids))
        hidden, cache = split_model.hidden(rows, keep=True)
        assert hidden.device == META
        assert {logits.device for logits in split_model.logits(hidden[:, -1])} == {META}
        assert [layer.keys.device for layer in cache.layers] == [META, CPU, CPU]


class KeptOn:
    """A layer of a cache on a device, which takes indices from there only."""

    def __init__(self, device):
        self.keys = None if device is None else torch.zeros(3, 1, 4, 2, device=device)
        self.chosen = None

    def batch_select_indices(self, rows):
        assert self.keys is None or rows.device == self.keys.device
        self.chosen = rows.device


def test_rows_of_a_cache_are_chosen_on_the_device_of_each_layer():
    cache = SimpleNamespace(layers=[KeptOn(CPU), KeptOn(META), KeptOn(None)])
    found = chosen_rows(cache, torch.tensor([0, 0]))
    assert [layer.chosen for layer in found.layers] == [CPU, META, CPU]
    assert [layer.chosen for layer in cache.layers] == [None, None, None]


def test_batches_go_where_the_model_is():
    batch = batch_of()
    there = batch.on(torch.device("meta"))
    tensors = [there.input_ids, there.attention_mask, there.labels, there.groups]
    assert [tensor.device.type for tensor in tensors] == ["meta"] * 4
    assert there.type_ids is None
    assert there.features == features_of([]) or there.features is batch.features
    assert batch.on(torch.device("cpu")) is batch


def test_a_device_gets_its_tensors_straight_from_the_files(folders):
    """Without a map as well: nothing is loaded into main memory first."""
    config = load_config(Path(folders["bert"]), ModelSource(path=folders["bert"]))
    given = {"config": config, "dtype": torch.float32}
    source = ModelSource(path=folders["bert"])
    assert placement(nn.Module, source=source, device="cuda:1", **given) == {"": torch.device("cuda:1")}
    assert placement(nn.Module, source=source, device="cpu", **given) is None
    on_cpu = dataclasses.replace(source, device_map="cpu")
    assert placement(nn.Module, source=on_cpu, device="cpu", **given) is None
    with pytest.raises(UserError, match=r"device_map=cpu computes on the CPU(.|\n)*to do: --device cpu"):
        placement(nn.Module, source=on_cpu, device="cuda", **given)


def test_layers_on_the_disk_are_not_trained(folders):
    with pytest.raises(UserError, match=r"on the disk cannot be trained(.|\n)*cpu_memory_gib"):
        opened(folders["bert"], device_map="auto", cpu_memory_gib=1e-9, inference=False)


def test_adapters_are_not_merged_into_layers_on_the_disk(folders, tmp_path):
    trained = opened(folders["llama"], adapter=decoder, heads={}, inference=False, extra=LORA)
    trained.save(str(tmp_path / "checkpoint"))
    opened(folders["llama"], adapter=decoder, heads={}, checkpoint=str(tmp_path / "checkpoint"))
    with pytest.raises(UserError, match=r"adapters cannot be put into layers(.|\n)*cpu_memory_gib"):
        opened(
            folders["llama"],
            adapter=decoder,
            heads={},
            checkpoint=str(tmp_path / "checkpoint"),
            device_map="auto",
            cpu_memory_gib=1e-9,
        )


def test_bytes_are_counted_where_they_lie():
    model = meta_model("bert")
    sizes = sum(parameter.nbytes for parameter in model.parameters())
    assert bytes_by_place(nn.Linear(2, 3)) == {"cpu": 36}
    model.hf_device_map = {"embeddings": "cpu", "encoder": "disk"}
    found = bytes_by_place(model)
    assert found["cpu"] == sum(parameter.nbytes for parameter in model.embeddings.parameters())
    assert sum(found.values()) == sizes
