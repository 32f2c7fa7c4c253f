"""Texts that are being written on a CPU, without padding, and with what they share held once.

    texts = PackedTexts([(5, 6, 7), (5, 6, 8)], split_model, most_new=[64, 64], max_tokens=4096)
    while texts.begin(): texts.write(added, goes_on)        # tokens of each text: a row of texts.hidden_NH gives the next one

A text leaves when it has ended; when half of the room is free others take it, those that begin alike together.  Reading the
weights is most of what a pass of few tokens takes, so that it has some that are only guessed: see Repeats.
"""

from collections.abc import Sequence

import torch

from models.inference.language_model import SplitModel
from models.inference.packed_passes import packed_beginnings
from models.inference.prefix_tree import KEPT_TOKENS, LEAST_SAVED, LEAST_SHARED, Tokens, num_shared
from models.inference.repeats import Repeats
from models.packing.growing import GrowingTexts

GUESSED_UP_TO = 64
"""Tokens of a pass up to which some are guessed.  SmolLM2-135M's linear layers (bfloat16, with AMX) took 44 ms for 8 tokens, 49
for 20, 50 for 32, 64 for 64 and 98 for 128."""


class PackedTexts:
    """The texts that are being written at a time."""

    def __init__(self, inputs: Sequence[Tokens], split_model: SplitModel, *, most_new: Sequence[int], max_tokens: int) -> None:
        """`most_new`: tokens that are added to each text at most.

        max_tokens bounds a forward pass, and with that what is held: tokens that are computed, and a quarter of what is kept.
        """
        self._inputs, self._most_new = inputs, most_new
        self._model, self._max_tokens = split_model, max_tokens
        self._waiting = sorted(range(len(inputs)), key=lambda number: inputs[number], reverse=True)
        self._texts = GrowingTexts()
        self._repeats: dict[int, Repeats] = {}
        self.numbers: list[int] = []
        "The texts that are being written."
        self.guesses: list[list[int]] = []
        "Tokens of each that were computed as if they came next."
        self.hidden_NH = torch.empty(0)
        "Of the last token of each text, and of those guessed behind it."

    def begin(self) -> bool:
        """Take on waiting texts where there is room; whether there are any texts."""
        if self._waiting and 2 * self._texts.num_tokens <= KEPT_TOKENS * self._max_tokens and (new := self._fitting()):
            texts = [self._inputs[number] for number in new]
            kept, paths, hidden_BH = packed_beginnings(texts, self._model, max_tokens=self._max_tokens)
            self._texts.add(kept, paths, most_new=[self._most_new[number] for number in new])
            self.hidden_NH = torch.cat([self.hidden_NH, hidden_BH]) if self.numbers else hidden_BH
            self.guesses = [*self.guesses, *([] for _ in new)]
            self.numbers = [*self.numbers, *new]
            self._repeats |= {number: Repeats(self._inputs[number]) for number in new}
        return bool(self.numbers)

    def _fitting(self) -> list[int]:
        """The waiting texts that there is room for, which wait no longer; one at least where no other is being written."""
        found: list[int] = []
        room = KEPT_TOKENS * self._max_tokens - self._texts.num_tokens
        rows = self._max_tokens - len(self.numbers)
        before: Tokens = ()
        while self._waiting:
            ids = self._inputs[self._waiting[-1]]
            shared = num_shared(before, ids)
            held = len(ids) - shared if shared >= max(LEAST_SAVED, LEAST_SHARED * len(ids)) else len(ids)
            room -= held + self._most_new[self._waiting[-1]]
            if (room < 0 or len(found) >= rows) and (found or self.numbers):
                break
            found.append(self._waiting.pop())
            before = ids
        return found

    def write(self, added: Sequence[Sequence[int]], goes_on: Sequence[bool]) -> None:
        """Add tokens to each text, of which all but the last were guessed; those that do not go on leave."""
        guessed = [len(own) for own in self.guesses]
        self._texts.keep(goes_on, taken_back=[1 + many - len(own) for many, own in zip(guessed, added, strict=True)])
        for number, many, own, stays in zip(self.numbers, guessed, added, goes_on, strict=True):
            if stays:
                self._repeats[number].add(own, guessed=many)
            else:
                del self._repeats[number]
        last = [own[-1] for own, stays in zip(added, goes_on, strict=True) if stays]
        self.numbers = [number for number, stays in zip(self.numbers, goes_on, strict=True) if stays]
        if not last:
            self.guesses = []
            return
        most = max(0, min(GUESSED_UP_TO, self._max_tokens) // len(last) - 1)
        # One that may come is the token at hand, and another one is what the model says behind the last guess.
        room = (min(most, left - 2) for left in self._texts.left)
        self.guesses = [self._repeats[number].guesses(own) for number, own in zip(self.numbers, room, strict=True)]
        ids = [token for first, own in zip(last, self.guesses, strict=True) for token in (first, *own)]
        pass_of = self._texts.next_tokens([1 + len(own) for own in self.guesses])
        self.hidden_NH = self._model.packed_hidden(torch.tensor(ids, dtype=torch.int64), pass_of)
