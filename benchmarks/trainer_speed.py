"""The peers of predict_speed.py: transformers' Trainer.predict on the features of a prediction, with the same weights and heads.

    peer = TrainerSide(features_by_head, adapter, maximum=None)       # padding by batch: the longest of eight
    peer = TrainerSide(features_by_head, adapter, maximum=128)        # padding to a length, as XTREME's scripts do
    seconds, logits = peer.turn()

Batches of eight in the order of the rows: the defaults of Trainer and of XTREME's scripts.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import Trainer, TrainingArguments

from harness.api.protocols import Batch, Feature
from harness.prediction.batching import collate

IGNORED = -100
"What Trainer fills up the logits of shorter sequences with."


class _Logits(nn.Module):
    """A head of an adapter as Trainer calls models."""

    def __init__(self, module: nn.Module, head: str) -> None:
        super().__init__()
        self.module, self.head = module, head

    def forward(self, input_ids: Any, attention_mask: Any) -> dict[str, Any]:
        groups = torch.arange(len(input_ids))
        batch = Batch(features=(), input_ids=input_ids, attention_mask=attention_mask, type_ids=None, labels=None, groups=groups)
        return {"logits": self.module(batch, head=self.head).float()}


class TrainerSide:
    """Trainer.predict over the features of each head."""

    def __init__(self, features: Mapping[str, Sequence[Feature]], adapter: Any, *, maximum: int | None) -> None:
        """Takes the features of the rows in their order; `maximum` is the length to pad to, None = that of the batch."""
        self.features, self.adapter, self.maximum = features, adapter, maximum

    def _collate(self, features: Sequence[Feature]) -> dict[str, Any]:
        batch = collate(features, pad_id=self.adapter.tokenizer.pad_token_id, pad_to_multiple=self.maximum or 1)
        return {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}

    def turn(self) -> tuple[float, dict[str, list[np.ndarray]]]:
        """Seconds, and the logits of each feature without its padding."""
        found, seconds = {}, 0.0
        for head, features in self.features.items():
            with tempfile.TemporaryDirectory() as folder:
                words = TrainingArguments(
                    output_dir=str(Path(folder)), use_cpu=True, report_to=[], disable_tqdm=True, remove_unused_columns=False
                )
                trainer = Trainer(model=_Logits(self.adapter.module, head), args=words, data_collator=self._collate)
                begin = time.perf_counter()
                logits = trainer.predict(list(features)).predictions  # type: ignore[arg-type]
                seconds += time.perf_counter() - begin
            rows = [logits[n][: len(one.input_ids)] if logits.ndim == 3 else logits[n] for n, one in enumerate(features)]
            found[head] = [np.asarray(row) for row in rows]
        return seconds, found


def alike(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> float:
    """Of all labels that are chosen by the largest logit, the share that is the same."""
    same = [np.asarray(a.argmax(-1) == b.argmax(-1)).ravel() for a, b in zip(ours, theirs, strict=True)]
    return float(np.concatenate(same).mean())


def bare_logits(batches: Sequence[tuple[str, Any]], adapter: Any) -> dict[int, np.ndarray]:
    """Logits of each feature by its identity, from the batches of the loop."""
    found = {}
    with torch.no_grad():
        for head, batch in batches:
            outputs = adapter.module(batch, head=head).float().numpy()
            for feature, output in zip(batch.features, outputs, strict=True):
                found[id(feature)] = output[: len(feature.input_ids)] if outputs.ndim == 3 else output
    return found
