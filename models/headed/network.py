"""A backbone with heads that the project owns: the network that is trained, and the adapter around it.

    network = HeadedNetwork(backbone, {"xnli": head}, type_ids=False)
    logits_BC = network(batch, head="xnli")
    vectors_BH = network(batch, pooling=Pooling(layer=14))

The adapters `encoder` and `decoder` differ in how hidden states come about and in what a checkpoint holds; the rest is here.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from harness.api.errors import UserError
from harness.api.protocols import Adapter, Batch, HeadSpec, Output, PendingOutputs, Pooling, ShardedPart, WordTable
from models.headed.heads import LmHead, MlmHead, SequenceHead, pool, read_token
from models.headed.hidden_states import hidden_state, resolve_layer
from models.loading.divided import UnreadWeights, save_streamed
from models.loading.layers import find_layers
from models.loading.placement import bytes_by_place, first_device, is_offloaded
from models.loading.pretrained import (
    input_embeddings,
    model_inputs,
    pending_outputs,
    position_limit,
    quiet,
)
from models.packing.attention import exchange_attention
from models.packing.unpadded import lengths_of


class HeadedNetwork(nn.Module):
    """What is trained: a backbone and its heads.  Head parameters are named `heads.<key>...`, all others `backbone...`."""

    def __init__(self, backbone: PreTrainedModel, heads: Mapping[str, nn.Module], *, type_ids: bool) -> None:
        """Takes the parts; `type_ids` says whether token types are passed to the backbone."""
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict({head_key(name): head for name, head in heads.items()})
        self.type_ids = type_ids
        self.packs = exchange_attention(self.body)
        "Whether batches with padding are computed without it."

    @property
    def body(self) -> PreTrainedModel:
        """The part of the backbone whose output is hidden states."""
        return self.backbone

    def hidden(self, batch: Batch, *, layer: int, reads: str | None = None) -> Tensor:
        """Hidden states [B, T, H] of the batch's tokens after some layers (0 = embeddings); `reads`: see `hidden_state`."""
        inputs = model_inputs(batch, type_ids=self.type_ids)
        return hidden_state(self.body, inputs, layer=layer, lengths=lengths_of(batch), reads=reads)

    def pooled(self, batch: Batch, pooling: Pooling) -> Tensor:
        """One fp32 vector [B, H] a feature."""
        layer = resolve_layer(pooling.layer, self.body.config.num_hidden_layers)
        hidden_BTH = self.hidden(batch, layer=layer, reads=read_token(pooling.method))
        return pool(hidden_BTH, batch.attention_mask, method=pooling.method)

    def forward(self, batch: Batch, *, head: str | None = None, pooling: Pooling | None = None) -> Tensor:
        """Outputs of a head [B, ...] (mlm: [M, V]), or pooled fp32 vectors [B, H]: give one of `head` and `pooling`."""
        if (head is None) == (pooling is None):
            raise ValueError("give exactly one of `head` and `pooling`")
        if pooling is not None:
            return self.pooled(batch, pooling)
        module = self.heads[head_key(str(head))]
        reads = read_token(module.pooling) if isinstance(module, SequenceHead) else None
        hidden_BTH = self.hidden(batch, layer=self.body.config.num_hidden_layers, reads=reads)
        if isinstance(module, MlmHead):
            if batch.targets is None:
                raise ValueError("an mlm head needs labels: they say which positions to predict")
            hidden_MH = hidden_BTH.flatten(0, 1).index_select(0, batch.targets)
            return module(hidden_MH, self.body.get_input_embeddings().weight)
        # Heads are small and their logits are compared with each other: fp32 always, also under autocast or bf16 weights.
        with torch.autocast(hidden_BTH.device.type, enabled=False):
            return module(hidden_BTH.float(), batch.attention_mask)

    def units(self) -> list[ShardedPart]:
        """The layers and the heads: tables of words and what else is used in several places belong to the whole."""
        owner, name = find_layers(self.body)
        heads = [ShardedPart(head, in_float32=True) for head in self.heads.values() if any(True for _ in head.parameters())]
        return [*(ShardedPart(layer) for layer in getattr(owner, name)), *heads]

    def word_table(self) -> WordTable | None:
        """Its table of words; None where a head predicts words from it."""
        if any(isinstance(head, MlmHead | LmHead) for head in self.heads.values()):
            return None
        return WordTable(input_embeddings(self.body))

    def enable_gradient_checkpointing(self) -> None:
        """Recompute activations in the backward pass; not re-entrant, so that inner layers can be pooled as well."""
        enable = getattr(self.backbone, "activation_checkpointing_enable", None) or self.backbone.gradient_checkpointing_enable
        enable({"use_reentrant": False})


def _without_heads(tensors: Iterable[tuple[str, Tensor]], *, kept: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Those of the backbone, by their names in it; those of the heads are put into `kept`."""
    for name, tensor in tensors:
        if name.startswith("heads."):
            kept[name.removeprefix("heads.")] = tensor.contiguous()
        else:
            yield name.removeprefix("backbone."), tensor


def place_network(network: HeadedNetwork, *, inference: bool, device: torch.device | None = None) -> torch.device:
    """Put the heads where batches go, set the mode of training or inference, and return that device.

    `device`: that of a backbone whose weights are still to be read.  UserError where weights are to be trained that are brought
    to a device for every batch.
    """
    place = device or first_device(network.backbone)
    if not inference and device is None and is_offloaded(network.backbone):
        raise UserError(
            "weights that lie in main memory or on the disk cannot be trained",
            where="--model_args device_map",
            expected="a model that fits on the devices",
            todo="leave device_map out, or give more with gpu_memory_gib and cpu_memory_gib",
        )
    network.heads.to(place)
    network.train(not inference)
    if inference:
        network.requires_grad_(False)
    return place


def bytes_of_weights(module: nn.Module, device: torch.device) -> int:
    """Bytes of the parameters that lie on a device; where it has no number, on all of its kind."""
    own = (
        one for one in module.parameters() if one.device == device or (device.index is None and one.device.type == device.type)
    )
    return sum(one.numel() * one.element_size() for one in own)


class HeadedModel(Adapter):
    """The adapter: see `Adapter` in harness/api/protocols.py."""

    def __init__(
        self, module: HeadedNetwork, tokenizer: PreTrainedTokenizerFast, *, heads: Mapping[str, HeadSpec], device: torch.device
    ) -> None:
        """Takes the loaded parts; `device` is where batches go."""
        self.module = module
        self.tokenizer = tokenizer
        self.heads = dict(heads)
        self.device = device
        self.batch_device = str(device)
        self.max_positions = position_limit(module.body)
        self.num_embeddings = input_embeddings(module.body).num_embeddings
        self.weight_bytes = bytes_of_weights(module, device)
        self.packs = module.packs
        self.unread: UnreadWeights | None = None
        "What of the backbone's weights is still to be read."

    @property
    def placed(self) -> Mapping[str, int]:  # type: ignore[override]
        """Bytes of weights by where they lie; empty before they are read."""
        return {} if self.unread else bytes_by_place(self.module.backbone)

    @property
    def is_streamed(self) -> bool:  # type: ignore[override]
        """Whether layers are brought to where they are computed for every batch."""
        return self.unread is None and is_offloaded(self.module.backbone)

    def read_weights(self, *, offloaded: bool = False) -> None:
        """Read what `ModelSource.empty` left unread; `offloaded` parameters lie in main memory."""
        if self.unread is not None:
            self.unread.read(self.device, parameters_on=torch.device("cpu") if offloaded else None)
            self.unread = None

    def forward_head(self, batch: Batch, head: str) -> list[Output]:
        """Outputs of the features of a batch, in order, without gradient and dropout."""
        return self.begin(batch, head=head).now()

    def embed(self, batch: Batch, pooling: Pooling) -> list[Output]:
        """One vector [H] per feature, fp32, not normalised."""
        return self.begin(batch, pooling=pooling).now()

    def begin(self, batch: Batch, *, head: str | None = None, pooling: Pooling | None = None) -> PendingOutputs:
        """Outputs of a head, or vectors, that a GPU need not have computed yet."""
        if pooling is not None:
            outputs, kind, where = self._run(batch, pooling=pooling), "embed", f"layer {pooling.layer}"
        else:
            outputs, kind, where = self._run(batch, head=head), self.heads[str(head)].kind, f"head '{head}'"
        return pending_outputs(outputs, batch, kind=kind, where=where)

    def save(self, folder: str, *, tensors: Iterable[tuple[str, Tensor]] | None = None) -> None:
        """Write backbone, tokenizer and heads; the caller renames the folder into place."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        weights: dict[str, Tensor] = {}
        with quiet():
            self.save_backbone(target, tensors=None if tensors is None else _without_heads(tensors, kept=weights))
            self.tokenizer.save_pretrained(target)
        if tensors is None:
            weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.module.heads.state_dict().items()}
        save_file(weights, target / "heads.safetensors", metadata={"format": "pt"})
        described = {name: self._describe(name) for name in sorted(self.heads)}
        (target / "heads.json").write_text(json.dumps(described, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def save_backbone(self, target: Path, *, tensors: Iterable[tuple[str, Tensor]] | None) -> None:
        """Write what of a checkpoint is not heads and not tokenizer; `tensors`: see `save`."""
        if tensors is None:
            self.module.backbone.save_pretrained(target / "backbone")
        else:
            save_streamed(self.module.backbone, tensors, target / "backbone")

    def _describe(self, name: str) -> dict[str, Any]:
        """What heads.json says of a head: its spec, and which vector it reads where that is a choice."""
        pooling = getattr(self.module.heads[head_key(name)], "pooling", None)
        return dataclasses.asdict(self.heads[name]) | ({} if pooling is None else {"pooling": pooling})

    def _run(self, batch: Batch, **what: Any) -> Tensor:
        """Run the module in evaluation mode without gradients, and leave its mode as it was."""
        training = self.module.training
        if training:
            self.module.eval()
        try:
            with torch.no_grad():
                return self.module(batch.on(self.device), **what)
        finally:
            if training:
                self.module.train()


def head_key(name: str) -> str:
    """Name of a head as a module name, which must not contain a full stop."""
    return name.replace("%", "%25").replace(".", "%2E")
