"""The presets of causal language models: their sizes are those of their configurations, and of what is published."""

from typing import Any

import pytest
from test_encoder_presets import BENCHMARKED, FOLDER, missing, presets

from models.decoder import MODEL_TYPES, TASK_OPTIONS, read_sizes


def xglm(layers: int, width: int, inner: int, heads: int) -> dict[str, Any]:
    sizes = {"num_layers": layers, "d_model": width, "ffn_dim": inner, "attention_heads": heads}
    return {"model_type": "xglm", "vocab_size": 256008, **sizes}


def bloom(layers: int, width: int, heads: int) -> dict[str, Any]:
    return {"model_type": "bloom", "vocab_size": 250880, "n_layer": layers, "hidden_size": width, "n_head": heads}


def llama(kind: str, vocab_size: int, layers: int, width: int, inner: int, heads: tuple[int, int], **more: Any) -> dict[str, Any]:
    sizes = {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": inner}
    attention = {"num_attention_heads": heads[0], "num_key_value_heads": heads[1]}
    return {"model_type": kind, "vocab_size": vocab_size, **sizes, **attention, "tie_word_embeddings": True, **more}


def gemma(vocab_size: int, layers: int, width: int, inner: int, heads: tuple[int, int]) -> dict[str, Any]:
    text = llama("gemma3_text", vocab_size, layers, width, inner, heads, head_dim=256)
    return text if vocab_size == 262144 else {"model_type": "gemma3", "text_config": text}


APART: dict[str, Any] = {"tie_word_embeddings": False}
CONFIGS = {
    "xglm-564m": xglm(24, 1024, 4096, 16),
    "xglm-1.7b": xglm(24, 2048, 8192, 16),
    "xglm-2.9b": xglm(48, 2048, 8192, 16),
    "xglm-4.5b": xglm(48, 2048, 16384, 16),
    "xglm-7.5b": xglm(32, 4096, 16384, 32),
    "bloom-560m": bloom(24, 1024, 16),
    "bloom-1b1": bloom(24, 1536, 16),
    "bloom-1b7": bloom(24, 2048, 16),
    "bloom-3b": bloom(30, 2560, 32),
    "bloom-7b1": bloom(30, 4096, 32),
    "qwen2.5-0.5b": llama("qwen2", 151936, 24, 896, 4864, (14, 2)),
    "qwen2.5-1.5b": llama("qwen2", 151936, 28, 1536, 8960, (12, 2)),
    "qwen2.5-3b": llama("qwen2", 151936, 36, 2048, 11008, (16, 2)),
    "qwen2.5-7b": llama("qwen2", 152064, 28, 3584, 18944, (28, 4), **APART),
    "qwen2.5-14b": llama("qwen2", 152064, 48, 5120, 13824, (40, 8), **APART),
    "qwen3-0.6b-base": llama("qwen3", 151936, 28, 1024, 3072, (16, 8), head_dim=128),
    "qwen3-1.7b-base": llama("qwen3", 151936, 28, 2048, 6144, (16, 8), head_dim=128),
    "qwen3-4b-base": llama("qwen3", 151936, 36, 2560, 9728, (32, 8), head_dim=128),
    "qwen3-8b-base": llama("qwen3", 151936, 36, 4096, 12288, (32, 8), head_dim=128, **APART),
    "qwen3-14b-base": llama("qwen3", 151936, 40, 5120, 17408, (40, 8), head_dim=128, **APART),
    "llama-3.2-1b": llama("llama", 128256, 16, 2048, 8192, (32, 8), head_dim=64),
    "llama-3.2-3b": llama("llama", 128256, 28, 3072, 8192, (24, 8), head_dim=128),
    "llama-3.1-8b": llama("llama", 128256, 32, 4096, 14336, (32, 8), **APART),
    "gemma-3-270m": gemma(262144, 18, 640, 2048, (4, 1)),
    "gemma-3-1b-pt": gemma(262144, 26, 1152, 6912, (4, 1)),
    "gemma-3-4b-pt": gemma(262208, 34, 2560, 10240, (8, 4)),
    "gemma-3-12b-pt": gemma(262208, 48, 3840, 15360, (16, 8)),
    "eurollm-1.7b": llama("llama", 128000, 24, 2048, 5632, (16, 8), **APART),
    "eurollm-9b": llama("llama", 128000, 42, 4096, 12288, (32, 8), **APART),
    "smollm2-135m": llama("llama", 49152, 30, 576, 1536, (9, 3)),
    "smollm2-135m-instruct": llama("llama", 49152, 30, 576, 1536, (9, 3)),
}
PUBLISHED = {"bloom-1b1": (1_065_314_304, 385_351_680)}
"Parameters in all and in the embeddings, as the model card counts them."


def test_every_preset_of_a_decoder_has_a_configuration_here():
    assert {name for name, spec in presets().items() if spec.adapter == "decoder"} == set(CONFIGS)


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_sizes_are_those_of_the_configuration(name):
    spec = presets()[name]
    assert spec.architecture == CONFIGS[name]["model_type"]
    assert spec.architecture in MODEL_TYPES
    stated = {key: getattr(spec, key) for key in ("parameters", "non_embedding_parameters", "layers", "hidden_size")}
    assert stated == read_sizes(CONFIGS[name])


def test_sizes_are_those_that_are_published():
    for name, (total, embedding) in PUBLISHED.items():
        spec = presets()[name]
        # The layer norm of the embeddings is no table: the card counts it with the layers, too.
        assert (spec.parameters, spec.parameters - spec.non_embedding_parameters) == (total, embedding)


def test_languages_of_pretraining_are_those_that_are_documented():
    assert missing("qwen3-8b-base") == ["qu", "wo", "yo"]
    assert {"de", "ja", "ko", "ru", "th", "tr"} <= set(missing("bloom-7b1"))
    assert {"nl", "hu", "he", "fa"} <= set(missing("xglm-7.5b"))
    assert len(BENCHMARKED) - len(missing("xglm-564m")) == 29  # of its 30, Catalan is not in the table
    assert len(BENCHMARKED) - len(missing("eurollm-9b")) == 23
    unknown = {name for name in CONFIGS if presets()[name].languages is None}
    assert unknown == {name for name in CONFIGS if name.startswith(("qwen2.5", "llama", "gemma"))} | {"xglm-4.5b"}


def test_presets_say_what_goes_wrong_and_leave_to_the_adapter_what_all_decoders_need():
    for name in CONFIGS:
        spec = presets()[name]
        assert spec.pitfalls
        assert spec.licence
        gated = any("Gated" in pitfall for pitfall in spec.pitfalls)
        assert gated == name.startswith(("llama", "gemma"))
        assert not {(kind, key) for kind, options in spec.task_options.items() for key in options} & {
            (kind, key) for kind, options in TASK_OPTIONS.items() for key in options
        }
    assert (FOLDER / "qwen3-0.6b-base.yaml").is_file()
