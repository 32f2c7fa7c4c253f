"""Sizes that a plan reads from a config.json are those of the model that transformers makes of it, to the parameter."""

import json

import pytest
import torch
from small_models import CONFIGS, DECODERS
from transformers import AutoConfig

from harness.api.registry import ROOT
from harness.planning.catalog.catalog import Catalog
from harness.planning.costs.architectures import shape_of
from models.causal.pretrained import causal_config
from models.loading.architectures import make_model

SPECIAL = {f"{name}_token_id": number for number, name in enumerate(("pad", "bos", "eos", "cls", "sep", "mask"))}
MORE = {
    "deberta-v2 with its own keys": ("deberta-v2", {**CONFIGS["deberta-v2"], "share_att_key": False, "conv_kernel_size": 3}),
    "llama with biases": ("llama", {**DECODERS["llama"], "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False}),
    "modernbert with biases": ("modernbert", {**CONFIGS["modernbert"], "attention_bias": True, "mlp_bias": True}),
    "bert with narrow words": ("bert", {**CONFIGS["bert"]}),
    "smollm3": ("smollm3", {**DECODERS["llama"], "num_hidden_layers": 3}),
    "mistral": ("mistral", {**DECODERS["llama"], "tie_word_embeddings": False}),
}
ALL = {**{kind: (kind, content) for kind, content in (CONFIGS | DECODERS).items()}, **MORE}


def model_of(kind, content, *, causal):
    config = AutoConfig.for_model(kind, vocab_size=101, **{**SPECIAL, **content})
    used = causal_config(config, bidirectional=False) if causal else config
    with torch.device("meta"):
        return json.loads(config.to_json_string()), make_model(used)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ALL)
def test_parameters_are_counted_exactly(name):
    kind, content = ALL[name]
    causal = kind in DECODERS or kind in ("smollm3", "mistral")
    config, model = model_of(kind, content, causal=causal)
    shape = shape_of(config, facts={}, causal=causal)
    assert shape is not None
    assert shape.guess == ""
    counted = {id(parameter): parameter for parameter in model.parameters()}
    assert shape.parameters == sum(parameter.numel() for parameter in counted.values())
    # Matrices of layers are those that multiply every token: linear layers inside the list of layers.
    owner = next(part for part in model.modules() if isinstance(part, torch.nn.ModuleList) and len(part) == shape.layers)
    inner = [part for part in owner.modules() if isinstance(part, torch.nn.Linear)]
    assert shape.in_matrices == sum(part.weight.numel() for part in inner)
    assert shape.layers == len(owner)


def test_a_shape_from_the_sizes_of_a_preset_says_so_and_has_its_parameters():
    spec = Catalog().preset("xlm-roberta-xxl").spec
    shape = shape_of(None, facts={**spec.model_dump(), "architecture": spec.architecture}, causal=False)
    assert shape is not None
    assert "config.json is not here" in shape.guess
    assert shape.parameters == spec.parameters
    assert (shape.layers, shape.hidden) == (48, 4096)
    assert abs(shape.intermediate / 16384 - 1) < 0.01


@pytest.mark.parametrize("facts", [{"parameters": 10**9}, {"parameters": 10**9, "layers": 20}])
def test_of_a_size_alone_a_shape_is_made_up_and_says_so(facts):
    shape = shape_of(None, facts=facts, causal=True)
    assert shape is not None
    assert shape.parameters == 10**9
    assert "number of parameters" in shape.guess


def test_without_any_size_there_is_no_shape():
    assert shape_of(None, facts={}, causal=False) is None


def test_an_architecture_that_is_not_known_is_reckoned_by_its_sizes():
    facts = {"parameters": 120_000_000, "non_embedding_parameters": 85_000_000, "layers": 12, "hidden_size": 768}
    shape = shape_of({"model_type": "foo"}, facts=facts, causal=False)
    assert shape is not None
    assert "foo is not known" in shape.guess
    assert shape.parameters == 120_000_000


def test_every_preset_has_a_shape():
    catalog = Catalog()
    names = [name for name in catalog.names("preset") if catalog.preset(name).spec.parameters]
    assert len(names) > 40
    for name in names:
        spec = catalog.preset(name).spec
        shape = shape_of(None, facts={**spec.model_dump(), "architecture": spec.architecture}, causal=spec.adapter == "decoder")
        assert shape is not None, name
        assert shape.parameters == spec.parameters, name
    assert (ROOT / "tasks" / "devices").is_dir()
