"""Adapter for any encoder of transformers (of mT5 and umT5 the encoder half) with heads that the project owns.

    encoder = load(ModelSource(path="FacebookAI/xlm-roberta-base"), heads={"xnli": HeadSpec(kind="sequence", num_outputs=3)},
                   device="cpu", seed=1, inference=True)
    logits = encoder.forward_head(batch, "xnli")                 # one array [3] a feature
    vectors = encoder.embed(batch, Pooling(layer=14))            # one array [H] a feature
    encoder.save("runs/.../checkpoint")                          # backbone/, tokenizer files, heads.safetensors, heads.json

A checkpoint is such a folder; `ModelSource.checkpoint` (or the folder given as `path`) loads it again.  Keys of
`ModelSource.extra`:
    lora            rank, alpha, dropout, targets, variant, chain: low-rank adapters are trained, not the backbone (low_rank/)
    quantization    nf4 or int8: the weights are in few bits, and only adapters beside them are trained (loading/low_bit.py)
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from harness.api.protocols import HeadSpec
from models.headed.checkpoint import checkpoint_folder, head_shape, load_heads
from models.headed.heads import MlmHead, lm_head_names
from models.headed.network import HeadedNetwork, place_network
from models.loading.architectures import encoder_class, make_model
from models.loading.divided import describe_model
from models.loading.files import locate, read_tensors
from models.loading.pretrained import (
    accepts_type_ids,
    choose_dtype,
    count_sizes,
    find_config,
    input_embeddings,
    load_config,
    load_model,
)
from models.loading.scratch import init_scratch, train_tokenizer
from models.loading.tokenizer import adds_first_token, find_tokenizer, load_tokenizer
from models.low_rank.lora import low_rank_of, save_trained_only
from models.low_rank.model import LowRankModel, adapt
from models.low_rank.origin import find_origin

__all__ = ["CAPABILITIES", "Encoder", "init_scratch", "load", "read_sizes", "train_tokenizer"]

CAPABILITIES = ("fit", "forward_head", "embed")
ARGUMENTS = ("quantization", "lora_rank", "lora_alpha", "lora_dropout", "lora_targets", "lora_variant", "lora_chain")
"Keys of --model_args that this adapter knows beyond those of all."


class Encoder(LowRankModel):
    """The adapter: see `Adapter` in harness/api/protocols.py."""

    module: HeadedNetwork
    "What is trained."


def load(
    source: ModelSource,
    *,
    heads: Mapping[str, HeadSpec],
    keep_heads: Mapping[str, str] | None = None,
    device: str,
    seed: int,
    inference: bool,
) -> Encoder:
    """Load a backbone and its heads: those in `keep_heads` with weights of the checkpoint, the others fresh from `seed`.

    `keep_heads` maps a head's name to its name in the checkpoint.

    Inference loads in `source.dtype` and evaluation mode, with all adapters of a checkpoint; training in fp32 and training mode,
    with LoRA fp32 adapters on a base in `source.dtype`.  Raises UserError for what is not a model folder or not an encoder, or
    lacks weights, a fast tokenizer or a head that is to be kept.
    """
    checkpoint, keep_heads = checkpoint_folder(source, with_base=True), keep_heads or {}
    origin = find_origin(source, checkpoint)
    source, folder = origin.source, origin.folder
    lora = None if inference else low_rank_of(source.extra)
    config = load_config(folder, source)
    dtype = choose_dtype(source.dtype, device=device, inference=inference or lora is not None)
    kind = encoder_class(config)
    how: dict[str, Any] = {"config": config, "source": source, "dtype": dtype}
    unread = describe_model(kind, folder, **how) if source.empty else None
    backbone = unread.model if unread else load_model(kind, folder, **how, device=device)
    embeddings = input_embeddings(backbone)
    read = find_tokenizer if inference else load_tokenizer
    tokenizer = read(checkpoint or folder, source, vocab_size=embeddings.num_embeddings)
    _check_padding(backbone, tokenizer)
    adapted = adapt(backbone, origin, lora, seed=seed, inference=inference, unread=unread)
    # T5's tokenizers put nothing before the text: its first token is just a piece of the first word.
    shape = head_shape(backbone, pooling="first" if adds_first_token(tokenizer) else "mean")
    modules = load_heads(heads, keep_heads, checkpoint=checkpoint, shape=shape, seed=seed)
    fresh_mlm = [module for name, module in modules.items() if isinstance(module, MlmHead) and name not in keep_heads]
    if fresh_mlm:
        tensors = _pretrained_lm_head(folder, source=source, checkpoint=checkpoint)
        for module in fresh_mlm:
            module.load_pretrained(tensors)
    network = HeadedNetwork(backbone, modules, type_ids=accepts_type_ids(backbone, tokenizer))
    place = place_network(network, device=torch.device(device) if unread else None, inference=inference)
    if adapted.trained is not None:
        save_trained_only(network)
    return Encoder(network, tokenizer, heads=heads, device=place, adapted=adapted)


def read_sizes(model: str | Mapping[str, Any]) -> dict[str, int]:
    """Sizes of a model folder or hub id (its config.json alone), or of a configuration with `model_type`; no weights are made."""
    config = find_config(model)
    with torch.device("meta"):
        return count_sizes(make_model(config), config)


def _check_padding(backbone: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Refuse a padding id that shifts positions: RoBERTa's families count them over tokens unlike `config.pad_token_id`."""
    positions = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    padding = getattr(positions, "padding_idx", None)
    if padding is not None and padding != tokenizer.pad_token_id:
        raise UserError(
            "model and tokenizer disagree on the padding token",
            expected=f"id {padding}, the configuration's pad_token_id",
            found=f"id {tokenizer.pad_token_id} ('{tokenizer.pad_token}')",
            todo="give the tokenizer that the model was trained with: --model_args tokenizer=<folder or hub id>; or have "
            "`pad_token` of tokenizer_config.json and `pad_token_id` of config.json say the same token",
        )


def _pretrained_lm_head(folder: Path, *, source: ModelSource, checkpoint: Path | None) -> Mapping[str, Tensor]:
    """The LM head that came with the backbone, even when its weights have been trained on since; empty if there is none."""
    if checkpoint is None:
        return read_tensors(folder, lm_head_names())
    if Path(source.path).expanduser() == checkpoint:
        return {}
    return read_tensors(locate(source.path, revision=source.revision), lm_head_names())
