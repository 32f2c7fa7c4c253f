"""Attention over packed sequences, for every family whose attention can be exchanged in transformers.

    can_pack(body)                                                      # True: its attention is exchanged for this one
    inputs = packed_inputs(ids_N, Packing(layout), body=body)           # of its forward pass, which gives [1, N, H]

Linear layers, which are most of the work, see the tokens of all sequences in one row.  Between them attention looks at its
keyword argument `packing`: where there is one it computes the layout's parts; else it is the attention that it stands for.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from harness.api.packable_families import family_packs
from models.packing.layout import PackedLayout, PackedPart, placed

NAME = "packed_sdpa"
"What the attention is called in a model's configuration (never written to a file)."
REPLACED = ("sdpa", NAME)


class KeptTokens:
    """Keys and values of some tokens of earlier passes, layer by layer."""

    def __init__(self, num_tokens: int = 0) -> None:
        """Of so many tokens."""
        self.num_tokens = num_tokens
        self.layers: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        "By attention module, [1, heads, K, size] each."


class Packing:
    """What attention is told of a pass."""

    def __init__(self, layout: PackedLayout, *, kept: KeptTokens | None = None, keeps: Tensor | None = None) -> None:
        """`kept`: source tokens before those of the pass; `keeps`: int64 [K], those that are needed later, in order."""
        self.layout = layout
        self.kept = kept
        self.keeps = keeps
        self.later = KeptTokens(0 if keeps is None else len(keeps))
        "Filled by the pass, for the next one."

    def sources(self, module: nn.Module, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [1, heads, K + N, size] of all source tokens."""
        if self.kept is not None and self.kept.num_tokens:
            before = self.kept.layers[module]
            key, value = torch.cat([before[0], key], dim=2), torch.cat([before[1], value], dim=2)
        if self.keeps is not None:
            is_all = len(self.keeps) == key.shape[2]
            own = self.keeps.to(key.device)
            self.later.layers[module] = (key, value) if is_all else (key.index_select(2, own), value.index_select(2, own))
        return key, value


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **arguments: Any
) -> tuple[Tensor, Tensor | None]:
    """The attention function of a layer: query [1, heads, N, size] to outputs [1, N, heads, size]."""
    packing: Packing | None = arguments.pop("packing", None)
    if packing is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **arguments)
    causal = arguments.get("is_causal")
    causal = bool(getattr(module, "is_causal", True) if causal is None else causal)
    key, value = packing.sources(module, key, value)
    layout, outputs = packing.layout, []
    how = {"dropout_p": arguments.get("dropout", 0.0), "scale": arguments.get("scaling")}
    for part in layout.parts(causal=causal, device=query.device):
        mask = layout.mask(part, window=arguments.get("sliding_window"), dtype=query.dtype)
        found_RHQS = _attended(*_gathered(part, query, key, value), mask, **how)
        outputs.append(found_RHQS.transpose(1, 2).flatten(0, 1))
    found_NHS = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
    order = layout.order(causal=causal, device=query.device)
    return (found_NHS if order is None else found_NHS.index_select(0, order)).unsqueeze(0), None


def _gathered(part: PackedPart, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries [R, heads, Q, size], keys and values [R, heads, S, size] of a part."""
    if part.queries is None or part.sources is None:
        (row,) = part.rows
        found = [query[:, :, row.first : row.first + row.length]]
        for states in (key, value):
            runs = [states[:, :, begin:end] for begin, end in row.seen]
            found.append(runs[0] if len(runs) == 1 else torch.cat(runs, dim=2))
        return found[0], found[1], found[2]

    def rows(states: Tensor, chosen: Tensor) -> Tensor:
        # Token by token: whole rows of memory are copied, and added up in a backward pass.
        by_token = states[0].transpose(0, 1).index_select(0, chosen)
        return by_token.unflatten(0, (len(part.rows), -1)).transpose(1, 2)

    return rows(query, part.queries), rows(key, part.sources), rows(value, part.sources)


def _attended(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **how: Any) -> Tensor:
    """Attention of several queries of which each group shares a head of keys and values."""
    times = query.shape[1] // key.shape[1]
    if times > 1 and query.device.type != "cpu":  # kernels of GPUs take groups only where there is no mask
        key, value = key.repeat_interleave(times, dim=1), value.repeat_interleave(times, dim=1)
        times = 1
    return scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=times > 1, **how)


def can_pack(body: PreTrainedModel) -> bool:
    """Whether sequences can be packed for a model's body; its attention is exchanged for one that does so where it is told to."""
    config = body.config
    if not family_packs(config.model_type, getattr(config, "layer_types", None)) or config._attn_implementation not in REPLACED:
        return False
    if not getattr(config, "is_causal", True) and getattr(config, "sliding_window", None):
        return False  # a causal model made to look both ways: its windows are wider by one than what attention is told
    if config._attn_implementation != NAME:
        body.set_attn_implementation(NAME)
    return True


def first_position(body: nn.Module) -> int:
    """The position of the first token of a text as the model numbers it."""
    embeddings: Any = getattr(body, "embeddings", None)
    # RoBERTa's families: positions begin behind that of padding.
    return int(embeddings.padding_idx) + 1 if hasattr(embeddings, "create_position_ids_from_input_ids") else 0


def packed_inputs(input_ids: Tensor, packing: Packing, *, body: PreTrainedModel) -> Mapping[str, Any]:
    """Keyword arguments of a body that `can_pack`, for the tokens [N] of a layout."""
    positions = placed(packing.layout.positions, input_ids.device) + first_position(body)
    return {
        "input_ids": input_ids.unsqueeze(0),
        "position_ids": positions.unsqueeze(0),
        # Of four dimensions: finished masks are handed through as they are, and this one is not looked at.
        "attention_mask": torch.ones((1, 1, 1, 1), dtype=torch.bool, device=input_ids.device),
        "use_cache": False,
        "packing": packing,
    }


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
