"""The presets of encoders: they parse, and their sizes are those of their configurations."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.data.languages import languages
from harness.registry import ROOT
from harness.specs.preset import PresetSpec
from models.encoder import read_sizes

FOLDER = ROOT / "models" / "presets"


def bert(model_type: str, vocab_size: int, layers: int, width: int, inner: int, heads: int, **more: Any) -> dict[str, Any]:
    sizes = {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": inner, "num_attention_heads": heads}
    return {"model_type": model_type, "vocab_size": vocab_size, **sizes, **more}


def mt5(layers: int, width: int, inner: int, heads: int) -> dict[str, Any]:
    sizes = {"num_layers": layers, "d_model": width, "d_ff": inner, "num_heads": heads, "d_kv": 64}
    return {"model_type": "mt5", "vocab_size": 250112, "feed_forward_proj": "gated-gelu", **sizes}


ROBERTA = {"max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 1}
DEBERTA = {
    "relative_attention": True,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
}
BASE = bert("xlm-roberta", 250002, 12, 768, 3072, 12, **ROBERTA)
LARGE = bert("xlm-roberta", 250002, 24, 1024, 4096, 16, **ROBERTA)
MINI = bert("bert", 250037, 12, 384, 1536, 12)
CONFIGS = {
    "xlm-roberta-base": BASE,
    "xlm-roberta-large": LARGE,
    "xlm-roberta-xl": bert("xlm-roberta-xl", 250880, 36, 2560, 10240, 32, **ROBERTA),
    "xlm-roberta-xxl": bert("xlm-roberta-xl", 250880, 48, 4096, 16384, 32, **ROBERTA),
    "infoxlm-base": BASE,
    "infoxlm-large": LARGE,
    "bert-base-multilingual-cased": bert("bert", 119547, 12, 768, 3072, 12),
    "mdeberta-v3-base": bert("deberta-v2", 251000, 12, 768, 3072, 12, **DEBERTA),
    "multilingual-minilm": MINI,
    "multilingual-e5-small": MINI,
    "mmbert-small": bert("modernbert", 256000, 22, 384, 1152, 6),
    "mmbert-base": bert("modernbert", 256000, 22, 768, 1152, 12),
    "rembert": bert("rembert", 250300, 32, 1152, 4608, 18, input_embedding_size=256, output_embedding_size=1664),
    "eurobert-210m": bert("eurobert", 128256, 12, 768, 3072, 12, num_key_value_heads=12),
    "eurobert-610m": bert("eurobert", 128256, 26, 1152, 4096, 18, num_key_value_heads=6),
    "eurobert-2.1b": bert("eurobert", 128256, 32, 2304, 6144, 18, num_key_value_heads=6),
    "mt5-small": mt5(8, 512, 1024, 6),
    "mt5-base": mt5(12, 768, 2048, 12),
    "mt5-large": mt5(24, 1024, 2816, 16),
    "mt5-xl": mt5(24, 2048, 5120, 32),
    "mt5-xxl": mt5(24, 4096, 10240, 64),
}


def presets() -> dict[str, PresetSpec]:
    files = sorted(FOLDER.glob("*.yaml"))
    return {file.stem: PresetSpec.model_validate(yaml.safe_load(file.read_text(encoding="utf-8"))) for file in files}


def test_every_encoder_preset_has_a_configuration_here_and_the_name_of_its_file():
    found = presets()
    assert all(spec.preset == name for name, spec in found.items())
    encoders = {name for name, spec in found.items() if spec.adapter == "encoder" and spec.hub}
    assert encoders == set(CONFIGS)
    assert all(Path(spec.hub).name.lower() == name or name == "multilingual-minilm" for name, spec in found.items() if spec.hub)


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_sizes_are_those_of_the_configuration(name):
    spec = presets()[name]
    assert spec.architecture == CONFIGS[name]["model_type"]
    stated = {key: getattr(spec, key) for key in ("parameters", "non_embedding_parameters", "layers", "hidden_size")}
    assert stated == read_sizes(CONFIGS[name])


def test_languages_are_those_of_xtreme():
    for name, spec in presets().items():
        if spec.languages is not None:
            assert len(set(spec.languages)) == len(spec.languages), name
            assert set(spec.languages) <= set(languages()), name
    assert set(languages()) - set(presets()["xlm-roberta-base"].languages) == {"yo"}
