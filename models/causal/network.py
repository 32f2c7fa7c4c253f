"""A causal language model with heads on its hidden states: what the adapter `decoder` trains.

    network = DecoderNetwork(lm, {"xnli": head}, first=first_token(tokenizer, vocab_size=32000))
    logits_BC = network(batch, head="xnli")

Hidden states are computed behind a first token that is no word of the text: one that the tokenizer puts there, or `first`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from harness.api.protocols import Batch, Pooling, WordTable
from models.headed.heads import LmHead
from models.headed.hidden_states import hidden_state
from models.headed.network import HeadedNetwork, head_key
from models.inference.language_model import PaddedTokens, SplitModel
from models.packing.attention import Packing
from models.packing.unpadded import Unpadded, lengths_of


class DecoderNetwork(HeadedNetwork):
    """A causal language model with heads on its hidden states."""

    def __init__(self, backbone: PreTrainedModel, heads: Mapping[str, nn.Module], *, first: int | None) -> None:
        """Takes the parts; `first` is the token put before every text for hidden states, None where the tokenizer puts one."""
        super().__init__(backbone, heads, type_ids=False)
        self.first = first

    @property
    def body(self) -> PreTrainedModel:
        """The model without its LM head."""
        body = self.backbone.base_model
        assert isinstance(body, PreTrainedModel)
        return body

    def hidden(self, batch: Batch, *, layer: int, reads: str | None = None) -> Tensor:
        """Hidden states [B, T, H] of the batch's tokens after some layers (0 = embeddings); `reads`: see `hidden_state`."""
        ids_BT, mask_BT = batch.input_ids, batch.attention_mask
        if self.first is not None:
            ids_BT = nn.functional.pad(ids_BT, (1, 0), value=self.first)
            mask_BT = nn.functional.pad(mask_BT, (1, 0), value=1)
        inputs: dict[str, Any] = {"input_ids": ids_BT, "attention_mask": mask_BT, "use_cache": False}
        lengths = [length + (self.first is not None) for length in lengths_of(batch)]
        if self.first is not None and reads == "first":
            reads = None  # the first token of the batch is the second one here
        found_BTH = hidden_state(self.body, inputs, layer=layer, lengths=lengths, reads=reads)
        return found_BTH if self.first is None else found_BTH[:, 1:]

    def word_table(self) -> WordTable | None:
        """Its table of words, and the token that it puts before each text."""
        found = super().word_table()
        return found and found._replace(ids=() if self.first is None else (self.first,))

    def pooled(self, batch: Batch, pooling: Pooling) -> Tensor:
        """One fp32 vector [B, H] a feature."""
        if self.first is not None and pooling.method == "mean_no_first":
            pooling = dataclasses.replace(pooling, method="mean")  # what is to be left out was put there by `hidden`, and is gone
        return super().pooled(batch, pooling)

    def forward(self, batch: Batch, *, head: str | None = None, pooling: Pooling | None = None) -> Tensor:
        """Outputs of a head [B, ...] (mlm and lm: [M, V]), or pooled fp32 vectors [B, H]: give one of `head` and `pooling`."""
        if head is not None and pooling is None and isinstance(self.heads[head_key(head)], LmHead):
            return self.next_tokens(batch)
        return super().forward(batch, head=head, pooling=pooling)

    def next_tokens(self, batch: Batch) -> Tensor:
        """Logits [M, V] in fp32 of the M positions whose label, the token that follows, is not -100."""
        if batch.targets is None:
            raise ValueError("an lm head needs labels: they say after which tokens to predict")
        split_model = SplitModel(self.backbone, device=batch.input_ids.device)
        unpadded = Unpadded.where_worth_it(lengths_of(batch), batch.input_ids, trains=self.training) if self.packs else None
        if unpadded is not None:
            hidden_NH = split_model.packed_hidden(unpadded.taken(batch.input_ids), Packing(unpadded.layout))
            return torch.cat([*split_model.logits(hidden_NH.index_select(0, unpadded.among_taken(batch.targets)))])
        hidden_BTH, _ = split_model.hidden(PaddedTokens(batch.input_ids, batch.attention_mask, [0] * len(batch.input_ids)))
        return torch.cat([*split_model.logits(hidden_BTH.flatten(0, 1).index_select(0, batch.targets))])
