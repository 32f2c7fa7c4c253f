"""Likelihoods as a model gives them for whole sequences, one by one: what shared computations are held against.

for logprobs_T in continuation_logprobs(model, feature): ...
"""

from collections.abc import Iterator
from typing import Any

import torch

from harness.api.protocols import Feature


def continuation_logprobs(model: Any, feature: Feature) -> Iterator[torch.Tensor]:
    """The log-probability [T] of each token of each continuation of a feature."""
    for ids in feature.continuations or ():
        with torch.no_grad():
            logprobs = model(torch.tensor([[*feature.input_ids, *ids]])).logits[0].log_softmax(-1)
        yield logprobs[torch.arange(len(ids)) + len(feature.input_ids) - 1, torch.tensor(ids)]
