"""Sizes of a folder on the board: what its weights are read from, once, and nothing else; files that are not what they seem."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import CONFIGS, DECODERS, make_folder
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForPreTraining, AutoModelForSeq2SeqLM

from harness.api.errors import UserError
from harness.data.locations import DataPlace
from harness.executors.local import execute
from harness.planning.backbone.sizes import read_header, read_sizes
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import make_plan
from harness.planning.request import RunRequest
from harness.runtime.machine import Machine
from models import decoder, encoder

MORE_DECODERS = {
    "gpt2": {"n_layer": 2, "n_embd": 32, "n_head": 4, "n_positions": 40},
    "gpt_neox": {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64},
}
FINDERS = {
    **dict.fromkeys(("xlm-roberta", "deberta-v2", "modernbert", "rembert", "eurobert"), AutoModelForMaskedLM),
    "bert": AutoModelForPreTraining,  # with a head for sentence pairs as well
    **dict.fromkeys(("mt5", "umt5"), AutoModelForSeq2SeqLM),
    **dict.fromkeys(DECODERS | MORE_DECODERS, AutoModelForCausalLM),
}


@pytest.mark.parametrize("kind", FINDERS)
def test_a_repository_counts_what_its_backbone_is_used_with(tmp_path, kind):
    """Heads, poolers and decoders that were published with it leave the sizes as a model without weights has them."""
    settings = (CONFIGS | DECODERS | MORE_DECODERS)[kind]
    config = AutoConfig.for_model(kind, vocab_size=100, bos_token_id=0, eos_token_id=1, pad_token_id=2, **settings)
    FINDERS[kind].from_config(config).save_pretrained(tmp_path)
    adapter = encoder if kind in CONFIGS else decoder
    wanted = adapter.read_sizes(str(tmp_path))
    found = read_sizes(tmp_path)
    assert {key: found[key] for key in ("parameters", "non_embedding_parameters")} == {
        key: wanted[key] for key in ("parameters", "non_embedding_parameters")
    }


@pytest.fixture
def folder(tmp_path):
    return Path(make_folder("xlm-roberta", tmp_path / "model"))


def shard(folder: Path) -> None:
    """Two files and their index in place of one file."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    files = {f"model-0000{n + 1}-of-00002.safetensors": names[n::2] for n in range(2)}
    for file, own in files.items():
        save_file({name: weights[name] for name in own}, folder / file)
    index = {"metadata": {}, "weight_map": {name: file for file, own in files.items() for name in own}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def test_each_weight_is_counted_once(folder):
    sizes = read_sizes(folder)
    assert sizes["parameters"] == sum(tensor.numel() for tensor in load_file(folder / "model.safetensors").values())
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    assert read_sizes(folder) == sizes
    whole = (folder / "model.safetensors").read_bytes()
    shard(folder)
    assert read_sizes(folder) == sizes  # of what the index names
    save_file({"old": torch.zeros(7)}, folder / "model-00001-of-00003.safetensors")
    assert read_sizes(folder) == sizes
    (folder / "model.safetensors").write_bytes(whole)
    assert read_sizes(folder) == sizes  # transformers reads the one file where there are both
    (folder / "model.safetensors").unlink()
    (folder / "model-00001-of-00003.safetensors").unlink()
    (folder / "model.safetensors.index.json").unlink()
    assert read_sizes(folder) == sizes


def test_buffers_are_no_parameters(folder):
    sizes = read_sizes(folder)
    weights = load_file(folder / "model.safetensors")
    buffers = {
        "embeddings.position_ids": torch.arange(40)[None],
        "rotary_emb.inv_freq": torch.ones(4),
        "h.0.attn.bias": torch.ones(1, 1, 4, 4),
        "h.0.attn.masked_bias": torch.tensor(-1e4),
    }
    save_file({**weights, **buffers}, folder / "model.safetensors")
    assert read_sizes(folder) == sizes


def test_weights_that_are_no_safetensors_files_have_no_sizes(folder):
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    assert set(read_sizes(folder)) == {"layers", "hidden_size"}


def with_header(header: bytes, content: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + content


ENTRY = b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
BROKEN = {
    "nothing": b"",
    "short": b"\x01\x02",
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n",
    "huge header": (1 << 60).to_bytes(8, "little") + b"{}",
    "header beyond the end": (200).to_bytes(8, "little") + b"{}",
    "no JSON": with_header(b"\xff" * 20),
    "no object": with_header(b"[1, 2, 3]"),
    "no tensors": with_header(b'{"a": 1}'),
    "no shape": with_header(b'{"a": {"dtype": "F32", "data_offsets": [0, 8]}}', b"\0" * 8),
    "nested": with_header(b"[" * 100_000),
    "cut": with_header(ENTRY, b"\0" * 7),
    "too long": with_header(ENTRY, b"\0" * 9),
}


@pytest.mark.parametrize("name", BROKEN)
def test_files_that_are_no_safetensors_are_refused(folder, name):
    file = folder / "model.safetensors"
    file.write_bytes(BROKEN[name])
    with pytest.raises(UserError, match=r"model.safetensors: cannot read these weights(.|\n)*expected: a whole safetensors file"):
        read_sizes(folder)


def test_a_whole_file_is_read(tmp_path):
    (tmp_path / "a").write_bytes(with_header(ENTRY, b"\0" * 8))
    assert read_header(tmp_path / "a") == [("a", "F32", (2,))]


def test_an_index_that_names_what_is_not_there(folder):
    shard(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match=r"model-00002-of-00002.safetensors: cannot read these weights"):
        read_sizes(folder)
    (folder / "model.safetensors.index.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="without a `weight_map`"):
        read_sizes(folder)
    (folder / "model.safetensors.index.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"index.json: cannot read this file of a model"):
        read_sizes(folder)


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_configuration_that_is_no_object(folder, content):
    (folder / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"config.json: cannot read this file of a model"):
        read_sizes(folder)


@pytest.mark.parametrize("name", ["mini-16k", "mini-65k", "mini", "mini-1m"])
def test_presets_of_the_miniature_world_say_the_sizes_that_are_made(tmp_path, name):
    catalog, place = Catalog(), DataPlace(offline=True)
    plan = make_plan(RunRequest(model=name, tasks="mini/tagging", recipe="mini"), catalog=catalog, place=place)
    init = next(stage for stage in plan.stages if stage.verb == "init")
    machine = Machine(place=place, device_name="cpu", progress=False, task_folders=catalog.task_folders())
    execute([init], root=tmp_path, machine=machine)
    made = read_sizes(init.folder(tmp_path) / "backbone")
    spec = catalog.preset(name).spec
    assert {key: getattr(spec, key) for key in made} == made
