"""Parameters, layers and width of a local backbone: from config.json and the headers of the files that its weights come from.

read_sizes(Path("models/xlm-roberta-base"))["parameters"]        # 277452288
read_storage(Path("models/Qwen3-8B-AWQ"))["quantization"]          # 'awq int4, groups of 128'

The files are those that transformers reads: model.safetensors, else what the index names.  Copies of the weights beside them (a
`consolidated.safetensors`) are not counted, nor what a backbone is used without: heads, poolers, mT5's decoder.  Imports neither
torch nor transformers.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.api.model_files import BITS, StoredTensor, read_header, weight_files
from harness.api.quantization import StoredQuantization, stored_quantization
from harness.planning.backbone.folder_checks import check_config

EMBEDDING = re.compile(r"((?<!rel_)embeddings|embed_tokens|embed_positions|embed_in|embed_out|shared|wte|wpe)\.weight$")
"Names of embedding tables in weight files."
NOT_COUNTED = (
    *("lm_head", "classifier", "qa_outputs", "cls.predictions", "cls.seq_relationship", "mask_predictions", "lm_predictions"),
    *("pooler", "vision_tower", "multi_modal_projector", "inv_freq", "masked_bias"),
)
"Parts of names of tensors that are no part of a backbone, or no parameters."
MLM_HEAD = re.compile(r"(head\.(dense|norm)|decoder)\.(weight|bias)$")
"Names of ModernBERT's head, from their beginning."
SCALES = re.compile(
    r"(scales|qzeros|g_idx|weight_scale|weight_zero_point|weight_shape|weight_g_idx|(in|out)put_(scale|zero_point|global_scale)|"
    r"weight_global_scale|weight_scale_inv|absmax|quant_map|SCB|weight_format|quant_state\.bitsandbytes__\w+)$"
)
"Ends of names of what turns few bits into weights again."
PACKED = re.compile(r"(qweight|weight_packed)$")
"Ends of names of weights of which several share a number."
DECODER = re.compile(r"(model\.)?(decoder\.|encoder\.embed_tokens\.)")
"Of a model with encoder and decoder: what the encoder is used without, and its name for the table that both share."

LAYERS = ("num_hidden_layers", "num_layers", "n_layer")
POSITIONS = ("max_position_embeddings", "n_positions")


class Limits(NamedTuple):
    """What a backbone has, and no more; None where it is not known before it is loaded."""

    layers: int | None = None
    positions: int | None = None
    "Tokens of an input, special tokens included; for RoBERTa's families two fewer."


def limits_of(config: Mapping[str, Any] | None, *, layers: int | None = None) -> Limits:
    """The limits that a config.json states; `layers` stand where it is not here."""
    if config is None:
        return Limits(layers=layers)
    config = config.get("text_config") or config
    return Limits(layers=_first(config, LAYERS) or layers, positions=_first(config, POSITIONS))


def _first(config: Mapping[str, Any], names: Sequence[str]) -> int | None:
    return next((config[name] for name in names if config.get(name)), None)


def read_sizes(folder: Path) -> dict[str, Any]:
    """Sizes of the backbone in a folder; without `parameters` where its weights are no safetensors files.

    Raises UserError for files that are not what their names say.
    """
    whole = check_config(folder / "config.json")
    config = whole.get("text_config") or whole  # Gemma 3 from 4B on
    # A causal language model's output matrix counts where it is not the table of words as well; mT5's goes with its decoder, and
    # EuroBERT's with its head for masked words.
    masked = any(str(name).endswith("ForMaskedLM") for name in whole.get("architectures") or ())
    alone = config.get("tie_word_embeddings") is False and not whole.get("is_encoder_decoder") and not masked
    outputs = {"lm_head.weight"} if alone else set()
    stored = {tensor.name: tensor for tensor in _used(folder) if tensor.is_parameter}
    few_bits = stored_quantization(whole, where=str(folder / "config.json"))
    total = embedding = 0
    for name, tensor in stored.items():
        if name not in outputs and (any(part in name for part in NOT_COUNTED) or MLM_HEAD.match(name)):
            continue
        if whole.get("is_encoder_decoder") and DECODER.match(name) and _shares_words(name, stored):
            continue
        count = _numbers(tensor, few_bits)
        total += count
        embedding += count if name in outputs or EMBEDDING.search(name) else 0
    sizes = {
        "layers": _first(config, LAYERS),
        "hidden_size": config.get("hidden_size") or config.get("d_model") or config.get("n_embed"),
    }
    return {**sizes, **({"parameters": total, "non_embedding_parameters": total - embedding} if total else {})}


def read_storage(folder: Path) -> dict[str, Any]:
    """How the weights of a folder are stored: their bytes on the disk, and how they are held in few bits, where they are."""
    few_bits = stored_quantization(check_config(folder / "config.json"), where=str(folder / "config.json"))
    size = sum(math.prod(tensor.shape) * BITS[tensor.dtype] for tensor in _used(folder)) // 8
    size = size or sum(file.stat().st_size for file in folder.glob("pytorch_model*.bin"))
    return {"weight_bytes": size or None, **({"quantization": few_bits.label} if few_bits else {})}


def _numbers(tensor: StoredTensor, few_bits: StoredQuantization | None) -> int:
    """How many weights a tensor stands for: of those in few bits several share a number, and scales are none."""
    count = math.prod(tensor.shape)
    if few_bits is None:
        return count
    if SCALES.search(tensor.name):
        return 0
    if few_bits.bits and PACKED.search(tensor.name):
        return count * BITS[tensor.dtype] // few_bits.bits
    if few_bits.method == "bitsandbytes" and tensor.dtype == "U8":
        return count * 2
    return count


def _shares_words(name: str, stored: dict[str, StoredTensor]) -> bool:
    """Whether a tensor is the decoder's, or the encoder's copy of a table that stands there as `shared` as well."""
    return "encoder.embed_tokens" not in name or any(other.endswith("shared.weight") for other in stored)


def _used(folder: Path) -> Iterator[StoredTensor]:
    """The tensors of the files that the weights of a folder are read from."""
    for file, wanted in weight_files(folder).items():
        yield from (tensor for tensor in read_header(file) if wanted is None or tensor.name in wanted)
