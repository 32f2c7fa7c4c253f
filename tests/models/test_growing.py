"""Tokens that come to several texts see what they would see in a text alone, whoever else is in the memory."""

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from models.packing import growing
from models.packing.attention import KeptTokens, LayerAttention
from models.packing.growing import GrowingTexts, text_groups

HOW = LayerAttention(causal=True, window=None, dropout=0.0, scale=None)
HEADS, SHARED, SIZE = 6, 2, 8
LAYERS = [torch.nn.Identity(), torch.nn.Identity()]
ALIKE = ((0, 40),)


class Alone:
    """The same texts, each with keys and values of its own."""

    def __init__(self, kept, paths):
        self.states = [
            [tuple(torch.cat([one[:, :, a:b] for a, b in path], dim=2) for one in kept.layers[layer]) for layer in LAYERS]
            for path in paths
        ]

    def attended(self, layer, query, key, value, counts):
        found, begin = [], 0
        for text, count in zip(self.states, counts, strict=True):
            rows = slice(begin, begin + count)
            begin += count
            text[layer] = tuple(torch.cat([old, new[:, :, rows]], 2) for old, new in zip(text[layer], (key, value), strict=True))
            keys, values = text[layer]
            seen = torch.ones(count, keys.shape[2], dtype=torch.bool).tril(keys.shape[2] - count)
            one = scaled_dot_product_attention(query[:, :, rows], keys, values, attn_mask=seen, enable_gqa=True)
            found.append(one[0].transpose(0, 1))
        return torch.cat(found)

    def keep(self, goes_on, taken_back):
        self.states = [
            [tuple(one[:, :, : one.shape[2] - number] for one in states) for states in text]
            for text, stays, number in zip(self.states, goes_on, taken_back, strict=True)
            if stays
        ]


def drawn(number, heads, rng):
    return torch.randn((1, heads, number, SIZE), generator=rng)


def kept_tokens(number, rng):
    kept = KeptTokens(number)
    for layer in LAYERS:
        kept.layers[layer] = (drawn(number, SHARED, rng), drawn(number, SHARED, rng))
    return kept


PATHS = [
    (*ALIKE, (40, 45)),
    (*ALIKE, (45, 52)),
    (*ALIKE, (52, 53)),
    ((53, 60),),
    ((60, 75), (75, 76)),
    ((60, 75), (76, 90)),
    ((90, 2000),),
]


@pytest.mark.parametrize("room", [1, 3, 64])
@pytest.mark.parametrize("together", [True, False])
def test_each_text_sees_its_own_tokens(monkeypatch, room, together):
    monkeypatch.setattr(growing, "ROOM", room)
    if not together:
        monkeypatch.setattr(growing, "MOST_TOGETHER", 1)
    rng, numbers = torch.Generator().manual_seed(3), np.random.default_rng(3)
    texts, paths, most = GrowingTexts(), PATHS, 200
    kept = kept_tokens(2000, rng)
    alone, lengths = Alone(kept, paths), [sum(b - a for a, b in path) for path in paths]
    begins = lengths.copy()
    texts.add(kept, paths, most_new=[most] * len(paths))
    assert not kept.layers
    for step in range(60):
        if step == 20:  # others come to those that are left
            kept = kept_tokens(60, rng)
            alone.states += Alone(kept, PATHS[:4]).states
            lengths += [sum(b - a for a, b in path) for path in PATHS[:4]]
            begins += [sum(b - a for a, b in path) for path in PATHS[:4]]
            texts.add(kept, PATHS[:4], most_new=[most] * 4)
        counts = numbers.integers(1, 5 if step % 2 else 2, size=len(lengths)).tolist()
        packing = texts.next_tokens(counts)
        assert packing.positions.tolist() == [at + n for at, count in zip(lengths, counts, strict=True) for n in range(count)]
        assert packing.firsts.tolist() == np.repeat(np.cumsum([0, *counts[:-1]]), counts).tolist()
        for number, layer in enumerate(LAYERS):
            states = [drawn(sum(counts), heads, rng) for heads in (HEADS, SHARED, SHARED)]
            found = packing.attended(layer, *states, how=HOW)
            assert (found - alone.attended(number, *states, counts)).abs().max() < 1e-6
        goes_on = (numbers.random(len(lengths)) < 0.97).tolist()
        goes_on[0] = True
        taken_back = [int(numbers.integers(0, count)) for count in counts]
        texts.keep(goes_on, taken_back=taken_back)
        alone.keep(goes_on, taken_back)
        after = zip(lengths, counts, taken_back, goes_on, strict=True)
        lengths = [length + count - number for length, count, number, stays in after if stays]
        begins = [begin for begin, stays in zip(begins, goes_on, strict=True) if stays]
        assert len(texts.left) == len(lengths)
        assert [most - left for left in texts.left] == [length - begin for length, begin in zip(lengths, begins, strict=True)]
    assert 0 < len(lengths) < 9


def test_all_is_copied_once_in_many_tokens(monkeypatch):
    moved = []
    plain = growing.TextGroup._moved
    monkeypatch.setattr(
        growing.TextGroup, "_moved", lambda self, states, columns: moved.append(1) or plain(self, states, columns)
    )
    rng = torch.Generator().manual_seed(1)
    texts = GrowingTexts()
    texts.add(kept_tokens(53, rng), PATHS[:3], most_new=[3 * growing.ROOM] * 3)
    for _ in range(3 * growing.ROOM):
        texts.next_tokens([1, 1, 1])
        texts.keep([True] * 3, taken_back=[0] * 3)
    assert len(moved) == 3 * len(LAYERS)


def test_memory_is_that_of_the_tokens_and_what_may_come():
    rng = torch.Generator().manual_seed(1)
    texts = GrowingTexts()
    texts.add(kept_tokens(2000, rng), PATHS, most_new=[10] * len(PATHS))
    assert texts.num_tokens == 2000 + 10 * len(PATHS)
    sizes = [states.shape[2] for group in texts._groups for states in group._states[LAYERS[0]]]
    assert sum(sizes) == 2 * texts.num_tokens
    texts.keep([True] * 6 + [False], taken_back=[0] * 7)
    assert texts.num_tokens == 90 + 10 * 6


def test_room_is_given_back_when_texts_leave():
    rng = torch.Generator().manual_seed(1)
    texts = GrowingTexts()
    paths = [((0, 1000), (1000 + n, 1001 + n)) for n in range(20)]
    texts.add(kept_tokens(1020, rng), paths, most_new=[50, *[100] * 19])
    assert texts.num_tokens == 1020 + 50 + 19 * 100
    (group,) = texts._groups
    assert group._states[LAYERS[0]][0].shape[2] == 1020 + 50 + 19 * growing.ROOM
    texts.keep([True, *[False] * 19], taken_back=[0] * 20)
    assert texts.num_tokens == group._states[LAYERS[0]][0].shape[2] == 1001 + 50


def test_texts_are_together_where_they_share_more_than_they_add():
    def groups(paths, new=20):
        return [*text_groups(paths, most_new=[new] * len(paths))]

    long = [((0, 500), (500 + 20 * n, 520 + 20 * n)) for n in range(6)]
    assert groups(long) == [(0, 6)]
    assert groups([((500 * n, 500 * n + 500),) for n in range(3)]) == [(0, 1), (1, 2), (2, 3)]
    assert groups([*long, ((2000, 2500),), ((2000, 2500), (2500, 2510))]) == [(0, 6), (6, 8)]
    assert groups([]) == []
    many = [((0, 500), (500 + n, 501 + n)) for n in range(growing.MOST_TOGETHER + 5)]
    assert groups(many, new=1) == [(0, growing.MOST_TOGETHER), (growing.MOST_TOGETHER, len(many))]
