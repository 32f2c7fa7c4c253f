"""The presets of encoders: they parse, and their sizes are those of their configurations."""

from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest

from harness.api.errors import UserError
from harness.api.registry import ROOT
from harness.data.languages import languages
from harness.data.pretraining_coverage import corpora, covered
from harness.specs.loader import read_document
from harness.specs.preset import Coverage, Evidence, PresetSpec
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


@cache
def presets() -> dict[str, PresetSpec]:
    files = sorted(FOLDER.glob("[!_]*.yaml"))
    return {file.stem: PresetSpec.model_validate(read_document(file).values) for file in files}


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


BENCHMARKED = {row.code for row in languages().values() if row.benchmark}
"Languages of XTREME and XTREME-R."


def missing(name: str) -> list[str]:
    """Languages of XTREME and XTREME-R that a preset's pretraining has not held."""
    held = covered(presets()[name].languages)
    assert held is not None
    return sorted(BENCHMARKED - set(held.languages))


def test_languages_of_pretraining_are_in_the_table_each_once_and_have_a_source():
    held = {name: covered(spec.languages) for name, spec in presets().items() if spec.languages}
    for name, found in [*held.items(), *corpora().items()]:
        assert len(set(found.languages)) == len(found.languages), name
        assert set(found.languages) <= set(languages()), name
        assert found.source, name
        assert found.evidence in get_args(Evidence), name
    assert {spec.languages.corpus for spec in presets().values() if spec.languages} - {None} == set(corpora())


def test_languages_of_pretraining_are_those_that_are_documented():
    """XLM-R has no Yoruba, though the corpus that was published as CC-100 has; EuroBERT has 15 languages."""
    assert missing("xlm-roberta-base") == missing("xlm-roberta-xxl") == missing("mdeberta-v3-base") == ["ht", "qu", "wo", "yo"]
    assert missing("bert-base-multilingual-cased") == missing("mt5-xxl") == missing("rembert") == ["qu", "wo"]
    assert missing("mmbert-base") == []
    assert len(BENCHMARKED) - len(missing("eurobert-210m")) == 15
    assert presets()["multilingual-minilm"].languages is None


def test_ladders_of_sizes_share_their_pretraining():
    ladders: dict[str, set[str]] = {}
    for spec in presets().values():
        if spec.family:
            ladders.setdefault(spec.family, set()).add(spec.languages and (spec.languages.corpus or spec.languages.codes))
    assert ladders == {
        "XLM-R": {"xlmr"},
        "mT5": {"mc4"},
        "EuroBERT": {"eurobert_15"},
        "mmBERT": {"mmbert_1833"},
        "InfoXLM": {"xlmr"},
        "XGLM": {"xglm_30"},  # without 4.5B, which was trained on other languages
        "BLOOM": {"roots_46"},
        "Qwen2.5": {None},
        "Qwen3": {"qwen3_119"},
        "Llama 3.2": {None},
        "Gemma 3": {None},
        "EuroLLM": {"eurollm_35"},
        "SmolLM2": {("en",)},
        "mini": {presets()["mini"].languages.codes},
    }


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"corpus": "mc4", "codes": ["de"]},
        {"codes": ["de"]},
        {"codes": ["de"], "source": "x"},
        {"corpus": "mc4", "source": "x"},
    ],
)
def test_covered_languages_are_a_corpus_or_a_list_with_its_source(written):
    with pytest.raises(ValueError, match="corpus"):
        Coverage.model_validate(written)


def test_an_unknown_corpus_is_an_error_with_the_nearest_one():
    with pytest.raises(UserError, match="did you mean 'mc4'"):
        covered(Coverage(corpus="mc44"))
