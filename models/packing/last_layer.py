"""The last layer of a packed pass, computed for the tokens alone whose hidden states are read.

    packing = Packing(layout, reads=worth_choosing(body, [4, 9], num_tokens=10))
    with last_layer_of_reads(body, packing):
        found = body.forward(**packed_inputs(ids_N, packing, body=body))     # its last hidden states: [1, R, H]

Of the other tokens a last layer needs keys and values, and nothing else: no scores, no feed-forward layer.  It is called twice:
on all tokens until its attention has keys and values of all (and queries, which come with them), then on those that are read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from harness.api.placing import placed
from models.loading.layers import find_layers, replaced_forward
from models.packing.attention import PackedTokens, Packing, SourcesComplete

READS = 0.5
"Share of the tokens up to which those that are read are chosen: what the layer does twice is little beside a half of it."
BY_TOKEN = ("position_embeddings", "position_ids")
"What layers are given of each token beside its hidden states, in the families that are packed."


def worth_choosing(body: PreTrainedModel, reads: Sequence[int], *, num_tokens: int) -> np.ndarray | None:
    """The tokens of a pass that are read, int64 [R] in order; None where the last layer is to be computed for all of them.

    So it is in training: gradients go through one layer as it is.  And where several layers are one and the same (ALBERT).
    """
    found = np.unique(np.array([*reads] or [0], dtype=np.int64))  # one is computed for nobody where none is read
    if torch.is_grad_enabled() or len(found) > READS * num_tokens:
        return None
    return None if hasattr(body.config, "num_hidden_groups") else found


@contextmanager
def last_layer_of_reads(body: PreTrainedModel, packing: PackedTokens) -> Iterator[None]:
    """Let a body's last layer give the hidden states [1, R, H] of `packing.reads`; all [1, N, H] where there are none."""
    if not isinstance(packing, Packing) or packing.reads is None:
        yield
        return
    reads = packing.reads
    owner, name = find_layers(body)
    layer = getattr(owner, name)[-1]
    own = layer.forward

    def forward(hidden_1NH: Tensor, *args: Any, **kwargs: Any) -> Any:
        chosen = placed(reads, hidden_1NH.device)
        try:
            with packing.collecting():
                return _of_tokens(own(hidden_1NH, *args, **kwargs), chosen)
        except SourcesComplete:
            pass
        kwargs |= {key: _of_tokens(kwargs[key], chosen) for key in BY_TOKEN if key in kwargs}
        return own(hidden_1NH.index_select(1, chosen), *args, **kwargs)

    with replaced_forward(layer, forward):
        yield


def _of_tokens(values: Any, chosen: Tensor) -> Any:
    """Some tokens [R] of a tensor [1, N, ...], or of each of several."""
    if isinstance(values, Tensor):
        return values.index_select(1, chosen.to(values.device))
    return None if values is None else tuple(_of_tokens(one, chosen) for one in values)
