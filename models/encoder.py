"""Adapter for any encoder of transformers (of mT5 and umT5 the encoder half) with heads that the project owns.

    encoder = load(ModelSource(path="FacebookAI/xlm-roberta-base"), heads={"xnli": HeadSpec(kind="sequence", num_outputs=3)},
                   device="cpu", seed=1, inference=True)
    logits = encoder.forward_head(batch, "xnli")                 # one array [3] a feature
    vectors = encoder.embed(batch, Pooling(layer=14))            # one array [H] a feature
    encoder.save("runs/.../checkpoint")                          # backbone/, tokenizer files, heads.safetensors, heads.json

A checkpoint is such a folder; `ModelSource.checkpoint` (or the folder given as `path`) loads it again.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerFast

from harness.errors import UserError, did_you_mean
from harness.protocols import Batch, HeadSpec, ModelSource, Output, Pooling
from models._hidden import hidden_state, resolve_layer
from models._pretrained import (
    accepts_type_ids,
    choose_dtype,
    count_sizes,
    encoder_class,
    input_embeddings,
    load_config,
    load_model,
    load_tokenizer,
    make_model,
    model_inputs,
    position_limit,
    quiet,
    split_outputs,
)
from models._scratch import init_scratch, train_tokenizer
from models._source import locate, read_tensors
from models.heads import HeadShape, MlmHead, build_head, lm_head_names, pool

__all__ = ["CAPABILITIES", "Encoder", "EncoderNetwork", "init_scratch", "load", "read_sizes", "train_tokenizer"]

CAPABILITIES = ("fit", "forward_head", "embed")


class EncoderNetwork(nn.Module):
    """What is trained: a backbone and its heads.  Head parameters are named `heads.<key>...`, all others `backbone...`."""

    def __init__(self, backbone: PreTrainedModel, heads: Mapping[str, nn.Module], *, type_ids: bool) -> None:
        """Takes the parts; `type_ids` says whether token types are passed to the backbone."""
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict({_key(name): head for name, head in heads.items()})
        self.type_ids = type_ids

    def forward(self, batch: Batch, *, head: str | None = None, pooling: Pooling | None = None) -> Tensor:
        """Outputs of a head [B, ...] (mlm: [M, V]), or pooled fp32 vectors [B, H]: give one of `head` and `pooling`."""
        if (head is None) == (pooling is None):
            raise ValueError("give exactly one of `head` and `pooling`")
        inputs = model_inputs(batch, type_ids=self.type_ids)
        if pooling is not None:
            layer = resolve_layer(pooling.layer, self.backbone.config.num_hidden_layers)
            return pool(hidden_state(self.backbone, inputs, layer=layer), batch.attention_mask, method=pooling.method)
        hidden_BTH = self.backbone(**inputs).last_hidden_state
        module = self.heads[_key(str(head))]
        if isinstance(module, MlmHead):
            if batch.labels is None:
                raise ValueError("an mlm head needs labels: they say which positions to predict")
            return module(hidden_BTH[batch.labels != -100], self.backbone.get_input_embeddings().weight)
        # Heads are small and their logits are compared with each other: fp32 always, also under autocast or bf16 weights.
        with torch.autocast(hidden_BTH.device.type, enabled=False):
            return module(hidden_BTH.float(), batch.attention_mask)

    def enable_gradient_checkpointing(self) -> None:
        """Recompute activations in the backward pass; not re-entrant, so that inner layers can be pooled as well."""
        enable = getattr(self.backbone, "activation_checkpointing_enable", None) or self.backbone.gradient_checkpointing_enable
        enable({"use_reentrant": False})


class Encoder:
    """The adapter: see `Adapter` in harness/protocols.py."""

    def __init__(
        self, module: EncoderNetwork, tokenizer: PreTrainedTokenizerFast, *, heads: Mapping[str, HeadSpec], device: torch.device
    ) -> None:
        """Takes the loaded parts; `device` is where batches go."""
        self.module = module
        self.tokenizer = tokenizer
        self.heads = dict(heads)
        self.device = device
        self.max_positions = position_limit(module.backbone)

    def forward_head(self, batch: Batch, head: str) -> list[Output]:
        """Outputs of the features of a batch, in order, without gradient and dropout."""
        outputs = self._run(batch, head=head)
        return split_outputs(outputs, batch, kind=self.heads[head].kind, where=f"head '{head}'")

    def embed(self, batch: Batch, pooling: Pooling) -> list[Output]:
        """One vector [H] per feature, fp32, not normalised."""
        return split_outputs(self._run(batch, pooling=pooling), batch, kind="embed", where=f"layer {pooling.layer}")

    def save(self, folder: str) -> None:
        """Write backbone, tokenizer and heads; the caller renames the folder into place."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        with quiet():
            self.module.backbone.save_pretrained(target / "backbone")
            self.tokenizer.save_pretrained(target)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.module.heads.state_dict().items()}
        save_file(weights, target / "heads.safetensors", metadata={"format": "pt"})
        described = {name: self._describe(name) for name in sorted(self.heads)}
        (target / "heads.json").write_text(json.dumps(described, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def sizes(self) -> dict[str, int]:
        """Parameters in all and without embeddings, layers and width of the backbone, without heads and pooler."""
        return count_sizes(self.module.backbone, self.module.backbone.config)

    def _describe(self, name: str) -> dict[str, Any]:
        """What heads.json says of a head: its spec, and which vector it reads where that is a choice."""
        pooling = getattr(self.module.heads[_key(name)], "pooling", None)
        return dataclasses.asdict(self.heads[name]) | ({} if pooling is None else {"pooling": pooling})

    def _run(self, batch: Batch, **what: Any) -> Tensor:
        """Run the module in evaluation mode without gradients, and leave its mode as it was."""
        training = self.module.training
        if training:
            self.module.eval()
        try:
            with torch.no_grad():
                return self.module(batch, **what)
        finally:
            if training:
                self.module.train()


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

    Inference loads in `source.dtype` and evaluation mode, training in fp32 and training mode.  Raises UserError for what is not a
    model folder or not an encoder, or lacks weights, a fast tokenizer or a head that is to be kept.
    """
    checkpoint, keep_heads = _checkpoint_folder(source), keep_heads or {}
    folder = (
        checkpoint / "backbone"
        if checkpoint
        else locate(source.path, revision=source.revision, remote_code=source.trust_remote_code)
    )
    config = load_config(folder, source)
    dtype = choose_dtype(source.dtype, device=device, inference=inference)
    backbone = load_model(encoder_class(config), folder, config=config, source=source, dtype=dtype)
    if not source.device_map:
        nn.Module.to(backbone, torch.device(device))
    embeddings = input_embeddings(backbone)
    tokenizer = load_tokenizer(checkpoint or folder, source, vocab_size=embeddings.num_embeddings)
    _check_padding(backbone, tokenizer)
    shape = _head_shape(backbone, tokenizer)
    modules = {
        name: build_head(spec, shape, seed=seed, name=name) for name, spec in sorted(heads.items()) if name not in keep_heads
    }
    modules |= _kept_heads(checkpoint, {name: (saved, heads[name]) for name, saved in sorted(keep_heads.items())}, shape)
    fresh_mlm = [module for name, module in modules.items() if isinstance(module, MlmHead) and name not in keep_heads]
    if fresh_mlm:
        tensors = _pretrained_lm_head(folder, source=source, checkpoint=checkpoint)
        for module in fresh_mlm:
            module.load_pretrained(tensors)
    network = EncoderNetwork(backbone, modules, type_ids=accepts_type_ids(backbone, tokenizer))
    # With a device_map batches go where the first layer lies (or runs, where its weights are offloaded).
    place = torch.device(device) if embeddings.weight.is_meta else embeddings.weight.device
    network.heads.to(place)
    network.train(not inference)
    if inference:
        network.requires_grad_(False)
    return Encoder(network, tokenizer, heads=heads, device=place)


def read_sizes(model: str | Mapping[str, Any]) -> dict[str, int]:
    """Sizes of a model folder or hub id (its config.json alone), or of a configuration with `model_type`; no weights are made."""
    if isinstance(model, str):
        folder = Path(model).expanduser()
        inner = folder / "backbone"
        config = load_config(inner if inner.is_dir() else folder if folder.is_dir() else locate(model), ModelSource(path=model))
    else:
        config = AutoConfig.for_model(**model)
    with torch.device("meta"):
        return count_sizes(make_model(config), config)


def _checkpoint_folder(source: ModelSource) -> Path | None:
    """Folder of one of our checkpoints, if the source names one; UserError if `checkpoint` is none."""
    if source.checkpoint is None:
        path = Path(source.path).expanduser()
        return path if (path / "backbone" / "config.json").is_file() else None
    folder = Path(source.checkpoint)
    if not (folder / "backbone" / "config.json").is_file():
        raise UserError("this is no checkpoint", where=str(folder), expected="a folder with backbone/config.json")
    return folder


def _check_padding(backbone: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Refuse a padding id that shifts positions: RoBERTa's families count them over tokens unlike `config.pad_token_id`."""
    positions = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    padding = getattr(positions, "padding_idx", None)
    if padding is not None and padding != tokenizer.pad_token_id:
        raise UserError(
            "model and tokenizer disagree on the padding token",
            expected=f"id {padding}, the configuration's pad_token_id",
            found=f"id {tokenizer.pad_token_id} ('{tokenizer.pad_token}')",
        )


def _head_shape(backbone: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> HeadShape:
    """What the heads need of the backbone; other families spell the same settings differently."""
    config, embeddings = backbone.config, input_embeddings(backbone)
    dropouts = (
        getattr(config, name, None)
        for name in ("classifier_dropout_prob", "hidden_dropout_prob", "dropout_rate", "classifier_dropout")
    )
    epsilons = (getattr(config, name, None) for name in ("layer_norm_eps", "norm_eps", "layer_norm_epsilon", "rms_norm_eps"))
    # T5's tokenizers put nothing before the text: its first token is just a piece of the first word.
    special = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    return HeadShape(
        hidden_size=config.hidden_size,
        dropout=next((value for value in dropouts if value is not None), 0.1),
        initializer_range=getattr(config, "initializer_range", None) or 0.02,
        embedding_size=embeddings.embedding_dim,
        vocab_size=embeddings.num_embeddings,
        norm_eps=next((value for value in epsilons if value is not None), 1e-5),
        pooling="first" if special[0] else "mean",
    )


def _kept_heads(checkpoint: Path | None, heads: Mapping[str, tuple[str, HeadSpec]], shape: HeadShape) -> dict[str, nn.Module]:
    """Heads by name with the weights of a checkpoint's head; UserError if it has none of that name and kind."""
    if not heads:
        return {}
    if checkpoint is None:
        raise UserError(
            f"there is no trained head '{next(iter(heads))}'", expected="one of our checkpoints", found="a backbone alone"
        )
    saved: dict[str, Any] = json.loads((checkpoint / "heads.json").read_text(encoding="utf-8"))
    weights = load_file(checkpoint / "heads.safetensors")
    kept = {}
    for name, (old, spec) in heads.items():
        if old not in saved:
            raise UserError(f"the checkpoint has no head '{old}'", where=str(checkpoint), todo=did_you_mean(old, saved))
        described = dict(saved[old])
        own = dataclasses.replace(shape, pooling=described.pop("pooling", shape.pooling))
        if HeadSpec(**described) != spec:
            raise UserError(
                f"head '{old}' does not fit", where=str(checkpoint), expected=str(spec), found=str(HeadSpec(**described))
            )
        kept[name] = build_head(spec, own, seed=0, name=name)
        kept[name].load_state_dict(_with_prefix(weights, f"{_key(old)}."))
    return kept


def _pretrained_lm_head(folder: Path, *, source: ModelSource, checkpoint: Path | None) -> Mapping[str, Tensor]:
    """The LM head that came with the backbone, even when its weights have been trained on since; empty if there is none."""
    if checkpoint is None:
        return read_tensors(folder, lm_head_names())
    if Path(source.path).expanduser() == checkpoint:
        return {}
    return read_tensors(locate(source.path, revision=source.revision), lm_head_names())


def _with_prefix(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose name has the prefix, named without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}


def _key(name: str) -> str:
    """Name of a head as a module name, which must not contain a full stop."""
    return name.replace("%", "%25").replace(".", "%2E")
