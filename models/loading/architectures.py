"""Which class of transformers a configuration asks for: an encoder, or a causal language model with or without its LM head.

model_class = encoder_class(config)        # decoder_class(config) for causal language models
model = make_model(config)                 # random weights; no memory inside torch.device("meta")
"""

import inspect
from typing import Any

from transformers import AutoModel, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    MODEL_MAPPING,
)

from harness.api.errors import UserError


def encoder_class(config: PretrainedConfig) -> Any:
    """Class of the encoder (of the encoder half, where there is a decoder too); UserError for models that have none."""
    kind = type(config)
    text_encoder: Any = MODEL_FOR_TEXT_ENCODING_MAPPING.get(kind, None)
    if text_encoder is not None and text_encoder.__name__.endswith("EncoderModel"):
        return text_encoder
    if config.is_encoder_decoder or is_decoder(config):
        alone = kind not in MODEL_FOR_MASKED_LM_MAPPING and not config.is_encoder_decoder
        raise UserError(
            f"model type '{config.model_type}' is no encoder",
            expected="an encoder such as xlm-roberta, bert, deberta-v2, modernbert, rembert, eurobert, mt5",
            found="a decoder" if alone else "a decoder beside or instead of the encoder",
            todo="--model_args adapter=decoder" if alone else "",
        )
    found: Any = MODEL_MAPPING.get(kind, None)
    return AutoModel if found is None else found


def is_decoder(config: PretrainedConfig) -> bool:
    """Whether a configuration is that of a causal language model without an encoder."""
    kind = type(config)
    alone = kind in MODEL_FOR_CAUSAL_LM_MAPPING and kind not in MODEL_FOR_MASKED_LM_MAPPING
    return not config.is_encoder_decoder and (alone or bool(getattr(config, "is_decoder", False)))


def decoder_class(config: PretrainedConfig, *, lm_head: bool = True) -> Any:
    """Class of the causal language model, or without `lm_head` of its body; UserError for models that are none."""
    found: Any = (MODEL_FOR_CAUSAL_LM_MAPPING if lm_head else MODEL_MAPPING).get(type(config), None)
    if found is not None and is_decoder(config):
        return found
    if found is None and "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {}):
        return AutoModelForCausalLM
    raise UserError(
        f"model type '{config.model_type}' is no decoder",
        expected="a causal language model such as xglm, bloom, qwen2, qwen3, llama, gemma3",
        found="an encoder with a decoder" if config.is_encoder_decoder else "an encoder",
        todo="" if config.is_encoder_decoder else "--model_args adapter=encoder",
    )


def make_model(config: PretrainedConfig) -> PreTrainedModel:
    """The encoder or causal language model with random weights (from torch's global generator).

    Inside `torch.device("meta")` it takes no memory.
    """
    kind = decoder_class(config) if is_decoder(config) else encoder_class(config)
    if kind is AutoModel:
        return AutoModel.from_config(config)
    return kind(config, add_pooling_layer=False) if takes_pooling_layer(kind) else kind(config)


def takes_pooling_layer(model_class: Any) -> bool:
    """Whether the class can be made without its pooler, which nothing here uses."""
    return "add_pooling_layer" in inspect.signature(model_class.__init__).parameters
