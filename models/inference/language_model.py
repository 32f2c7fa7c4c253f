"""A causal language model split in two: token ids to hidden states, behind the tokens of a cache; hidden states to logits.

    split_model = SplitModel(model, device=torch.device("cpu"))
    rows = split_model.pad([(5, 6, 7), (8,)], left=True)
    hidden_BTH, cache = split_model.hidden(rows, keep=True)
    for logits_NV in split_model.logits(hidden_BTH[:, -1]): ...

Logits are made by the model's own forward function, which is handed finished hidden states: so whatever a family does to logits
(soft caps, scales) is done, but only at the positions asked for, and only for a bounded number at once.
"""

import copy
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from harness.api.errors import UserError
from harness.api.placing import placed
from models.inference.prefix_tree import Tokens
from models.loading.layers import replaced_forward
from models.loading.placement import is_offloaded
from models.packing.attention import PackedTokens, exchange_attention, packed_inputs, padding_position
from models.packing.last_layer import last_layer_of_reads

LOGITS_AT_ONCE = 1 << 25
"Numbers in one piece of logits: 128 MiB in fp32."
CPU_LOGITS_AT_ONCE = 3 << 19
"""The same on CPUs, where what is done with a piece should not leave the caches: of 49,152 numbers a row took 0.05 ms (fp32 of 16
bits, log-probabilities, argmax) in pieces of 32 rows, and 0.09 in pieces of 125."""
CPU_LOGPROBS_AT_ONCE = 3 << 15
"""Logits of which each thread of a CPU computes log-probabilities, all pieces in the same memory: a row of 49,152 took 0.057 ms
in pieces of 2 rows, with what is looked up, 0.067 in pieces of 4, 0.072 of 16, and as much where each takes new memory."""
CPU_PRODUCT_BYTES = 48 << 20
"""Logits that a CPU multiplies at once, before they are looked at piece by piece; but CPU_ROWS_AT_ONCE or more, for each product
reads and orders the output matrix once more: a row of 576 x 49,152 in bfloat16 took 0.28 ms in a product of 32 rows, 0.16 in one
of 125 and 0.07 in one of 512."""
CPU_ROWS_AT_ONCE = 32
CPU_SPARE = 32
"""Padded tokens that cost a CPU about as much as one more pass, which reads the weights once more.  SmolLM2-135M on one core: a
pass takes 50 ms, and 2.6 ms a token in fp32, 1.5 ms in bf16."""


class PaddedTokens(NamedTuple):
    """Padded token ids."""

    input_ids: Tensor
    "int64 [B, T]"
    mask: Tensor
    "int64 [B, T], or [B, P + T] behind P tokens of a cache; 1 = token."
    first: list[int]
    "Column of the first token of each row."


class SplitModel:
    """A causal language model as its body (token ids to hidden states) and its output matrix (hidden states to logits)."""

    def __init__(self, model: nn.Module, *, device: torch.device) -> None:
        """Takes a ...ForCausalLM of transformers, or one wrapped by peft."""
        unwrap: Any = getattr(model, "get_base_model", lambda: model)
        self.model: Any = unwrap()
        self.body: Any = self.model.base_model
        self.device = device
        self._outputs: Any = None  # the class of the body's outputs, once it has run
        self.packs = exchange_attention(self.body)
        self._takes_positions = "position_ids" in inspect.signature(self.body.forward).parameters
        padding = padding_position(self.body)
        self._first_position = 0 if padding is None else padding + 1

    @property
    def can_share(self) -> bool:
        """Whether the cache is kept token by token, so that several continuations can start from it."""
        kinds = getattr(self.model.config.get_text_config(), "layer_types", None) or ()
        return not getattr(self.model, "_is_stateful", False) and all(
            "attention" in kind and "linear" not in kind for kind in kinds
        )

    @property
    def keeps_all(self) -> bool:
        """Whether every layer keeps every token, so that rows of several caches can be put side by side."""
        config = self.model.config.get_text_config()
        kinds = getattr(config, "layer_types", None)
        return self.can_share and (set(kinds) == {"full_attention"} if kinds else not getattr(config, "sliding_window", None))

    @property
    def is_offloaded(self) -> bool:
        """Whether weights are brought to where they are computed with for every pass."""
        return is_offloaded(self.model)

    @property
    def spare(self) -> int | None:
        """Tokens of padding that are cheaper than one more pass; None where they hardly cost anything (accelerators)."""
        return CPU_SPARE if self.device.type == "cpu" else None

    def pad(self, rows: Sequence[Tokens], *, left: bool, before: Tensor | None = None) -> PaddedTokens:
        """Rows of token ids as tensors, padded on one side; `before` is the mask [B, P] of the cache they go on from."""
        width = max(map(len, rows))
        first = [width - len(row) if left else 0 for row in rows]
        # The padding is never seen; 0 is a token of every model.
        ids = [[*[0] * at, *row, *[0] * (width - at - len(row))] for at, row in zip(first, rows)]
        mask = [[*[0] * at, *[1] * len(row), *[0] * (width - at - len(row))] for at, row in zip(first, rows)]
        masks = placed(np.array(mask, dtype=np.int64), self.device)
        masks = masks if before is None else torch.cat([before, masks], dim=1)
        return PaddedTokens(placed(np.array(ids, dtype=np.int64), self.device), masks, first)

    def hidden(self, rows: PaddedTokens, *, cache: Any = None, keep: bool = False) -> tuple[Tensor, Any]:
        """Last hidden states [B, T, H] of rows behind a cache, and the cache with them in it (None unless `keep`)."""
        arguments: dict[str, Any] = {}
        if self._takes_positions:
            positions = (rows.mask.cumsum(dim=1) - 1).clamp(min=0) + self._first_position
            arguments["position_ids"] = positions[:, -rows.input_ids.shape[1] :]
        found = self.body(
            input_ids=rows.input_ids,
            attention_mask=rows.mask,
            past_key_values=cache,
            use_cache=keep or cache is not None,
            **arguments,
        )
        self._outputs = type(found)
        if keep and getattr(found, "past_key_values", None) is None:
            raise UserError(
                f"cannot go on from what {type(self.model).__name__} keeps", expected="a model that keeps keys and values"
            )
        return found.last_hidden_state.to(self.device), found.past_key_values if keep else None

    def packed_hidden(self, ids_N: Tensor, packing: PackedTokens) -> Tensor:
        """Last hidden states [N, H] of packed tokens, or [R, H] of those that are read alone; only where it `packs`."""
        with last_layer_of_reads(self.body, packing):
            found = self.body(**packed_inputs(ids_N, packing, body=self.body))
        self._outputs = type(found)
        return found.last_hidden_state[0].to(self.device)

    def logits(self, hidden_NH: Tensor) -> Iterator[Tensor]:
        """Logits [n, V] in fp32 of hidden states [N, H], a bounded number at a time, in order."""
        for logits_nV in self._multiplied(hidden_NH):
            for piece_nV in _even(logits_nV, CPU_LOGITS_AT_ONCE // logits_nV.shape[1]) if self._is_cautious else [logits_nV]:
                yield piece_nV.float().to(self.device)

    def log_probabilities(self, hidden_NH: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits and their log-probabilities, [n, V] each in fp32, in order; on a CPU a piece is gone when the next comes."""
        if not self._is_cautious:
            for logits_nV in self.logits(hidden_NH):
                yield logits_nV, logits_nV.log_softmax(dim=-1)
            return
        memory_2nV = torch.empty((2, 0, 0))
        for logits_NV in self._multiplied(hidden_NH):
            if memory_2nV.shape[2] != logits_NV.shape[1]:
                rows = max(1, CPU_LOGPROBS_AT_ONCE // logits_NV.shape[1]) * torch.get_num_threads()
                memory_2nV = torch.empty((2, rows, logits_NV.shape[1]), dtype=torch.float32, device=self.device)
            for piece_nV in _even(logits_NV, memory_2nV.shape[1]):
                logits_nV, logprobs_nV = memory_2nV[:, : len(piece_nV)]
                # On CPUs logsumexp would be nearer to the truth by 1e-5 a token, but this is what lm-evaluation-harness computes.
                yield logits_nV.copy_(piece_nV), torch.log_softmax(logits_nV, dim=-1, out=logprobs_nV)

    @property
    def _is_cautious(self) -> bool:
        """Whether caches matter: on a CPU, unless there are gradients, which add up piece by piece."""
        return self.device.type == "cpu" and not torch.is_grad_enabled()

    def _multiplied(self, hidden_NH: Tensor) -> Iterator[Tensor]:
        """Logits [n, V] as the model gives them."""
        for some_nH in self._products(hidden_NH):
            with self._fixed_hidden(some_nH.unsqueeze(0)):
                ids = torch.zeros((1, len(some_nH)), dtype=torch.int64, device=self.device)
                logits_nV: Tensor = self.model(input_ids=ids, use_cache=False).logits[0]
            yield logits_nV

    def _products(self, hidden_NH: Tensor) -> Sequence[Tensor]:
        """Hidden states whose logits are made at once."""
        vocabulary = int(self.model.config.get_text_config().vocab_size)
        most = LOGITS_AT_ONCE // vocabulary
        if not self._is_cautious:
            return hidden_NH.split(max(1, most))
        rows = max(CPU_ROWS_AT_ONCE, CPU_PRODUCT_BYTES // (hidden_NH.element_size() * vocabulary))
        return _even(hidden_NH, min(most, rows))

    @contextmanager
    def _fixed_hidden(self, hidden_BTH: Tensor) -> Iterator[None]:
        """Let the body return these hidden states, whatever its input is."""
        with replaced_forward(self.body, lambda *_, **__: self._outputs(last_hidden_state=hidden_BTH)):
            yield


def _even(rows: Tensor, most: int) -> Sequence[Tensor]:
    """At most so many rows each, about equally many: for very few rows there are kernels that round in another way."""
    return rows.tensor_split(max(1, -(-len(rows) // max(1, most))))


def likeliest(logits_nV: Tensor) -> Tensor:
    """The first of the largest logits in each row, int64 [n]; one that is nan where there is any."""
    if logits_nV.device.type == "cpu":  # numpy's uses the processor's vectors: 0.3 ms for 32 rows of 49,152, torch's 2.1
        return torch.from_numpy(logits_nV.numpy().argmax(axis=-1))
    return logits_nV.argmax(dim=-1)


def copied(cache: Any) -> Any:
    """A shallow copy of a cache: its layers can be given other states, the states themselves are shared."""
    found = copy.copy(cache)
    found.layers = [copy.copy(layer) for layer in cache.layers]
    return found


def chosen_rows(cache: Any, rows: Tensor) -> Any:
    """A cache of some rows [n] of another, which stays as it is; a row may be chosen more than once."""
    found = copied(cache)
    for layer in found.layers:  # they may lie on several devices
        layer.batch_select_indices(rows if layer.keys is None else rows.to(layer.keys.device))
    return found


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Without gradients and dropout; the model's mode is as it was afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
