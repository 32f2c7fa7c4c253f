"""Batches that are padded on the right, computed without their padding.

unpadded = Unpadded.of(lengths, input_ids.shape, device=input_ids.device)
ids_N, layout = unpadded.taken(input_ids), unpadded.layout
hidden_BTH = unpadded.put_back(hidden_NH)                   # zeros where there is padding
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.api.placing import placed
from harness.api.protocols import Batch
from models.packing.layout import PackedLayout, PackedSpan
from models.packing.rows import counted

WORTH = 0.9
"Share of tokens that are no padding up to which a batch is packed: above it, gathering for attention costs more than padding."


def lengths_of(batch: Batch) -> list[int]:
    """Tokens of each row; nothing where the batch does not say of which features it is made."""
    return [len(feature.input_ids) for feature in batch.features]


def is_worth_packing(lengths: Sequence[int], width: int, *, trains: bool, on_cpu: bool = True) -> bool:
    """Whether rows of so many tokens, padded to `width`, have enough padding; not where nothing is known of them.

    In training any is enough: what a pass costs there is its tokens, by which it was planned (`Adapter.packs`).  Off a CPU none
    will do as well: nothing is gathered for it, and the mask of a batch would be looked at, for which the host waits for a GPU.
    """
    padded = width * len(lengths)
    if not on_cpu and lengths and sum(lengths) == padded:
        return True
    return sum(lengths) < padded if trains else bool(lengths) and sum(lengths) <= WORTH * padded


@dataclass(frozen=True, kw_only=True)
class Unpadded:
    """The tokens of a padded batch that are no padding."""

    shape: tuple[int, int]
    "[B, T] with padding."
    index: Tensor
    "int64 [N], their places in the flattened batch, row by row."
    layout: PackedLayout

    @classmethod
    def of(cls, lengths: Sequence[int], shape: Sequence[int], *, device: torch.device) -> "Unpadded":
        """Of rows [B, T] that begin with so many tokens each."""
        num_rows, width = shape
        begins = np.cumsum([0, *lengths[:-1]])
        layout = PackedLayout([PackedSpan(int(first), length) for first, length in zip(begins, lengths, strict=True)])
        index = counted(np.arange(num_rows) * width, np.array(lengths))
        return cls(shape=(num_rows, width), index=placed(index, device), layout=layout)

    @classmethod
    def where_worth_it(cls, lengths: Sequence[int], ids_BT: Tensor, *, trains: bool) -> "Unpadded | None":
        """Of token ids whose rows have so many tokens; None where they have too little padding."""
        if not is_worth_packing(lengths, ids_BT.shape[1], trains=trains, on_cpu=ids_BT.device.type == "cpu"):
            return None
        return cls.of(lengths, ids_BT.shape, device=ids_BT.device)

    def taken(self, values: Tensor) -> Tensor:
        """[N] of [B, T]."""
        return values.flatten().index_select(0, self.index)

    def among_taken(self, places: Tensor) -> Tensor:
        """int64 [M]: which of the N tokens lie at places [M] of the flattened batch, none of them padding."""
        return torch.searchsorted(self.index, places)

    def tokens_of_rows(self, which: str) -> list[int]:
        """The number of the `first` or the `last` token of each row among those that are no padding."""
        return [span.first + (span.length - 1 if which == "last" else 0) for span in self.layout.spans]

    def put_back(self, hidden_NH: Tensor, *, tokens: np.ndarray | None = None) -> Tensor:
        """[B, T, H] of [N, H], or of the hidden states [R, H] of some tokens alone."""
        num_rows, width = self.shape
        index = self.index.to(hidden_NH.device)
        if tokens is not None:
            index = index.index_select(0, placed(tokens, hidden_NH.device))
        padded = hidden_NH.new_zeros((num_rows * width, hidden_NH.shape[-1]))
        return padded.index_copy(0, index, hidden_NH).unflatten(0, self.shape)
