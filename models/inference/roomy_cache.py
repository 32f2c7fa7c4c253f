"""Keys and values of texts that are being written, in memory that has room for the next tokens.

    cache = with_room(cache, 256)       # before the first of at most so many tokens is written behind what it holds

transformers' own layers are put together anew for each token, which copies all that they hold: more than half of the time of
writing behind texts of some 500 tokens on a CPU (27 of 52 s; ten texts, SmolLM2-135M in bfloat16).
"""

import copy
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer

ROOM = 64
"Tokens for which there is room at a time, where so many are to come: once in so many all is copied."


class RoomyLayer(DynamicLayer):
    """A layer whose keys and values [B, heads, T, size] are the beginning of larger tensors."""

    def __init__(self, layer: DynamicLayer, *, num_tokens: int) -> None:
        """Takes over what a layer holds, which stays as it is; no room is made for more than num_tokens behind it."""
        super().__init__()
        self.__dict__.update(layer.__dict__)
        self._most = self.get_seq_length() + num_tokens
        self._rooms: tuple[Tensor, ...] = ()
        self._owner: Any = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Put the states of new tokens [B, heads, N, size] behind those that are there, and give all."""
        begin = self.get_seq_length()
        if self.keys is None or self.values is None or not begin:
            return super().update(key_states, value_states, *args, **kwargs)
        end = begin + key_states.shape[-2]
        if not self._has_room(end):
            # A copy of this layer has the same tensors, and may go on from them as well.
            room_for = max(end, min(end + ROOM, self._most))
            self._rooms, self._owner = tuple(_enlarged(states, room_for) for states in (self.keys, self.values)), self
        for room, states in zip(self._rooms, (key_states, value_states), strict=True):
            room[:, :, begin:end] = states
        self.keys, self.values = (room[:, :, :end] for room in self._rooms)
        return self.keys, self.values

    def _has_room(self, end: int) -> bool:
        """Whether what is held lies in this layer's own larger tensors, and these are large enough."""
        if self._owner is not self or self.keys is None or self.values is None:
            return False
        own = zip(self._rooms, (self.keys, self.values), strict=True)
        return all(_begins(room, held) and end <= room.shape[2] for room, held in own)


def _begins(room: Tensor, held: Tensor) -> bool:
    """Whether a tensor is the beginning of a larger one: rows that were chosen from it, say, are not."""
    return room.data_ptr() == held.data_ptr() and room.stride() == held.stride() and room.shape[:2] == held.shape[:2]


def _enlarged(states: Tensor, num_tokens: int) -> Tensor:
    """States [B, heads, T, size] at the beginning of a tensor with room for num_tokens in all."""
    num_rows, num_heads, length, size = states.shape
    room = torch.empty((num_rows, num_heads, num_tokens, size), dtype=states.dtype, device=states.device)
    room[:, :, :length] = states
    return room


def with_room(cache: Any, num_tokens: int) -> Any:
    """A cache whose plain layers have room for what is written next, num_tokens at most; others stay as they are."""
    found = copy.copy(cache)
    found.layers = [RoomyLayer(layer, num_tokens=num_tokens) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return found
