"""Batches of similar length under a token budget.

plan = plan_batches([len(feature.input_ids) for feature in features], max_tokens=8192)
plan = plan_packed_batches(lengths, max_tokens=1024)     # of what is computed without padding
batch = collate([features[index] for index in plan[0]], pad_id=tokenizer.pad_token_id, device="cuda")
check_lengths(features, longest=512, where="task 'xnli' in de")      # UserError for a longer one
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.api.errors import UserError
from harness.api.protocols import Batch, Feature

if TYPE_CHECKING:
    import torch

NO_LABEL = -100


def plan_batches(lengths: Sequence[int], *, max_tokens: int, max_features: int | None = None) -> list[list[int]]:
    """Indices per batch, longest first (memory runs out at once or never), equal lengths by index.

    A batch costs its number of features times its longest length, at most max_tokens; a feature longer than that is alone.
    """
    assert max_tokens >= 1
    assert max_features is None or max_features >= 1
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches: list[list[int]] = []
    begin = 0
    while begin < len(order):
        most = max(1, min(max_features or len(lengths), max_tokens // max(1, int(lengths[order[begin]]))))
        batches.append(order[begin : begin + most].tolist())
        begin += most
    return batches


def plan_packed_batches(lengths: Sequence[int], *, max_tokens: int) -> list[list[int]]:
    """Indices per batch, where a batch costs the sum of its lengths, at most max_tokens; a feature longer than that is alone.

    The longest feature first, equal ones by index, each into the first batch that has room for it.
    """
    assert max_tokens >= 1
    batches: list[list[int]] = []
    rooms: list[int] = []
    for index in np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable").tolist():
        number = next((number for number, room in enumerate(rooms) if lengths[index] <= room), len(rooms))
        if number == len(rooms):
            batches.append([])
            rooms.append(max_tokens)
        batches[number].append(index)
        rooms[number] -= lengths[index]
    return batches


def num_tokens(feature: Feature) -> int:
    """Tokens that a feature costs: its input, its continuations, and what may be generated."""
    continued = sum(len(ids) for ids in feature.continuations or ())
    return len(feature.input_ids) + continued + (feature.generate or {}).get("max_new_tokens", 0)


def check_lengths(features: Sequence[Feature], *, longest: int | None, where: str) -> None:
    """Raise UserError if a feature has more tokens than the model takes: it would fail inside, or count positions wrongly."""
    most = max((len(feature.input_ids) for feature in features), default=0)
    check_longest(most, longest=longest, where=where)


def check_longest(most: int, *, longest: int | None, where: str) -> None:
    """The same where the longest input has `most` tokens."""
    if longest is not None and most > longest:
        raise UserError(
            f"an input of {most} tokens is too long for the model",
            where=where,
            expected=f"at most {longest} tokens, special tokens included",
            todo=f"--model_args max_length={longest}",
        )


def collate(
    features: Sequence[Feature], *, pad_id: int, device: torch.device | str = "cpu", pad_to_multiple: int | None = None
) -> Batch:
    """Right-padded tensors of some features (at least one).

    pad_to_multiple: lengths are rounded up to it; by default 8 on accelerators (tensor cores) and 1 on the CPU.
    """
    return made_ready(features, pad_id=pad_id, device=device, pad_to_multiple=pad_to_multiple).on(device)


def made_ready(
    features: Sequence[Feature], *, pad_id: int, device: torch.device | str, pad_to_multiple: int | None = None
) -> Batch:
    """The batch that `collate` makes, still in the memory of the host: what a thread can do before the device wants it.

    For a GPU in memory that is pinned, from where it is copied while the device computes.
    """
    import torch

    place = torch.device(device)
    multiple = pad_to_multiple or (1 if place.type == "cpu" else 8)
    lengths = np.array([len(feature.input_ids) for feature in features])
    width = -(-int(lengths.max()) // multiple) * multiple
    is_token = np.arange(width) < lengths[:, None]

    def padded(rows: Iterable[Sequence[int]], value: int) -> np.ndarray:
        filled = np.full(is_token.shape, value, dtype=np.int64)
        filled[is_token] = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=int(lengths.sum()))
        return filled

    type_ids = None
    if any(feature.type_ids is not None for feature in features):
        type_ids = padded((feature.type_ids or [0] * len(feature.input_ids) for feature in features), 0)
    labels = _labels(features, width)
    arrays = {
        "input_ids": padded((feature.input_ids for feature in features), pad_id),
        "attention_mask": is_token.astype(np.int64),
        "type_ids": type_ids,
        "labels": labels,
        "groups": np.array(_groups(features), dtype=np.int64),
        "targets": np.flatnonzero(labels != NO_LABEL) if isinstance(_first_labels(features), list) else None,
    }
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items() if array is not None}
    if place.type == "cuda":
        tensors = {name: tensor.pin_memory() for name, tensor in tensors.items()}
    return Batch(
        features=features,
        input_ids=tensors["input_ids"],
        attention_mask=tensors["attention_mask"],
        type_ids=tensors.get("type_ids"),
        labels=tensors.get("labels"),
        groups=tensors["groups"],
        targets=tensors.get("targets"),
    )


def _groups(features: Sequence[Feature]) -> list[int]:
    """Examples numbered 0, 1, ... in the order in which they appear."""
    numbers: dict[int, int] = {}
    return [numbers.setdefault(feature.example, len(numbers)) for feature in features]


def _labels(features: Sequence[Feature], width: int) -> np.ndarray | None:
    """[B], [B, 2] or [B, T] after the kind of the labels; features without labels get -100, which the losses skip."""
    sample = _first_labels(features)
    if sample is None:
        return None
    size = 1 if isinstance(sample, int) else 2 if isinstance(sample, tuple) else width
    labels = np.full((len(features), size), NO_LABEL, dtype=np.int64)
    for row, feature in zip(labels, features):
        if feature.labels is not None:
            own = [feature.labels] if isinstance(feature.labels, int) else feature.labels
            row[: len(own)] = own
    return labels[:, 0].copy() if isinstance(sample, int) else labels


def _first_labels(features: Sequence[Feature]) -> Any:
    """The first labels that there are."""
    return next((feature.labels for feature in features if feature.labels is not None), None)
