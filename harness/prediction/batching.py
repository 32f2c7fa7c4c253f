"""Batches of similar length under a token budget.

plan = plan_batches([len(feature.input_ids) for feature in features], max_tokens=8192)
batch = collate([features[index] for index in plan[0]], pad_id=tokenizer.pad_token_id, device="cuda")
check_lengths(features, longest=512, where="task 'xnli' in de")      # UserError for a longer one
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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
    batches: list[list[int]] = []
    most = 0
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        if not batches or len(batches[-1]) >= most:
            batches.append([])
            most = max(1, min(max_features or len(lengths), max_tokens // max(1, lengths[index])))
        batches[-1].append(index)
    return batches


def num_tokens(feature: Feature) -> int:
    """Tokens that a feature costs: its input, its continuations, and what may be generated."""
    continued = sum(len(ids) for ids in feature.continuations or ())
    return len(feature.input_ids) + continued + (feature.generate or {}).get("max_new_tokens", 0)


def check_lengths(features: Sequence[Feature], *, longest: int | None, where: str) -> None:
    """Raise UserError if a feature has more tokens than the model takes: it would fail inside, or count positions wrongly."""
    most = max((len(feature.input_ids) for feature in features), default=0)
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
    import torch

    place = torch.device(device)
    multiple = pad_to_multiple or (1 if place.type == "cpu" else 8)
    longest = max(len(feature.input_ids) for feature in features)
    width = -(-longest // multiple) * multiple

    def padded(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
        filled = [[*row, *[value] * (width - len(row))] for row in rows]
        return torch.tensor(filled, dtype=torch.int64, device=place)

    type_ids = None
    if any(feature.type_ids is not None for feature in features):
        type_ids = padded([feature.type_ids or [] for feature in features], 0)
    return Batch(
        features=features,
        input_ids=padded([feature.input_ids for feature in features], pad_id),
        attention_mask=padded([[1] * len(feature.input_ids) for feature in features], 0),
        type_ids=type_ids,
        labels=_labels(features, width, place),
        groups=torch.tensor(_groups(features), dtype=torch.int64, device=place),
    )


def _groups(features: Sequence[Feature]) -> list[int]:
    """Examples numbered 0, 1, ... in the order in which they appear."""
    numbers: dict[int, int] = {}
    return [numbers.setdefault(feature.example, len(numbers)) for feature in features]


def _labels(features: Sequence[Feature], width: int, device: torch.device) -> torch.Tensor | None:
    """[B], [B, 2] or [B, T] after the kind of the labels; features without labels get -100, which the losses skip."""
    import torch

    sample = next((feature.labels for feature in features if feature.labels is not None), None)
    if sample is None:
        return None
    size = 1 if isinstance(sample, int) else 2 if isinstance(sample, tuple) else width
    rows = []
    for feature in features:
        own = feature.labels if feature.labels is not None else []
        row = [own] if isinstance(own, int) else list(own)
        rows.append([*row, *[NO_LABEL] * (size - len(row))])
    labels = torch.tensor(rows, dtype=torch.int64, device=device)
    return labels[:, 0] if isinstance(sample, int) else labels
