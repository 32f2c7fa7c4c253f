"""Attention over packed sequences, for every family whose attention can be exchanged in transformers.

    exchange_attention(body)                                            # True: it can be packed from now on
    inputs = packed_inputs(ids_N, Packing(layout), body=body)           # of its forward pass, which gives [1, N, H]

Linear layers, which are most of the work, see the tokens of all sequences in one row.  Between them attention looks at its
keyword argument `packing`: where there is one, that says which tokens see which; else it is the attention that it stands for.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from harness.api.packable_families import family_packs
from harness.api.placing import placed
from models.packing.layout import PackedLayout, PackedPart

NAME = "packed_sdpa"
"What the attention is called in a model's configuration (never written to a file)."


class PackedTokens(Protocol):
    """What attention is told of a pass over the tokens [N] of several sequences."""

    @property
    def positions(self) -> np.ndarray:
        """[N] of each token in its sequence, from 0."""

    @property
    def firsts(self) -> np.ndarray:
        """[N] the first token of the pass that belongs to the sequence of each."""

    def attended(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *, how: "LayerAttention") -> Tensor:
        """Outputs [N, heads, size] of a layer, of states [1, heads, N, size]."""


class LayerAttention(NamedTuple):
    """What a layer asks of its attention."""

    causal: bool
    window: int | None
    "No token that is so many tokens or more away is seen."
    dropout: float
    scale: float | None
    "Of scores; None = 1 / sqrt(size)."

    def attended(
        self, query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        """One call of attention; several heads of queries may share one of keys and values."""
        times = query.shape[1] // key.shape[1]
        # Kernels of GPUs take such groups where there is no mask, and heads are not large (as `use_gqa_in_sdpa` of transformers).
        if times > 1 and query.device.type != "cpu" and (mask is not None or query.shape[-1] > 256):
            key, value = key.repeat_interleave(times, dim=1), value.repeat_interleave(times, dim=1)
            times = 1
        return scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            is_causal=is_causal,
            enable_gqa=times > 1,
            dropout_p=self.dropout,
            scale=self.scale,
        )


class KeptTokens:
    """Keys and values of some tokens of earlier passes, layer by layer."""

    def __init__(self, num_tokens: int = 0) -> None:
        """Of so many tokens."""
        self.num_tokens = num_tokens
        self.layers: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        "By attention module, [1, heads, K, size] each."


class SourcesComplete(Exception):
    """Attention has the keys and values of all tokens, and nothing else was asked of this call of a layer."""


class Packing:
    """A pass over the spans of a layout."""

    def __init__(
        self,
        layout: PackedLayout,
        *,
        kept: KeptTokens | None = None,
        keeps: np.ndarray | None = None,
        reads: np.ndarray | None = None,
    ) -> None:
        """`kept`: source tokens before those of the pass; `keeps`: int64 [K], those that are needed later, in order.

        `reads`: int64 [R], the tokens of the pass whose last hidden states are read, in order; None for all (see last_layer.py).
        All of these only in passes without gradients: what was kept is let go, layer by layer.
        """
        self.layout = layout
        self.kept = kept
        self.keeps = keeps
        self.reads = reads
        self._is_collecting = False
        self._collected: tuple[Tensor, Tensor] | None = None
        self.later = KeptTokens(0 if keeps is None else len(keeps))
        "Filled by the pass, for the next one."
        self._places: dict[torch.device, Tensor] = {}

    @property
    def positions(self) -> np.ndarray:
        """[N] of each token in its sequence, from 0."""
        return self.layout.positions

    @property
    def firsts(self) -> np.ndarray:
        """[N] the first token of the span that each belongs to."""
        return self.layout.firsts

    def attended(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *, how: LayerAttention) -> Tensor:
        """Outputs [N, heads, size] of a layer, part by part; [R, heads, size] where it has collected their sources before."""
        layout = self.layout
        kind = layout.kind(causal=how.causal, window=how.window, dtype=query.dtype, device=query.device)
        if self._collected is not None:
            (key, value), self._collected = self._collected, None
            layout = PackedLayout(layout.spans, num_kept=layout.num_kept, reads=self.reads)
        else:
            key, value = self.sources(module, key, value)
            if self._is_collecting and (kind.causal or kind.window is None):  # rows of a window are the last that they see
                self._collected = (key, value)
                raise SourcesComplete
        parts = layout.parts(kind)

        def attend(number: int, *states: Tensor) -> Tensor:
            seen = layout.seen(parts[number], kind)
            return how.attended(*states, mask=seen.mask, is_causal=seen.is_causal).transpose(1, 2).flatten(0, 1)

        # Without gradients long rows are not copied; where tokens are in order and unpadded, none is.
        if (query.requires_grad or layout.order(kind) is None) and (rows := layout.whole_rows(kind)):
            return rows.attended(query, key, value, attend=attend)
        outputs = [attend(number, *_gathered(part, query, key, value)) for number, part in enumerate(parts)]
        found_NHS = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
        order = layout.order(kind)
        return found_NHS if order is None else found_NHS.index_select(0, order)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """The next call of attention ends with SourcesComplete, if it can be computed for `reads` alone by the one after it."""
        self._is_collecting = True
        try:
            yield
        finally:
            self._is_collecting = False

    def sources(self, module: nn.Module, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [1, heads, K + N, size] of all source tokens."""
        if self.kept is not None and self.kept.num_tokens:
            before = self.kept.layers.pop(module)
            key, value = torch.cat([before[0], key], dim=2), torch.cat([before[1], value], dim=2)
        if self.keeps is not None:
            self.later.layers[module] = (self._chosen(key), self._chosen(value))
        return key, value

    def _chosen(self, states: Tensor) -> Tensor:
        """Those that are needed later."""
        assert self.keeps is not None
        if len(self.keeps) == states.shape[2]:
            return states
        if states.device not in self._places:
            self._places[states.device] = placed(self.keeps, states.device)
        return states.index_select(2, self._places[states.device])


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **arguments: Any
) -> tuple[Tensor, Tensor | None]:
    """The attention function of a layer: query [1, heads, N, size] to outputs [1, N, heads, size]."""
    packing: PackedTokens | None = arguments.pop("packing", None)
    if packing is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **arguments)
    causal = arguments.get("is_causal")
    causal = bool(getattr(module, "is_causal", True) if causal is None else causal)
    kind = query.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):  # what is computed with is what is gathered
        dtype = torch.get_autocast_dtype(kind)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    window, dropout, scale = (arguments.get(name) for name in ("sliding_window", "dropout", "scaling"))
    how = LayerAttention(causal, window, dropout or 0.0, scale)
    return packing.attended(module, query, key, value, how=how).unsqueeze(0), None


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


def exchange_attention(body: PreTrainedModel) -> bool:
    """Give a model's body the attention of this module; False where it cannot be packed, and stays as it is."""
    if not is_packable(body) and _can_pack(body):
        body.set_attn_implementation(NAME)
    return is_packable(body)


def is_packable(body: PreTrainedModel) -> bool:
    """Whether a body has the attention of this module, and with it takes `packed_inputs`."""
    return bool(body.config._attn_implementation == NAME)


def _can_pack(body: PreTrainedModel) -> bool:
    """Whether the result is known to be that of padded passes; the user may also have asked for another attention."""
    config = body.config
    if config._attn_implementation != "sdpa":
        return False
    if not type(body).__module__.startswith("transformers.models."):  # code that came with a checkpoint does as it likes
        return False
    if not family_packs(config.to_dict()):
        return False
    # A causal model made to look both ways has windows that are wider by one than what attention is told.
    return bool(getattr(config, "is_causal", True) or not getattr(config, "sliding_window", None))


def packed_inputs(input_ids: Tensor, packing: PackedTokens, *, body: PreTrainedModel) -> Mapping[str, Any]:
    """Keyword arguments of a body that `is_packable`, for tokens [N]."""
    return {
        "input_ids": input_ids.unsqueeze(0),
        "position_ids": _positions(input_ids, packing, body=body).unsqueeze(0),
        # Of four dimensions: finished masks are handed through as they are, and this one is not looked at.
        "attention_mask": torch.ones((1, 1, 1, 1), dtype=torch.bool, device=input_ids.device),
        "use_cache": False,
        "packing": packing,
    }


def _positions(input_ids: Tensor, packing: PackedTokens, *, body: nn.Module) -> Tensor:
    """int64 [N] as the family numbers them; those behind padding leave out tokens that are such."""
    padding = padding_position(body)
    if padding is None:
        return placed(packing.positions, input_ids.device)
    counts = (input_ids != padding).long()
    upto = counts.cumsum(0)
    firsts = placed(packing.firsts, input_ids.device)
    before = placed(packing.positions[packing.firsts], input_ids.device)  # tokens of earlier passes, and none of them padding
    return (before + upto - upto[firsts] + counts[firsts]) * counts + padding


def padding_position(body: nn.Module) -> int | None:
    """The position of padding, behind which a family's positions begin (RoBERTa and its kin); None where they begin at 0."""
    embeddings: Any = getattr(body, "embeddings", None)
    return int(embeddings.padding_idx) if hasattr(embeddings, "create_position_ids_from_input_ids") else None


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
