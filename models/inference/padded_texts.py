"""Texts that are being written, a row of a padded batch each, on any device and behind any cache that transformers has.

    texts = PaddedTexts([(5, 6, 7), (8,)], split_model, most_new=[64, 64], max_tokens=4096)
    while texts.begin(): texts.write(added, goes_on)        # a token for each text: a row of texts.hidden_NH gives it

A batch is written to its end before the next one begins; rows that have ended leave it when half of it has.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from models.inference.language_model import PaddedTokens, SplitModel, chosen_rows
from models.inference.packed_passes import packed_prefill
from models.inference.prefix_passes import prefill
from models.inference.prefix_tree import Tokens, batches
from models.inference.roomy_cache import with_room


class PaddedTexts:
    """The rows of one batch after the other."""

    def __init__(self, inputs: Sequence[Tokens], split_model: SplitModel, *, most_new: Sequence[int], max_tokens: int) -> None:
        """`most_new`: tokens that are added to each text at most.

        max_tokens bounds a forward pass: tokens that are computed, with padding, and a quarter of what is kept.
        """
        self._inputs, self._most_new = inputs, most_new
        self._model, self._max_tokens = split_model, max_tokens
        # Where prompts are computed in passes of their own, a step computes one token a row: all that counts is what is kept.
        computed = [1 if split_model.keeps_all else len(ids) for ids in inputs]
        sizes = [(size, len(ids) + new) for size, ids, new in zip(computed, inputs, most_new, strict=True)]
        order = batches(sizes, max_tokens=max_tokens) if split_model.can_share else [[number] for number in range(len(inputs))]
        self._waiting = order[::-1]
        self.numbers: list[int] = []
        "The text of each row."
        self.hidden_NH: Tensor
        "Of the last token of each row."
        self._cache: Any = None
        self._mask: Tensor

    def begin(self) -> bool:
        """Take on waiting texts where there is room; whether there are any texts."""
        if not self.numbers and self._waiting:
            self.numbers = self._waiting.pop()
            filled = packed_prefill if self._model.packs and self._model.keeps_all else prefill
            texts = [self._inputs[number] for number in self.numbers]
            hidden_BTH, cache, self._mask = filled(texts, self._model, max_tokens=self._max_tokens)
            self._cache = with_room(cache, max(self._most_new[number] for number in self.numbers))
            self.hidden_NH = hidden_BTH[:, -1]
        return bool(self.numbers)

    @property
    def guesses(self) -> list[list[int]]:
        """Nothing is guessed."""
        return [[] for _ in self.numbers]

    def write(self, added: Sequence[Sequence[int]], goes_on: Sequence[bool]) -> None:
        """Add a token to each row; those that do not go on stay until half of them do not."""
        tokens = torch.tensor([token for (token,) in added], dtype=torch.int64, device=self._model.device)
        left = [row for row, stays in enumerate(goes_on) if stays]
        if len(left) <= len(self.numbers) / 2:
            self.numbers = [self.numbers[row] for row in left]
            if not left:
                self._cache = None  # before there is that of the next batch
                return
            chosen = torch.tensor(left, device=self._model.device)
            self._cache, self._mask, tokens = chosen_rows(self._cache, chosen), self._mask[chosen], tokens[chosen]
        self._mask = torch.cat([self._mask, torch.ones_like(tokens)[:, None]], dim=1)
        rows = PaddedTokens(tokens[:, None], self._mask, [0] * len(tokens))
        hidden_BTH, self._cache = self._model.hidden(rows, cache=self._cache, keep=True)
        self.hidden_NH = hidden_BTH[:, -1]
