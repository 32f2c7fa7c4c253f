"""Weights in few bits: quantised while they are loaded (bitsandbytes), or found so in the files.

    arguments = low_bit_arguments(source, config=config, dtype=torch.bfloat16)      # what from_pretrained needs besides
    settle_low_bit(model)                                                           # once they are loaded
    is_low_bit(model)                                                               # whether its matrices can be trained
    dense_weight(layer)                                                             # of a linear layer, whatever it is stored as

`ModelSource.extra['quantization']`:
    nf4     4-bit NormalFloat with doubly quantised scales, as QLoRA has it (Dettmers et al. 2023, arXiv 2305.14314)
    int8    a scale for each row, outliers apart (LLM.int8(), arXiv 2208.07339)

All linear layers are stored so but the matrix of a language model's outputs; tables of words and norms stay as they are.
"""

import contextlib
import importlib.util
import io
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from transformers import BitsAndBytesConfig, GgufConfig, PretrainedConfig, PreTrainedModel

from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from harness.api.quantization import METHODS, gguf_file, stored_quantization

OUTPUTS = ("lm_head", "embed_out", "output_embeddings", "decoder.output")
"Names of output matrices, which stay as they are."
BITSANDBYTES = "bitsandbytes"


def low_bit_arguments(source: ModelSource, *, config: PretrainedConfig, dtype: torch.dtype) -> dict[str, Any]:
    """What `from_pretrained` needs for weights in few bits; UserError for a package that is not here, or two quantisations."""
    wanted = source.extra.get("quantization")
    file = gguf_file(source.path)
    stored = stored_quantization(config.to_dict()) if file is None else None
    if wanted and (stored or file):
        raise UserError(
            "these weights are in few bits already",
            where=source.path,
            found=stored.label if stored else "GGUF",
            todo="leave out --model_args quantization",
        )
    if file is not None:
        _check_package("gguf", "GGUF")
        # Dense in memory: the kernels for packed blocks are for GPUs, and round otherwise.
        return {"gguf_file": str(file), "quantization_config": GgufConfig(dequantize=True)}
    if stored:
        for package in METHODS[stored.method].packages:
            _check_package(package, stored.label)
    if not wanted:
        return {}
    _check_package(BITSANDBYTES, f"quantization={wanted}")
    if wanted == "nf4":
        return {
            "quantization_config": BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=dtype,
                llm_int8_skip_modules=list(OUTPUTS),
            )
        }
    return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=list(OUTPUTS))}


def _check_package(package: str, what: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UserError(
            f"{what} needs the package '{package.replace('_', '-')}', which is not here",
            where="--model_args",
            todo="pip install xlift[low-bit]",
        )


@contextlib.contextmanager
def quiet_progress(source: ModelSource, config: PretrainedConfig) -> Iterator[None]:
    """Silence the bars of the readers of GGUF files and of compressed-tensors, which hang on no setting."""
    if gguf_file(source.path) is None and stored_quantization(config.to_dict()) is None:
        yield
        return
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def settle_low_bit(model: nn.Module) -> None:
    """Make what is in few bits compute the same way whenever it is asked, whichever part of the model is."""
    compressor = getattr(getattr(model, "hf_quantizer", None), "compressor", None)
    if compressor is not None:
        # compressed-tensors would do so at the first pass of the whole model, and heads ask its body alone.
        with contextlib.redirect_stderr(io.StringIO()):
            compressor.decompress_model(model)
    for layer in model.modules():
        kind = type(layer).__name__
        if kind == "Linear4bit":
            # On CPUs with bf16 it would be packed anew at its first evaluation, and round otherwise from then on.
            layer.support_avx512bf16_for_cpu = False  # type: ignore[assignment]
        elif kind == "Linear8bitLt":
            # It says at each pass that it computes in float16, which the rounding of 8 bits hides.
            logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
            layer.register_forward_pre_hook(_with_scales)


def _with_scales(layer: Any, inputs: Any) -> None:
    """Give an 8-bit layer its scales back: peft moves its weight about when it reads it, and they stay behind."""
    if layer.weight.CB is not None and layer.weight.SCB is None:
        layer.weight.CB = None  # what the layer holds itself is whole


def is_low_bit(model: nn.Module) -> bool:
    """Whether matrices of a model are stored as bitsandbytes has them: only adapters beside them can be trained."""
    return any(type(layer).__name__ in ("Linear4bit", "Linear8bitLt") for layer in model.modules())


def is_trainable(model: PreTrainedModel, path: str) -> bool:
    """Whether weights in few bits, if those of a path are, are of a kind that adapters can be trained beside."""
    if gguf_file(path) is not None:
        return False
    config: Mapping[str, Any] = model.config.to_dict()
    stored = stored_quantization(config)
    return stored is None or stored.method == BITSANDBYTES


def dense_weight(layer: nn.Module) -> torch.Tensor:
    """The weight of a linear layer as numbers; those of bitsandbytes are dequantised."""
    weight: Any = layer.weight
    kind = type(weight).__name__
    if kind not in ("Params4bit", "Int8Params"):
        return weight.data
    from bitsandbytes import functional

    if kind == "Params4bit":
        return functional.dequantize_4bit(weight.data, weight.quant_state)
    state: Any = layer.state
    return functional.int8_vectorwise_dequant(weight.data, state.SCB if weight.SCB is None else weight.SCB)
